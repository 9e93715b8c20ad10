"""Prediction of perturbed cells that were held out: a model beside the baselines and the ceiling of the data."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.read import asked, read_prepared, task_of
from scfm.benchmarks.results import Measurement, tidy
from scfm.benchmarks.task_settings import PerturbationTask
from scfm.deposit import read_h5ad
from scfm.errors import ScfmError
from scfm.perturbation import CEILING, Holdout, evaluate, hold_out, screen, summarise
from scfm.perturbation.genes import most_variable

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Tables = "dict[str, pd.DataFrame]"
WHERE = ("dataset", "split", "fold")
"""Columns of predicted cells that say which held-out cells they stand for; one that is missing means all."""
ANEW = "trained_anew"
"""Key of uns of predicted cells: the model was trained for them, on no cell that is held out in their fold."""


def perturbation(
    datasets: Sequence[Path],
    settings: PerturbationTask,
    study: str,
    run: str,
    seed: int,
    predictions: Path | None = None,
    alone: bool = False,
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Score the baselines, and a model's predicted cells if given, on every dataset that is asked for perturbation.

    Args:
        datasets: prepared datasets.
        run, seed: of the model.
        predictions: h5ad of predicted counts, obs perturbation, background and `WHERE`. A dataset or split of which
            they hold no cell is one that the model does not predict.
        alone: give the rows of the model alone.

    Returns:
        Tidy rows, run the model or the name of a baseline or "ceiling", split what is held out: what `summarise` gives,
        each metric with `_low` and `_high`, and perturbations, the number of held-out (background, perturbation)
        pairs; `n` the real cells held out. Of what the model does not predict it has perturbations alone. And a row
        for each of those pairs that is predicted: study, run, seed, dataset, split, fold, background, perturbation,
        cells and the metrics of `scfm.perturbation.metrics.compare`.

    Raises:
        ScfmError: no dataset is asked for perturbation, a dataset without perturbations, a hold-out of a dataset that
            is not given, no cell predicted of any, what `screen`, `hold_out` and `evaluate` raise.
    """
    import pandas as pd

    prepared, predicted = asked_datasets(datasets, settings), None
    if predictions:
        predicted = read_h5ad(predictions, "predicted cells")
    anew = predicted is not None and bool(predicted.uns.get(ANEW, False))
    seen, rows, pairs = {"contaminated": "false"} if anew else {}, [], []
    for name, adata in prepared.items():
        cells = cells_of(adata, settings)
        for holdout in settings.holdouts.get(name, (Holdout(),)):
            tables = _folds(cells, holdout, settings, name, run, predicted)
            wanted = [one for one in tables if one == run or not alone]
            every = _tidy(tables, adata.uns["scfm"] | seen, holdout, settings, study, run, seed)
            rows += [table for table in every if table["run"].iloc[0] in wanted]
            if predicted is not None and run not in tables:
                rows.append(_not_predicted(tables[CEILING], adata.uns["scfm"] | seen, holdout, study, run, seed))
            whose = {"study": study, "seed": seed, "dataset": name, "split": holdout.name}
            pairs += [table.assign(run=one, **whose) for one, table in tables.items() if one in wanted]
    if predicted is not None and not any((table["run"] == run).any() for table in pairs):
        raise ScfmError(f"{predictions}: no cell of {', '.join(prepared)} and its held-out parts; predict them again")
    first = ["study", "run", "seed", "dataset", "split", "fold"]
    every = pd.concat(pairs).reset_index()
    return pd.concat(rows, ignore_index=True), every[[*first, *every.columns.drop(first)]]


def asked_datasets(paths: Sequence[Path], settings: PerturbationTask) -> "dict[str, AnnData]":
    """Name to the prepared dataset, of those that are asked for perturbation.

    Raises:
        ScfmError: none is, or a dataset of which something is to be held out is not among them.
    """
    every = [read_prepared(path) for path in paths]
    found = {str(adata.uns["scfm"]["name"]): adata for adata in every if asked(adata.uns["scfm"], "perturbation")}
    if not found:
        raise ScfmError("no dataset is asked for perturbation; add 'perturbation' to the tasks of one")
    for key in ("holdouts", "by_dataset"):
        if strange := sorted(set(getattr(settings, key)) - set(found)):
            raise ScfmError(f"perturbation.{key}: dataset '{strange[0]}' is not among {', '.join(found)}; correct it")
    return found


