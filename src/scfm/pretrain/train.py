"""Train one run with one seed and write its model directory."""

import hashlib
import logging
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from scfm.code import digest
from scfm.corpus import Reader, Shards, marginals
from scfm.corpus.settings import SourceSettings
from scfm.errors import ScfmError
from scfm.model_directory import write_model
from scfm.models.prepared import Material, Prepared
from scfm.models.system import load_system
from scfm.ontology import Ontology
from scfm.pretrain.data import choose_rows
from scfm.pretrain.fabric import launch
from scfm.pretrain.guard import sole_trainer
from scfm.pretrain.loader import Batches, Updates
from scfm.pretrain.plan import make_plan
from scfm.pretrain.settings import Run
from scfm.pretrain.start import start_from
from scfm.pretrain.stop import stop_on_request
from scfm.pretrain.trainer import Trainer
from scfm.pretrain.vectors import read_vectors, vectors_digest
from scfm.settings import as_json


def train(
    run: Run,
    name: str,
    seed: int,
    corpus_path: Path,
    ontology_path: Path | None,
    work: Path,
    out: Path,
    devices: int,
    code: str = "",
    max_minutes: float | None = None,
    source: SourceSettings | None = None,
    soma_path: Path | None = None,
    vectors_path: Path | None = None,
    start_path: Path | None = None,
) -> str:
    """Train from the last checkpoint in `work`, if there is one of these settings, and write `out`.

    Args:
        corpus_path: training shards, or with loader `soma` the selection of cells.
        devices: GPUs (then started by torchrun when above 1), or 0 for the CPU.
        code: digest of the code, where a checkpoint of other code must not be resumed.
        max_minutes: time after which to write a checkpoint and stop.
        source, soma_path: with loader `soma`, where the cells were selected from and the local SOMA if it is one.
        vectors_path: cell vectors that `write_vectors` wrote, for a system that reads them.
        start_path: model directory of the run to begin with, where the run names one.

    Returns:
        A summary line; empty on all processes but the first.

    Raises:
        Stopped: a signal or `max_minutes` asked to stop before the end; a checkpoint is written.
        ScfmError: no cells in a split, no ontology or no label for an HCE run, too few cells for one update, a loss
            that is not finite, another trainer at work, fewer processes than devices, unusable gene vectors, or what
            `start_from` raises.
    """
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world != max(devices, 1):
        raise ScfmError(f"{name}: {devices} devices asked but {world} processes started; launch with torchrun")
    rank = int(os.environ.get("RANK", 0))
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)  # hints; what matters is printed by `Progress`
    corpus = _open(run, corpus_path, source, soma_path)
    if run.model.cell_encoder and vectors_path is None:
        raise ScfmError(f"{name}: the system '{run.system}' reads cell vectors; name their file with --vectors")
    if run.start and start_path is None:
        raise ScfmError(f"{name}: it begins with the weights of '{run.start.run}'; name its model with --start")
    if run.model.names_cell_types and ontology_path is None:
        raise ScfmError(f"{name}: a head of cell types needs the Cell Ontology; name its file with --ontology")
    ontology = Ontology.read(ontology_path) if run.model.names_cell_types else None
    train_rows, validation_rows = (
        choose_rows(corpus.cells, split, run.corpus_fraction, seed=0, choice=run.cells)
        for split in ("train", "validation")
    )
    material = Material(corpus, train_rows, ontology, read_vectors(vectors_path, corpus) if vectors_path else None)
    prepared = load_system(run.system).prepare(run.model, material, seed)
    if material.vectors is not None:
        prepared.digest += vectors_digest(material.vectors)
    begun = (start_from(start_path, run, corpus, prepared),) if start_path else ()
    for remark in () if rank else (*prepared.remarks, *begun):
        print(f"{name}: {remark}", file=sys.stderr)
    t = run.training
    plan = make_plan(run, corpus, prepared, train_rows, t.accumulate * world)

    def updates(epoch: int, first: int) -> Updates:
        order, edges, labels, sets = plan.epoch((seed, epoch))
        return Updates(corpus, order, edges, labels, t.accumulate, first, rank, world, sets)

    if run.trained and not plan.batches:
        raise ScfmError(
            f"{name}: {len(train_rows)} training cells are fewer than one update on {world} device(s) takes; lower "
            "training.batch_cells, batch_tokens or accumulate"
        )
    with sole_trainer(work / f"rank{rank}"):
        each = plan.batches // (t.accumulate * world)
        trainer = _trainer(run, name, seed, corpus, prepared.network, validation_rows, each, devices)
        order, edges, labels, sets = plan.validation(validation_rows)
        validation = Batches(corpus, order, edges, labels, rank, world, sets)
        if run.trained:
            checkpoint = work / _checkpoint_name(run, seed, corpus, prepared, code)
            with stop_on_request(max_minutes) as stop:
                trainer.fit(updates, validation, checkpoint, stop)
        else:
            trainer.validate(validation, epoch=0)
        if not rank:
            _write(out, run, name, seed, corpus, prepared, trainer, len(train_rows), len(validation_rows))
    if rank:
        return ""
    losses = {key: value for key, value in trainer.metrics[-1].items() if key.startswith("validate")}
    speed = f"{trainer.progress.speed()['cells_per_s']:,.0f} cells/s, " if run.trained else "untrained, "
    return f"pretrain {name}: {trainer.step:,} updates on {len(train_rows):,} cells, {speed}" + ", ".join(
        f"{key.removeprefix('validate_')} {value:.4f}" for key, value in losses.items()
    )


