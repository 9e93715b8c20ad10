"""Train one run with one seed and write its model directory."""

import hashlib
import logging
import os
import warnings
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader

from scfm.corpus import Shards
from scfm.errors import ScfmError
from scfm.model import write_model
from scfm.models.bmfm.network import Network
from scfm.ontology import LabelTree, Ontology
from scfm.pretrain.data import Batches, Updates, choose_rows, label_codes, label_tree, marginals
from scfm.pretrain.guard import die_with_parent, sole_trainer
from scfm.pretrain.module import Pretrain
from scfm.pretrain.progress import Progress
from scfm.pretrain.settings import Run
from scfm.settings import as_json


def train(
    run: Run,
    name: str,
    seed: int,
    shards_path: Path,
    ontology_path: Path | None,
    work: Path,
    out: Path,
    devices: int,
    code: str = "",
) -> str:
    """Train from the last checkpoint in `work`, if there is one of these settings, and write `out`.

    Args:
        devices: GPUs (then started by torchrun when above 1), or 0 for the CPU.
        code: digest of the code, where a checkpoint of other code must not be resumed.

    Returns:
        A summary line; empty on all processes but the first.

    Raises:
        ScfmError: no cells in a split, no ontology or no label for an HCE run, too few cells for one update, a loss
            that is not finite, another trainer at work, or fewer processes than devices.
    """
    die_with_parent()
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world != max(devices, 1):
        raise ScfmError(f"{name}: {devices} devices asked but {world} processes started; launch with torchrun")
    rank = int(os.environ.get("RANK", 0))
    _quiet()
    shards = Shards.open(shards_path)
    if run.model.heads and ontology_path is None:
        raise ScfmError(f"{name}: a run with a label head needs the Cell Ontology; name its file with --ontology")
    tree = label_tree(shards.cells, Ontology.read(ontology_path)) if run.model.heads else None
    train_rows, validation_rows = (
        choose_rows(shards.cells, split, run.corpus_fraction, seed=0) for split in ("train", "validation")
    )
    labels = label_codes(shards.cells, tree)
    t = run.training

    def updates(epoch: int) -> Updates:
        return Updates(shards, train_rows, labels, t.batch_cells, t.accumulate, (seed, epoch), rank, world)

    total = t.epochs * len(updates(0)) if run.trained else 0
    if run.trained and not total:
        raise ScfmError(
            f"{name}: {len(train_rows)} training cells are fewer than one update of "
            f"{t.batch_cells * t.accumulate * world}; lower training.batch_cells or accumulate"
        )
    module = _module(run, name, seed, shards, tree, train_rows, validation_rows, total)
    digest = _digest(run, seed, shards_path, tree, code)
    with sole_trainer(work / f"rank{rank}"):
        trainer, progress = _trainer(run, name, work, digest, devices, total)
        validation = DataLoader(
            Batches(shards, validation_rows, labels, t.validation_cells, rank, world), batch_size=None
        )
        if run.trained:
            data = _EpochLoaders(updates, validation, t.workers)
            last = work / f"{digest}.ckpt"
            trainer.fit(module, data, ckpt_path=last if last.exists() else None)
            speed = progress.speed(module)
        else:
            trainer.validate(module, validation, verbose=False)
            speed = {}
        if trainer.is_global_zero:
            _write(out, run, name, seed, shards, tree, module, speed, len(train_rows), len(validation_rows))
    if rank:
        return ""
    losses = {key: value for key, value in module.metrics[-1].items() if key.startswith("validate")}
    return (
        f"pretrain {name}: {total:,} updates on {len(train_rows):,} cells, "
        + (f"{speed['cells_per_s']:,.0f} cells/s, " if speed else "untrained, ")
        + ", ".join(f"{key.removeprefix('validate_')} {value:.4f}" for key, value in losses.items())
    )


class _EpochLoaders(lightning.LightningDataModule):
    """Hands Lightning a fresh, seeded pass for each epoch."""

    def __init__(self, updates, validation: DataLoader, workers: int) -> None:
        super().__init__()
        self.updates, self.validation, self.workers = updates, validation, workers

    def train_dataloader(self) -> DataLoader:
        prefetch = {"prefetch_factor": 4} if self.workers else {}
        return DataLoader(
            self.updates(self.trainer.current_epoch), batch_size=None, num_workers=self.workers, **prefetch
        )

    def val_dataloader(self) -> DataLoader:
        return self.validation


def _module(run, name, seed, shards, tree: LabelTree | None, train_rows, validation_rows, total) -> Pretrain:
    membership = torch.from_numpy(tree.membership) if tree else None
    network = Network(run.model, len(shards.genes), membership, seed)
    if run.model.objective.kind == "wced" and run.model.objective.marginal_init:
        _, zero_fraction, mean = marginals(shards, train_rows[:100_000])
        network.decoder.start_at_marginals(torch.from_numpy(zero_fraction).float(), torch.from_numpy(mean).float())
    n, zero_fraction, mean_nonzero = marginals(shards, validation_rows)
    return Pretrain(
        network,
        run.training,
        torch.from_numpy(shards.measured),
        torch.from_numpy(mean_nonzero).float(),
        np.where(n > 0, zero_fraction, np.nan),
        shards.genes["gene"].tolist(),
        seed,
        name,
        total,
    )


def _trainer(run: Run, name: str, work: Path, digest: str, devices: int, total: int):
    t = run.training
    progress = Progress(name, total)
    # At the end of an epoch its validation is done too, so that a resumed run repeats nothing.
    checkpoint = ModelCheckpoint(work, filename=digest, save_on_train_epoch_end=True, enable_version_counter=False)
    trainer = lightning.Trainer(
        accelerator="gpu" if devices else "cpu",
        devices=max(devices, 1),
        # Each rank counts its own training targets in a buffer; the others are constants.
        strategy=DDPStrategy(broadcast_buffers=False) if devices > 1 else "auto",
        precision=t.precision,
        max_epochs=t.epochs,
        check_val_every_n_epoch=t.validate_every,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        callbacks=[progress, checkpoint],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=work,
    )
    return trainer, progress


def _write(out, run, name, seed, shards, tree, module: Pretrain, speed, n_train: int, n_validation: int) -> None:
    errors = pd.concat(module.errors, ignore_index=True)
    errors.insert(0, "run", name.split("/")[0])
    errors.insert(1, "seed", seed)
    metrics = pd.DataFrame(module.metrics)
    for key, value in speed.items():
        metrics[key] = value
    about = {
        "run": name.split("/")[0],
        "seed": seed,
        "settings": run.model_dump(mode="json"),
        "parameters": sum(p.numel() for p in module.network.parameters()),
        "train_cells": n_train,
        "validation_cells": n_validation,
        "updates": module.global_step,
    }
    write_model(out, module.network, about, shards.genes, tree, metrics, errors)


def _digest(run: Run, seed: int, shards_path: Path, tree: LabelTree | None, code: str) -> str:
    """Names a checkpoint by everything that it depends on, so that a stale one is never resumed."""
    manifest = (Path(shards_path) / "manifest.json").read_text()
    parts = (as_json(run), str(seed), manifest, as_json(tree.to_json() if tree else {}), code)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _quiet() -> None:
    """Leave out Lightning's hints; what matters is printed by `Progress`."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
