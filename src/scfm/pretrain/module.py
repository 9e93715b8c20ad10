"""The training step, validation and what they leave behind, as a Lightning module."""

import lightning
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from scfm.errors import ScfmError
from scfm.models.bmfm.network import Network, Task, combine
from scfm.models.bmfm.view import Cells, make_view
from scfm.pretrain.settings import Training
from scfm.pretrain.tracking import GeneErrors

SPLITS = {"train": 0, "validate": 1}


class Pretrain(lightning.LightningModule):
    """Trains a network by sums and counts over whole updates.

    Args:
        measured: bool [datasets, genes].
        mean_nonzero, zero_fraction: float [genes] over the validation cells.
        name: run and seed, for messages. updates: updates of the whole training.
    """

    def __init__(
        self,
        network: Network,
        training: Training,
        measured: Tensor,
        mean_nonzero: Tensor,
        zero_fraction: np.ndarray,
        genes: list[str],
        seed: int,
        name: str,
        updates: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network, self.training_settings, self.genes = network, training, genes
        self.zero_fraction = zero_fraction
        self.seed, self.name, self.updates = seed, name, updates
        self.register_buffer("measured", measured, persistent=False)
        self.register_buffer("mean_nonzero", mean_nonzero, persistent=False)
        self.register_buffer("train_targets", torch.zeros(len(genes), dtype=torch.int64), persistent=False)
        self.metrics: list[dict] = []
        self.errors: list[pd.DataFrame] = []
        self.seen = {"cells": 0, "tokens": 0}
        self._sums: dict[str, dict[str, list]] = {split: {} for split in SPLITS}

    # --- optimisation

    def configure_optimizers(self):
        """AdamW with weight decay on matrices only; linear warm-up, constant, optional linear end."""
        t = self.training_settings
        matrices = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": t.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=t.learning_rate, betas=t.betas, fused=True)

        def rate(step: int) -> float:
            rise = min(1.0, (step + 1) / max(t.warmup_steps, 1))
            fall = min(1.0, (self.updates - step) / t.decay_steps) if t.decay_steps else 1.0
            return rise * max(fall, 0.0)

        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, rate)]

    def training_step(self, update: list[Cells], index: int) -> None:
        """One update: counts of all micro-batches and ranks first, then the gradients that they scale."""
        optimizer = self.optimizers()
        generator = self._generator("train", self.global_step, self.global_rank)
        views = [make_view(cells.to(self.device), self.network.settings, self.measured, generator) for cells in update]
        counts = self._total([_counts(view) for view in views]) if len(views) > 1 or self._ranks > 1 else None
        for view in views:
            tasks, _ = self.network.tasks(view, generator)
            self.manual_backward(combine(tasks, counts or {k: t.count for k, t in tasks.items()}) * self._ranks)
            self._note("train", tasks)
            self._count_targets(view)
        # Not Lightning's own clipping: it refuses fused optimizers under mixed precision.
        torch.nn.utils.clip_grad_norm_(self.parameters(), self.training_settings.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        self.lr_schedulers().step()
        self.seen["cells"] += sum(len(cells.lengths) for cells in update) * self._ranks
        self.seen["tokens"] += sum(len(view.gene) for view in views) * self._ranks

    @property
    def _ranks(self) -> int:
        return self.trainer.world_size

    def _generator(self, split: str, *numbers: int) -> torch.Generator:
        """A generator that depends on the seed and the position alone, so that a resumed run is the same run."""
        mixed = 0
        for number in (self.seed, SPLITS[split], *numbers):
            mixed = (mixed * 1_000_003 + number + 1) % (2**62)
        return torch.Generator(self.device).manual_seed(mixed)

    def _total(self, counts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Counts summed over micro-batches and ranks."""
        total = torch.stack([torch.stack([c[name] for c in counts]).sum() for name in counts[0]])
        if self._ranks > 1:
            torch.distributed.all_reduce(total)
        return dict(zip(counts[0], total, strict=True))

    @torch.no_grad()
    def _count_targets(self, view) -> None:
        if view.target_mask is None:
            gene = view.gene[view.target_position]
            self.train_targets.index_add_(0, gene, torch.ones_like(gene))
        else:
            self.train_targets += view.target_mask.sum(0)

    # --- validation

    def on_validation_epoch_start(self) -> None:
        self._errors = GeneErrors(self.mean_nonzero)

    def validation_step(self, cells: Cells, index: int) -> None:
        """All passes over one batch, each with its own tokens and masks."""
        cells = cells.to(self.device)
        for number in range(self.training_settings.validation_passes):
            generator = self._generator("validate", number, index, self.global_rank)
            view = make_view(cells, self.network.settings, self.measured, generator, "validate")
            tasks, predicted = self.network.tasks(view)
            self._note("validate", tasks)
            self._errors.update(view, predicted)

    def on_validation_epoch_end(self) -> None:
        if self._ranks > 1:
            self._errors.reduce()
        epoch = self.current_epoch + 1 if self.trainer.state.fn == "fit" else 0
        table = self._errors.frame(self.genes, self.zero_fraction, self._over_ranks(self.train_targets))
        table.insert(0, "epoch", epoch)
        self.errors.append(table)
        self.metrics.append(
            {"epoch": epoch, "step": self.global_step, **self._drain("train"), **self._drain("validate")}
        )

    # --- bookkeeping

    def _note(self, split: str, tasks: dict[str, Task]) -> None:
        for name, task in tasks.items():
            total, count = self._sums[split].get(name, (0, 0))
            self._sums[split][name] = (total + task.total.detach().double(), count + task.count)

    def _over_ranks(self, x: Tensor) -> Tensor:
        """`x` summed over the ranks, in a tensor of its own."""
        x = x.clone()
        if self._ranks > 1:
            torch.distributed.all_reduce(x)
        return x

    def _drain(self, split: str) -> dict[str, float]:
        """Mean of each task since the last call.

        Raises:
            ScfmError: a mean is not finite.
        """
        means = {}
        for name, (total, count) in self._sums[split].items():
            pair = self._over_ranks(torch.stack([total, count.double()]))
            means[f"{split}_{name}"] = (pair[0] / pair[1]).item() if pair[1] else float("nan")
            if pair[1] and not torch.isfinite(pair[0]):
                raise ScfmError(
                    f"{self.name}: loss '{name}' is not finite at step {self.global_step}; lower training.learning_rate"
                )
        self._sums[split] = {}
        return means

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        # One file serves all ranks: it holds sums over the ranks, and the first rank alone takes them back.
        columns = [{name: column.tolist() for name, column in table.items()} for table in self.errors]
        sums = self._sums["train"].items()
        checkpoint["history"] = {
            "metrics": self.metrics,
            "errors": columns,
            "seen": self.seen,
            "train_sums": {name: self._over_ranks(torch.stack([x.double() for x in pair])) for name, pair in sums},
            "train_targets": self._over_ranks(self.train_targets),
        }

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        history = checkpoint["history"]
        self.metrics, self.seen = history["metrics"], history["seen"]
        self.errors = [pd.DataFrame(columns) for columns in history["errors"]]
        if self.global_rank == 0:
            self._sums["train"] = {name: tuple(pair.cpu()) for name, pair in history["train_sums"].items()}
            self.train_targets.copy_(history["train_targets"])


def _counts(view) -> dict[str, Tensor]:
    """Targets of each task in a view, as `Network.tasks` counts them, before the forward pass."""
    above = (view.target_value > 0).sum()
    every = view.target_mask.sum() if view.target_mask is not None else above.new_tensor(view.target_value.numel())
    return {"value": above, "is_zero": every} | {f"{k}_hce": (codes >= 0).sum() for k, codes in view.labels.items()}
