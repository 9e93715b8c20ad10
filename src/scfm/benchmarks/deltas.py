"""Predicted and measured effects on single genes, of a few of the perturbations that were held out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.perturbation import WHERE, asked_datasets, cells_of, chosen
from scfm.benchmarks.task_settings import PerturbationTask
from scfm.deposit import read_h5ad
from scfm.errors import ScfmError
from scfm.perturbation import OUT, TEST, Holdout, check_predictions, conditions, hold_out, predict, pseudobulks

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

BASELINE = "additive"
"""Baseline that stands beside the models."""
PAIR = ["background", "perturbation"]


def deltas(datasets: Sequence[Path], settings: PerturbationTask, predictions: Sequence[Path]) -> "pd.DataFrame":
    """Changes of mean log1p expression against real controls, measured and predicted, gene by gene.

    Of the first fold of each dataset and split, `settings.shown` pairs: those at even steps in the order of the size of
    their measured effect (Euclidean), the largest and the smallest among them. No prediction has a say in the choice.

    Args:
        datasets: prepared. predictions: h5ad of `scfm benchmarks predict`, one a run.

    Returns:
        Columns run, dataset, split, fold, background, perturbation, gene, measured, predicted (natural log), one row a
        gene; run the model or `additive`, where that knows the perturbation; no row of a split that nobody
        predicts. Cells are scaled to the real cells' median count.

    Raises:
        ScfmError: two files of one run, nobody predicts any split, what `asked_datasets`, `cells_of`, `hold_out` and
            `check_predictions` raise.
    """
    import pandas as pd

    models: dict[str, AnnData] = {}
    for path in predictions:
        adata = read_h5ad(path, "predicted cells")
        name = str(adata.uns.get("run", path.stem))
        if name in (*models, BASELINE):
            raise ScfmError(f"{path}: run '{name}' is given twice, or has the name of a baseline; give each run once")
        models[name] = adata
    parts = []
    for dataset, adata in asked_datasets(datasets, settings).items():
        cells = cells_of(adata, settings)
        for holdout in settings.holdouts.get(dataset, (Holdout(),)):
            fold, sides = next(iter(hold_out(cells.obs, holdout).items()))
            place = dict(zip(WHERE, (dataset, holdout.name, fold), strict=True))
            own = {name: chosen(made, place) for name, made in models.items()}
            known = {name: made for name, made in own.items() if made.n_obs}
            parts += [table.assign(**place) for table in of_fold(cells, sides, known, settings.shown)]
    if not parts:
        raise ScfmError("effects: no run and no baseline predicts any of the held-out pairs; predict them first")
    return pd.concat(parts, ignore_index=True)[["run", *WHERE, *PAIR, "gene", "measured", "predicted"]]


def of_fold(cells: "AnnData", sides: np.ndarray, models: "Mapping[str, AnnData]", shown: int) -> "list[pd.DataFrame]":
    """Effects of `shown` held-out pairs of one fold, a table for each that predicts them; columns as `deltas` but for
    those of the place.

    Raises:
        ScfmError: what `check_predictions` raises.
    """
    total = float(np.median(np.asarray(cells.X.sum(1)).ravel()))
    known = pseudobulks(cells[~np.isin(sides, (TEST, OUT))], total)
    test = cells[sides == TEST]
    query = conditions(test.obs)
    start = predict("control_mean", known, query).X
    measured = _of(pseudobulks(test, total), query) - start
    rows = spread(np.linalg.norm(measured, axis=1), shown)
    guess = predict(BASELINE, known, query)
    found = {}
    for name, made in models.items():
        checked = check_predictions(made, cells.var_names, query)
        found[name] = (_of(pseudobulks(checked, total), query) - start)[rows]
    tables = [_long(name, query.iloc[rows], cells, measured[rows], effect) for name, effect in found.items()]
    rows = rows[guess.obs["informed"].to_numpy()[rows]]
    if len(rows):
        tables.append(_long(BASELINE, query.iloc[rows], cells, measured[rows], (guess.X - start)[rows]))
    return tables


def spread(sizes: np.ndarray, number: int) -> np.ndarray:
    """Places of at most so many of the sizes, at even steps from the largest to the smallest."""
    order = np.argsort(-sizes, kind="stable")
    return order[np.unique(np.linspace(0, len(order) - 1, min(number, len(order))).round().astype(int))]


def _of(bulks: "AnnData", query: "pd.DataFrame") -> np.ndarray:
    """Pseudobulks float64 [pairs, genes] in the order of the pairs."""
    pairs = bulks.obs[PAIR].astype(str).apply(tuple, axis=1)
    place = {pair: row for row, pair in enumerate(pairs)}
    return bulks.X[[place[pair] for pair in query[PAIR].itertuples(index=False, name=None)]]


def _long(
    run: str, pairs: "pd.DataFrame", cells: "AnnData", measured: np.ndarray, predicted: np.ndarray
) -> "pd.DataFrame":
    table = pairs.loc[pairs.index.repeat(cells.n_vars), PAIR].reset_index(drop=True)
    genes = np.tile(cells.var_names.to_numpy(str), len(pairs))
    return table.assign(run=run, gene=genes, measured=measured.ravel(), predicted=predicted.ravel())
