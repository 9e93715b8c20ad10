"""Fine-tune a system that reads sets of cells: its network learns on, under a linear head on its cell vectors."""

import math
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfm.errors import ScfmError
from scfm.finetuning.coded import coded
from scfm.finetuning.settings import SetFinetuning
from scfm.pretrain.best import better
from scfm.pretrain.precision import gradient_scaler
from scfm.set_model import Sample, SetModel

if TYPE_CHECKING:
    from anndata import AnnData


class Tuned(nn.Module):
    """A copy of a model's network with a linear head; sets are dealt as the model deals them."""

    def __init__(self, model: SetModel, width: int, labels: list[str], settings: SetFinetuning, seed: int) -> None:
        super().__init__()
        self.network, self.labels, self.dropout = deepcopy(model.network), labels, settings.dropout
        self.network.requires_grad_(True)
        self.pooling = self.network.settings.tuned_pooling
        self.head = nn.Linear(width, len(labels))
        generator = torch.Generator().manual_seed(seed)
        nn.init.uniform_(self.head.weight, -(width**-0.5), width**-0.5, generator=generator)
        nn.init.zeros_(self.head.bias)
        self.model = SetModel(self.network, model.gene_table, None, model.about, {}, precision=model.asked_precision)
        self.to(model.device)

    def forward(self, view: object, generator: torch.Generator | None = None) -> Tensor:
        """Logits, float [cells, labels]; without a generator nothing is dropped."""
        vectors = self.network.embed(view, generator)[self.pooling]
        if generator is not None and self.dropout:
            kept = torch.rand(vectors.shape, device=vectors.device, generator=generator) >= self.dropout
            vectors = vectors * kept / (1 - self.dropout)
        return self.head(vectors)

    def logits(self, sample: Sample, batch_cells: int) -> Tensor:
        """Logits of all cells in their order, float32 [cells, labels]."""
        table = torch.empty(sample.counts.shape[0], len(self.labels))
        for rows, cells, measured in self.model.dealt(sample, batch_cells):
            with torch.no_grad(), self.model.autocast():
                view = self.network.view(cells.to(self.model.device), measured.to(self.model.device), None, "embed")
                table[rows] = self(view).float().cpu()
        return table


def finetune(
    model: SetModel,
    train: "AnnData",
    dev: "AnnData",
    column: str,
    settings: SetFinetuning,
    seed: int,
    values: str = "counts",
) -> tuple[Tuned, pd.DataFrame]:
    """Train a network and a linear head for an obs column by cross-entropy; `model` itself stays as it is.

    Cells are read in sets by those columns of the training corpus that obs has, all as one group without any, dealt
    anew in each epoch.

    Args:
        train: cells whose labels are learnt. dev: cells that only choose the epoch whose weights are kept.
        seed: of the head, the deal and dropout; the same seed gives the same weights.
        values: what both X hold, as in `SetModel.embed`.

    Returns:
        The network of the lowest dev loss, and the columns epoch, train_loss, dev_loss (mean over cells), kept (bool).

    Raises:
        ScfmError: the system has no embedding for a head; fewer than two labels in `train`, none of them in `dev`; a
            loss that is not finite; as `SetModel.embed`.
    """
    pooling = model.network.settings.tuned_pooling
    if pooling is None:
        system = model.about["settings"]["system"]
        raise ScfmError(f"run '{model.about['run']}': the system '{system}' is not fine-tuned; name another run")
    labels, truth, dev_truth = coded(train.obs[column], dev.obs[column])
    width = model.embed(dev[:1], pooling, values)[pooling].shape[1]
    tuned = Tuned(model, width, labels, settings, seed)
    sample, dev_sample = (tuned.model.sample(cells, values) for cells in (train, dev))
    updates, dev_codes = _Updates(tuned, sample, truth, settings, seed), torch.from_numpy(dev_truth)
    best, rows = None, []
    for epoch in range(1, settings.epochs + 1):
        train_loss = updates.epoch(epoch)
        logits = tuned.logits(dev_sample, settings.batch_cells)
        dev_loss = F.cross_entropy(logits, dev_codes, ignore_index=-1).item()
        if not math.isfinite(train_loss + dev_loss):
            raise ScfmError(f"fine-tuning: the loss of epoch {epoch} is not finite; lower the learning_rate")
        updates.schedule.step(dev_loss)
        best = better(best, dev_loss, epoch, tuned)
        rows.append((epoch, train_loss, dev_loss))
        if settings.patience and epoch - best["epoch"] >= settings.patience:
            break
    tuned.load_state_dict(best["network"])
    metrics = pd.DataFrame(rows, columns=["epoch", "train_loss", "dev_loss"])
    return tuned, metrics.assign(kept=metrics["epoch"] == best["epoch"])


def predict(tuned: Tuned, adata: "AnnData", values: str = "counts", batch_cells: int = 4000) -> np.ndarray:
    """Label of each cell, strings [cells]; those of one group are read together.

    Raises:
        ScfmError: as `SetModel.embed`.
    """
    logits = tuned.logits(tuned.model.sample(adata, values), batch_cells)
    return np.array(tuned.labels)[logits.argmax(1).numpy()]


class _Updates:
    """Updates on the training cells."""

    def __init__(self, tuned: Tuned, sample: Sample, truth: np.ndarray, settings: SetFinetuning, seed: int) -> None:
        self.tuned, self.sample, self.settings, self.seed = tuned, sample, settings, seed
        self.device, self.truth = tuned.model.device, torch.from_numpy(truth)
        self.optimizer = torch.optim.AdamW(
            tuned.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimizer, factor=0.5, patience=settings.plateau
        )
        self.scaler = gradient_scaler(self.device, tuned.model.precision(self.device.type))

    def epoch(self, number: int) -> float:
        """One pass over all cells in sets of its own; the mean loss."""
        generator = torch.Generator(self.device).manual_seed(self.seed * 1_000_003 + number)
        total = 0.0
        for rows, cells, measured in self.tuned.model.dealt(
            self.sample, self.settings.batch_cells, (self.seed, number)
        ):
            view = self.tuned.network.view(cells.to(self.device), measured.to(self.device), None, "embed")
            with self.tuned.model.autocast():
                logits = self.tuned(view, generator)
            loss = F.cross_entropy(logits.float(), self.truth[rows].to(self.device))
            self.scaler.scale(loss).backward()
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.tuned.parameters(), self.settings.clip)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad(set_to_none=True)
            total += loss.item() * len(rows)
        return total / len(self.truth)