def _open(run: Run, path: Path, source: SourceSettings | None, soma_path: Path | None) -> Reader:
    if run.training.loader == "shards":
        return Shards.open(path)
    from scfm.corpus.direct import Direct

    return Direct.open(path, source, soma_path)


def _trainer(
    run: Run, name: str, seed: int, corpus: Reader, network: nn.Module, validation_rows, updates: int, devices: int
) -> Trainer:
    n, zero_fraction, mean_nonzero = marginals(corpus, validation_rows)
    return Trainer(
        launch(devices),
        network,
        run.training,
        torch.from_numpy(corpus.measured),
        torch.from_numpy(mean_nonzero).float(),
        np.where(n > 0, zero_fraction, np.nan),
        corpus.genes["gene"].tolist(),
        seed,
        name,
        updates,
    )


def _write(
    out: Path,
    run: Run,
    name: str,
    seed: int,
    corpus: Reader,
    prepared: Prepared,
    trainer: Trainer,
    n_train,
    n_validation,
) -> None:
    errors = pd.concat(trainer.errors, ignore_index=True) if trainer.errors else None
    if errors is not None:
        errors.insert(0, "run", name.split("/")[0])
        errors.insert(1, "seed", seed)
    metrics = pd.DataFrame(trainer.metrics)
    for key, value in trainer.progress.speed().items() if run.trained else ():
        metrics[key] = value
    about = {
        "run": name.split("/")[0],
        "seed": seed,
        "settings": run.model_dump(mode="json"),
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
        "train_cells": n_train,
        "validation_cells": n_validation,
        "updates": trainer.step,
        "weights_of_epoch": trainer.best["epoch"] if trainer.best else trainer.epoch,
        "code": digest("scfm.pretrain.commands:train", f"scfm.models.{run.system}.system"),
    } | prepared.about
    write_model(out, trainer.average.network, about, corpus.genes, prepared.tree, metrics, errors, prepared.classes)


def _checkpoint_name(run: Run, seed: int, corpus: Reader, prepared: Prepared, code: str) -> str:
    """Stands for everything that a checkpoint depends on, so that a stale one is never resumed."""
    manifest = (corpus.path / "manifest.json").read_text()
    parts = [as_json(run), str(seed), manifest, as_json(prepared.tree.to_json() if prepared.tree else {}), code]
    content = "\0".join(parts).encode() + prepared.digest
    return hashlib.sha256(content).hexdigest()[:16] + ".ckpt"
