"""Perturbed cells that a system predicts, trained anew for each fold on what `learnt` says and on nothing else."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.anew import run_on
from scfm.benchmarks.fold_shards import write_fold
from scfm.benchmarks.perturbation import ANEW, WHERE, asked_datasets, cells_of
from scfm.benchmarks.task_settings import PerturbationTask
from scfm.errors import ScfmError
from scfm.perturbation import PROMPT, QUERY, TEST, TRAIN, Holdout, check_predictions, conditions, hold_out, partners
from scfm.pretrain.settings import Run

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


@dataclass(frozen=True)
class Fold:
    """Cells of one fold, and what is asked for."""

    place: tuple[str, str, str]
    """Dataset, split and fold."""
    cells: "AnnData"
    """All cells of the dataset."""
    sides: np.ndarray
    """Strings [cells], of `scfm.perturbation.hold_out`."""

    @property
    def query(self) -> "pd.DataFrame":
        """Columns background and perturbation: the held-out pairs."""
        return conditions(self.cells.obs[self.sides == TEST])

    @property
    def shown(self) -> np.ndarray:
        """bool [cells]: what may be known when predicting, which is no test cell."""
        return np.isin(self.sides, (TRAIN, PROMPT, QUERY))


def predict(
    datasets: Sequence[Path],
    run: Run,
    settings: PerturbationTask,
    name: str,
    seed: int,
    work: Path,
    devices: int,
    code: str = "",
) -> "AnnData":
    """Predicted cells of every held-out pair that the system has a way to predict, of all datasets.

    Args:
        datasets: prepared datasets. run: as it is trained on each fold, but for what `settings.by_dataset` says.
        name: of the run, for messages.
        work: folder of checkpoints. devices: 1 to train and predict on a GPU, 0 on the CPU.
        code: digest of the code, a checkpoint of other code is not resumed.

    Returns:
        AnnData: X CSR float32 counts, genes of all datasets (0 where one has not measured a gene); obs background,
        perturbation and `WHERE`; uns `ANEW`, run, seed. A split in which it cannot predict some pair is left out, with
        a line that says so.

    Raises:
        ScfmError: nothing can be predicted; what `scfm.benchmarks.perturbation.cells_of`, `run_on`, `hold_out`, the
            training, the system's `predict` and `check_predictions` raise.
    """
    import anndata

    parts = []
    for dataset, adata in asked_datasets(datasets, settings).items():
        cells, own = cells_of(adata, settings), run_on(run, dataset, settings)
        for holdout in settings.holdouts.get(dataset, (Holdout(),)):
            folds = [
                Fold((dataset, holdout.name, fold), cells, sides)
                for fold, sides in hold_out(cells.obs, holdout).items()
            ]
            if unseen := sorted(set().union(*(not_known(fold, own) for fold in folds))):
                print(
                    f"{name}/{seed}: {dataset}, {holdout.name}: left out, for it is shown no cell of '{unseen[0]}'"
                    + (f", nor of {len(unseen) - 1} others" if len(unseen) > 1 else ""),
                    file=sys.stderr,
                )
                continue
            parts += [predict_fold(fold, own, settings, name, seed, work, devices, code) for fold in folds]
    if not parts:
        raise ScfmError(
            f"run '{name}': it predicts perturbations that it is shown elsewhere or partner by partner, by "
            f"{run.model.predicts}, and none of those held out is; hold out others, or leave the run out of "
            "task_models.perturbation"
        )
    out = anndata.concat(parts, join="outer", fill_value=0)
    out.obs_names = [str(i) for i in range(out.n_obs)]
    out.uns = {ANEW: True, "run": name, "seed": seed}
    return out


def learnt(fold: Fold, run: Run) -> np.ndarray:
    """bool [cells]: what a run is trained on; by names, controls of held-out backgrounds too."""
    return np.isin(fold.sides, (TRAIN, QUERY) if run.model.predicts == "names" else (TRAIN,))


def not_known(fold: Fold, run: Run) -> set[str]:
    """Held-out perturbations of which, or of a partner of which, the run is shown no cell, or by names learns none."""
    seen = learnt(fold, run) if run.model.predicts == "names" else fold.shown
    known = set(fold.cells.obs["perturbation"][seen].astype(str))
    asked = set(fold.query["perturbation"])
    return {name for name in asked if name not in known and not partners(name) <= known}


def predict_fold(
    fold: Fold, run: Run, settings: PerturbationTask, name: str, seed: int, work: Path, devices: int, code: str
) -> "AnnData":
    """Train on one fold and predict its held-out pairs; arguments and errors as `predict`."""
    import scfm
    from scfm.models.system import load_system
    from scfm.pretrain.train import train

    where = "-".join(part for part in fold.place if part)
    with TemporaryDirectory() as temporary:
        shards, model = Path(temporary) / "shards", Path(temporary) / "model"
        write_fold(fold.cells, learnt(fold, run), settings.validation, seed, shards)
        whose = f"{name}/{seed} {where}"
        print(train(run, whose, seed, shards, None, work / where, model, devices, code), file=sys.stderr)
        network = scfm.load(model, "gpu" if devices else "cpu").network
        system, shown = load_system(run.system), fold.shown
        cells, sides = fold.cells[shown].copy(), fold.sides[shown]
        made = system.predict(network, cells, sides, fold.query, settings.predicted, seed)
    checked = check_predictions(made, fold.cells.var_names, fold.query)
    checked.obs = checked.obs.assign(**dict(zip(WHERE, fold.place, strict=True)))
    return checked


def summary(predicted: "AnnData") -> "Iterator[str]":
    """A line for each dataset and split: folds, pairs and cells."""
    for (dataset, split), own in predicted.obs.groupby(["dataset", "split"], sort=False, observed=True):
        pairs = len(own.drop_duplicates(["fold", "background", "perturbation"]))
        yield f"{dataset}, {split}: {own['fold'].nunique()} folds, {pairs} pairs, {len(own):,} cells"
