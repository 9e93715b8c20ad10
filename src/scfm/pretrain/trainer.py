"""One training: updates, validations, and the state from which it goes on exactly where it stopped."""

import math
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from scfm.errors import ScfmError
from scfm.files import whole
from scfm.models.cells import Cells
from scfm.models.tasks import combine
from scfm.pretrain.average import Average
from scfm.pretrain.best import better, weighted_loss
from scfm.pretrain.draws import generator_at
from scfm.pretrain.fabric import Fabric
from scfm.pretrain.flops import gemm_peak
from scfm.pretrain.loader import Updates, load
from scfm.pretrain.masking import RunningErrors
from scfm.pretrain.optimizer import make_optimizer
from scfm.pretrain.precision import autocast, gradient_scaler
from scfm.pretrain.progress import Progress
from scfm.pretrain.settings import Training
from scfm.pretrain.steplog import StepLog
from scfm.pretrain.stop import Stop, Stopped
from scfm.pretrain.sums import LossSums, over_ranks, sum_counts
from scfm.pretrain.tracking import GeneErrors

SPLITS = {"train": 0, "validate": 1}


class Trainer:
    """Trains a network by sums and counts over whole updates.

    Args:
        measured: bool [datasets, genes].
        mean_nonzero, zero_fraction: float [genes] over the validation cells.
        name: run and seed, for messages. updates: updates of one epoch.
    """

    def __init__(
        self,
        fabric: Fabric,
        network: nn.Module,
        training: Training,
        measured: Tensor,
        mean_nonzero: Tensor,
        zero_fraction: np.ndarray,
        genes: list[str],
        seed: int,
        name: str,
        updates: int,
    ) -> None:
        self.fabric, self.network, self.training, self.genes = fabric, network, training, genes
        self.zero_fraction, self.seed, self.name = zero_fraction, seed, name
        self.updates, self.total = updates, updates * training.epochs
        self.module = fabric.setup_module(network)
        self.module.mark_forward_method("tasks")
        # Not wrapped by Fabric: a fused step must see the scaler's verdict on its gradients.
        self.optimizer, self.schedule = make_optimizer(network, training, self.total)
        self.scaler = gradient_scaler(fabric.device, training.precision)
        self.average = Average(network, training.average)
        self.measured, self.mean_nonzero = measured.to(fabric.device), mean_nonzero.to(fabric.device)
        self.train_targets = torch.zeros(len(genes), dtype=torch.int64, device=fabric.device)
        memory, self.tracks = network.settings.error_memory, network.settings.tracks_genes
        self.masking = RunningErrors(len(genes), memory, fabric.device) if memory is not None else None
        self.step = 0  # updates done
        self.epoch = 0  # epochs done, their validation included
        self.metrics: list[dict] = []
        self.errors: list[pd.DataFrame] = []
        self.best: dict | None = None  # where asked for: loss, epoch and weights of the best validation so far
        self.progress = Progress(name, self.total, training.epochs, fabric.device)
        self._sums = {split: LossSums() for split in SPLITS}

    def fit(
        self,
        updates: Callable[[int, int], Updates],
        validation: IterableDataset,
        checkpoint: Path,
        stop: Stop,
    ) -> None:
        """Train to the last epoch, from `checkpoint` on if it is there.

        Args:
            updates: the updates of an epoch (first argument) from a position (second) on.
            checkpoint: written at the end of each epoch, before each validation, and when asked to stop.

        Raises:
            Stopped: the training was asked to stop; its state is in `checkpoint`.
            ScfmError: a loss is not finite.
        """
        if checkpoint.exists():
            self.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True))
            if self.fabric.is_global_zero:
                print(f"{self.name}: going on from step {self.step:,} of {self.total:,}", file=sys.stderr, flush=True)
        if self.epoch < self.training.epochs:
            with self._log(checkpoint.with_suffix(".log")) as log:
                self._epochs(updates, validation, checkpoint, stop, log)
        if self.best is not None:
            self.average.network.load_state_dict(self.best["network"])

    def _epochs(self, updates, validation: IterableDataset, checkpoint: Path, stop: Stop, log: StepLog | None) -> None:
        while self.epoch < self.training.epochs:
            first = self.step - self.epoch * self.updates
            self.module.train()
            self.progress.enter()
            for update in load(updates(self.epoch, first), self.training.workers):
                self.progress.begin()
                stopping = self.update(update, stop)
                self.progress.end(update, self._ranks)
                if stopping:
                    self.save(checkpoint)
                    self._stopped(stop)
                # Once asked to stop, who reads the lines may be gone.
                if log is not None and not stop.reason and self.progress.due(self.step):
                    self._report(log)
            if (self.epoch + 1) % self.training.validate_every == 0:
                self.save(checkpoint)  # a stop in the validation then costs no training
                self.validate(validation, self.epoch + 1, stop)
            self.epoch += 1
            self.save(checkpoint)

    def update(self, update: list[Cells], stop: Stop) -> bool:
        """One update: counts of all micro-batches and ranks first, then the gradients that they scale.

        Returns:
            Whether any rank was asked to stop.
        """
        network, device = self.network, self.fabric.device
        generator = generator_at(device, self.seed, SPLITS["train"], self.step, self.fabric.global_rank)
        error = {"gene_error": self.masking.error} if self.masking else {}
        views = [network.view(cells.to(device), self.measured, generator, "train", **error) for cells in update]
        counts, asked = None, False
        if len(views) > 1 or self._ranks > 1:
            counts, asked = sum_counts([network.counts(view) for view in views], stop.reason is not None)
        for number, view in enumerate(views, 1):
            with self.fabric.no_backward_sync(self.module, enabled=number < len(views)):
                with autocast(device, self.training.precision):
                    tasks, predicted = self.module.tasks(view, generator, self.epoch)
                loss = combine(tasks, counts or {k: t.count for k, t in tasks.items()}) * self._ranks
                self.fabric.backward(self.scaler.scale(loss))
            self._sums["train"].add(tasks)
            if self.tracks:
                network.count_genes(self.train_targets, view)
            if self.masking:
                self.masking.add(network.gene_targets(view, predicted))
            self.progress.tokens += view.tokens * self._ranks
            self.progress.flops = self.progress.flops + network.flops(view)
        self.scaler.unscale_(self.optimizer)
        self.gradient_norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.training.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()
        self.average.update(self.network)
        if self.masking:
            self.masking.end_update(self._ranks)
        self.step += 1
        return asked if self._ranks > 1 else stop.reason is not None

    @torch.no_grad()
    def validate(self, validation: IterableDataset, epoch: int, stop: Stop | None = None) -> None:
        """All passes over the validation cells, each with its own tokens and masks; adds to `metrics` and `errors`.

        Raises:
            Stopped: the training was asked to stop.
            ScfmError: a loss is not finite.
        """
        network, device = self.average.network.eval(), self.fabric.device
        errors = GeneErrors(self.mean_nonzero)
        for index, cells in enumerate(DataLoader(validation, batch_size=None)):
            if stop is not None and stop.reason is not None:
                self._stopped(stop)
            cells = cells.to(device)
            for number in range(self.training.validation_passes):
                generator = generator_at(device, self.seed, SPLITS["validate"], number, index, self.fabric.global_rank)
                view = network.view(cells, self.measured, generator, "validate")
                with autocast(device, self.training.precision):
                    # With the weights of the last epoch in all: only so can their losses be compared.
                    tasks, predicted = network.tasks(view, epoch=self.training.epochs - 1)
                self._sums["validate"].add(tasks)
                if self.tracks:
                    errors.update(network.gene_targets(view, predicted))
        if self.tracks:
            self._note_errors(errors, epoch)
        trained, means = self._drain("train"), self._drain("validate")
        self.metrics.append({"epoch": epoch, "step": self.step, **trained, **means})
        if self.training.keep == "best":
            self.best = better(self.best, weighted_loss(means, tasks), epoch, network)

    def _note_errors(self, errors: GeneErrors, epoch: int) -> None:
        if self._ranks > 1:
            errors.reduce()
        table = errors.frame(self.genes, self.zero_fraction, over_ranks(self.train_targets))
        table.insert(0, "epoch", epoch)
        self.errors.append(table)

    # --- state

    def save(self, path: Path) -> None:
        """Write the state, summed over the ranks, so that one file serves them all; it replaces the last one."""
        state = self.state_dict()
        if self.fabric.is_global_zero:
            with whole(path) as temporary, temporary.open("wb") as file:
                torch.save(state, file)

    def state_dict(self) -> dict:
        """Everything that the rest of the training depends on or reports; called on all ranks."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "epoch": self.epoch,
            "metrics": self.metrics,
            "errors": [{name: column.tolist() for name, column in table.items()} for table in self.errors],
            "best": self.best,
            "train_sums": self._sums["train"].totals(),
            "train_targets": over_ranks(self.train_targets),
            "masking": self.masking and self.masking.sums,
            "progress": self.progress.state_dict(),
        }

    def load_state_dict(self, state: dict) -> None:
        """Take back what `state_dict` gave."""
        for name in ("network", "average", "optimizer", "schedule", "scaler", "progress"):
            getattr(self, name).load_state_dict(state[name])
        self.step, self.epoch, self.metrics, self.best = (state[k] for k in ("step", "epoch", "metrics", "best"))
        self.errors = [pd.DataFrame(columns) for columns in state["errors"]]
        if self.masking:
            self.masking.sums.copy_(state["masking"])
        if self.fabric.is_global_zero:  # sums over the ranks: taken back once
            self._sums["train"].load(state["train_sums"], self.fabric.device)
            self.train_targets.copy_(state["train_targets"])

    @property
    def _ranks(self) -> int:
        return self.fabric.world_size

    def _log(self, folder: Path) -> AbstractContextManager:
        """The log of steps, in the first process; the others have none."""
        if not self.fabric.is_global_zero:
            return nullcontext()
        self.progress.peak = gemm_peak(self.fabric.device, self.training.precision)
        return StepLog(folder, self.step)

    def _report(self, log: StepLog) -> None:
        """Print the line and log its figures, in the first process.

        Raises:
            ScfmError: a loss is not finite; that of another process makes all weights so, hence the next loss here too.
        """
        row = {"step": self.step, "epoch": self.epoch + 1, "learning_rate": self.schedule.get_last_lr()[0]}
        row["gradient_norm"] = self.gradient_norm.item()
        if self.scaler.is_enabled():
            row["loss_scale"] = self.scaler.get_scale()
        for name, mean in self._sums["train"].recent().items():
            if not math.isfinite(mean):
                self._diverged(name)
            row[f"train_{name}"] = mean
        log.add(row | self.progress.report(self.step, self.epoch))

    def _drain(self, split: str) -> dict[str, float]:
        """Mean of each task since the last call.

        Raises:
            ScfmError: a mean is not finite.
        """
        means = {}
        for name, (total, count) in self._sums[split].totals().items():
            means[f"{split}_{name}"] = (total / count).item() if count else float("nan")
            if count and not torch.isfinite(total):
                self._diverged(name)
        self._sums[split].clear()
        return means

    def _diverged(self, loss: str) -> NoReturn:
        raise ScfmError(f"{self.name}: loss '{loss}' is not finite at step {self.step}; lower training.learning_rate")

    def _stopped(self, stop: Stop) -> None:
        reason = stop.reason or "since another process was asked to"
        where = f"at step {self.step:,} of {self.total:,}"
        raise Stopped(f"{self.name}: stopped {reason} {where}; run again to go on from there")