def cells_of(adata: "AnnData", settings: PerturbationTask) -> "AnnData":
    """A prepared dataset in the form of `scfm.perturbation.cells.screen`, in the genes that `settings.genes` asks for.

    Where it names no background, the cell type is one.

    Raises:
        ScfmError: what `screen` raises; the dataset names no perturbations or no control, or holds no counts.
    """
    control, separator = notation(adata)
    cells = adata[:, most_variable(adata, settings.genes)].copy() if settings.genes else adata.copy()
    if "background" not in cells.obs:
        cells.obs["background"] = cells.obs["cell_type"].astype(str)
    return screen(cells, control, separator, settings.quality)


def notation(adata: "AnnData") -> tuple[tuple[str, ...], str]:
    """(names that mean no perturbation, what joins the partners of a combination) of a prepared dataset.

    Raises:
        ScfmError: it names no perturbations or no control, or holds no counts.
    """
    facts = adata.uns["scfm"]
    control = tuple(name for name in str(facts.get("control", "")).split(",") if name)
    if "perturbation" not in adata.obs or not control:
        raise ScfmError(
            f"dataset '{facts['name']}': perturbation_column or control is empty; fill both in the sheet of datasets, "
            "or take 'perturbation' off its tasks"
        )
    if facts["values"] != "counts":
        raise ScfmError(f"dataset '{facts['name']}': perturbation needs raw counts, it holds {facts['values']}")
    return control, str(facts.get("separator", ""))


def _folds(
    cells: "AnnData", holdout: Holdout, settings: PerturbationTask, dataset: str, run: str, predicted: "AnnData | None"
) -> Tables:
    """Tables of `evaluate` over all folds, those of a baseline that knows something in each fold."""
    import pandas as pd

    found: dict[str, list] = {}
    folds = hold_out(cells.obs, holdout)
    offered = predicted is not None and chosen(predicted, {"dataset": dataset, "split": holdout.name}).n_obs
    for fold, sides in folds.items():
        place = dict(zip(WHERE, (dataset, holdout.name, fold), strict=True))
        given = {run: chosen(predicted, place)} if offered else {}
        for name, table in evaluate(cells, sides, settings.scoring, given).items():
            found.setdefault(name, []).append(table.assign(fold=fold))
    return {name: pd.concat(tables) for name, tables in found.items() if len(tables) == len(folds)}


def chosen(predicted: "AnnData", place: dict[str, str]) -> "AnnData":
    """The predicted cells of one place, by columns of `WHERE`."""
    rows = np.ones(predicted.n_obs, dtype=bool)
    for column, value in place.items():
        if column in predicted.obs:
            rows &= (predicted.obs[column].astype(str) == value).to_numpy()
    return predicted[rows]


def _tidy(
    tables: Tables, facts: dict, holdout: Holdout, settings: PerturbationTask, study: str, run: str, seed: int
) -> "Iterator[pd.DataFrame]":
    """Tidy rows of every model and baseline on one dataset and split."""
    summary = summarise(tables, settings.scoring)
    for name, own in summary.groupby("name", sort=False):
        n = int(tables[name]["cells"].sum())
        ends = [(row.metric + end, getattr(row, at)) for row in own.itertuples() for end, at in ENDS.items()]
        measured = [Measurement(metric, value, n, holdout.name) for metric, value in ends]
        measured.append(Measurement("perturbations", len(tables[name]), n, holdout.name))
        seen = facts["contaminated"] if name == run else "false"
        yield tidy(measured, contaminated=seen, **_context(facts, study, name, seed))


def _not_predicted(
    held: "pd.DataFrame", facts: dict, holdout: Holdout, study: str, run: str, seed: int
) -> "pd.DataFrame":
    """The one row of a model that has no way to predict what is held out: how much that is."""
    measured = [Measurement("perturbations", len(held), int(held["cells"].sum()), holdout.name)]
    return tidy(measured, contaminated=facts["contaminated"], **_context(facts, study, run, seed))


def _context(facts: dict, study: str, run: str, seed: int) -> dict[str, object]:
    own = {"study": study, "run": run, "pooling": "", "seed": seed}
    return own | {"dataset": str(facts["name"]), "task": task_of(facts, "perturbation")}


ENDS = {"": "value", "_low": "low", "_high": "high"}
"""What follows the name of a metric, and the column of `summarise` behind it."""
