"""Fine-tune a model on cells with labels, or with a number."""

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix

from scfm.errors import ScfmError
from scfm.finetuning.coded import coded
from scfm.finetuning.head import LABEL, with_fresh_head
from scfm.finetuning.parts import Parts, merge, restrict
from scfm.finetuning.settings import Finetuning
from scfm.finetuning.target import standardised
from scfm.model import Model
from scfm.models.bmfm.view import make_view
from scfm.models.cells import ragged
from scfm.pretrain.best import better
from scfm.pretrain.optimizer import make_optimizer
from scfm.pretrain.precision import autocast, gradient_scaler
from scfm.pretrain.settings import Training

if TYPE_CHECKING:
    from anndata import AnnData

ALL = Parts()


def finetune(
    model: Model,
    train: "AnnData",
    dev: "AnnData",
    column: str,
    settings: Finetuning,
    seed: int,
    values: str = "counts",
    parts: Parts = ALL,
    task: str = "labels",
) -> tuple[Model, pd.DataFrame]:
    """Train a network with a fresh head for an obs column; `model` itself stays as it is.

    Args:
        train: cells whose labels or numbers are learnt, genes as in `Model.embed`.
        dev: cells that only choose the epoch whose weights are kept; those of labels not in `train` do not count.
        seed: of the head, the order of the cells and dropout; the same seed gives the same weights.
        values: what both X hold, as in `Model.embed`.
        parts: of the network that learn.
        task: `labels`, or `regression` on a column of numbers, none missing.

    Returns:
        The model with the weights of the lowest dev loss, the earlier one of equals; and the columns epoch,
        train_loss, dev_loss (mean over cells; focal, of numbers the squared error in SD), kept (bool).

    Raises:
        ScfmError: fewer than two labels in `train`, none of them in `dev`, a loss that is not finite; as `standardised`
            and `Model.embed`.
    """
    read = standardised if task == "regression" else coded
    learnt, truth, dev_truth = read(train.obs[column], dev.obs[column])
    tuned = with_fresh_head(model, learnt, settings, seed)
    restrict(tuned.network, parts, seed)
    updates = _Updates(tuned, train, truth, settings, seed, values)
    head = updates.head
    best, rows = None, []
    for epoch in range(1, settings.epochs + 1):
        train_loss = updates.epoch(epoch)
        outputs = torch.from_numpy(_outputs(tuned, dev, values))
        total, count = tuned.network.label_sum(head, outputs, torch.from_numpy(dev_truth))
        dev_loss = (total / count).item()
        if not math.isfinite(train_loss + dev_loss):
            raise ScfmError(f"fine-tuning: the loss of epoch {epoch} is not finite; lower the learning_rate")
        best = better(best, dev_loss, epoch, tuned.network)
        rows.append((epoch, train_loss, dev_loss))
        if settings.patience and epoch - best["epoch"] >= settings.patience:
            break
    tuned.network.load_state_dict(best["network"])
    merge(tuned.network)
    metrics = pd.DataFrame(rows, columns=["epoch", "train_loss", "dev_loss"])
    return tuned, metrics.assign(kept=metrics["epoch"] == best["epoch"])


def predict(model: Model, adata: "AnnData", values: str = "counts") -> np.ndarray:
    """Label of each cell, strings [cells], by a model that `finetune` returned.

    Raises:
        ScfmError: as `Model.embed`.
    """
    return np.array(model.classes[LABEL])[class_logits(model, adata, values).argmax(1)]


def class_logits(model: Model, adata: "AnnData", values: str = "counts", batch_cells: int = 256) -> np.ndarray:
    """Logits of the head's classes, float32 [cells, classes].

    Raises:
        ScfmError: as `Model.embed`.
    """
    return _outputs(model, adata, values, batch_cells)


def _outputs(model: Model, adata: "AnnData", values: str, batch_cells: int = 256) -> np.ndarray:
    """What the only head says, float32 [cells, classes or 1]."""
    (outputs,) = model.run(adata, values, batch_cells, model.network.label_logits).values()
    return outputs


class _Updates:
    """The updates of a model on its training cells, in memory as sparse rows."""

    def __init__(
        self, model: Model, train: "AnnData", truth: np.ndarray, settings: Finetuning, seed: int, values: str
    ) -> None:
        self.network, self.settings, self.seed = model.network, settings, seed
        (self.head,) = model.network.settings.heads
        self.device = next(model.network.parameters()).device
        self.counts: csr_matrix
        self.counts, columns, measured = model.inputs(train, values)
        self.columns = columns | {self.head.label: truth}
        self.measured = measured.to(self.device)
        self.precision = model.precision(self.device.type)
        training = Training(learning_rate=settings.learning_rate, epochs=settings.epochs, warmup_steps=0)
        self.clip = training.clip
        self.optimizer, _ = make_optimizer(model.network, training, updates=0)
        self.scaler = gradient_scaler(self.device, self.precision)

    def epoch(self, number: int) -> float:
        """One pass over all cells in an order of its own; the mean loss."""
        self.network.train()
        generator = torch.Generator(self.device).manual_seed(self.seed * 1_000_003 + number)
        order = np.random.default_rng((self.seed, number)).permutation(self.counts.shape[0])
        total = 0.0
        for start in range(0, len(order), self.settings.batch_cells):
            total += self._update(order[start : start + self.settings.batch_cells], generator)
        self.network.eval()
        return total / len(order)

    def _update(self, rows: np.ndarray, generator: torch.Generator) -> float:
        """One update; the sum of the loss over its cells."""
        cells = ragged(self.counts[rows], {name: codes[rows] for name, codes in self.columns.items()}).to(self.device)
        view = make_view(cells, self.network.settings, self.measured, None, "embed")
        with autocast(self.device, self.precision):
            outputs = self.network.label_logits(*self.network.encode_targets(view), generator)[self.head.label]
        total, count = self.network.label_sum(self.head, outputs.float(), view.labels[self.head.label])
        self.scaler.scale(total / count).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return total.item()
