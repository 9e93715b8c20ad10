"""Imputation in a tissue: a part of the genes is hidden from half of the cells, and predicted.

Protocol, leave genes out: the genes are dealt into folds, the cells of each tissue into two halves. Each fold is hidden
from each half in turn, so that every gene is predicted in every cell. The other half, which shows all genes, is the
reference: the model reads it in the same sets as the cells in question, where its training has cells that hide nothing
too, and the baselines take their counts from it. The measure is Pearson's correlation of each gene over the cells, on
log1p, the gene-wise correlation of CellPLM's imputation benchmark (Wen et al. 2024), which fine-tunes where this
does not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

from scfm.benchmarks.count_cells import Scored, rank_within, score_datasets, with_counts
from scfm.benchmarks.count_settings import Imputation
from scfm.benchmarks.entry_scores import correlations
from scfm.benchmarks.results import Measurement
from scfm.benchmarks.tissue_neighbors import by_genes, by_place, counts_of_neighbors, everyone
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scfm.set_model import SetModel

WITH, WITHOUT = "with_positions", "without_positions"
SIDES = (0, 1)
LEAST = 2
"""Cells of a tissue that is scored, one to a half."""


def imputation(
    model: "SetModel", paths: Sequence[Path], settings: Imputation, seen: "pd.DataFrame | None" = None, **whose: object
) -> "pd.DataFrame":
    """Score predictions of genes that were hidden, by the model and by baselines that need the dataset alone.

    The model: `with_positions`, where it knows positions, and `without_positions`. Baselines, each the counts of some
    reference cells at the depth of the cell in question: `depth`, all of them, so that only the cell's visible depth
    tells cells apart; `knn`, the nearest by principal components of the visible genes; `spatial_neighbors`, the nearest
    in the tissue. The gene's mean is the same in all cells, and correlates with nothing.

    Args:
        seen, whose: as `score_datasets`.

    Returns:
        Tidy rows: pearson_median and pearson_mean over the scored genes, with `_low` and `_high` by bootstrap over
        genes, `n` the genes; for `with_positions` also pearson_gain, the mean of its difference to `without_positions`;
        for the model cells and cells_left_out, those alone in their tissue or with no visible gene in a fold.

    Raises:
        ScfmError: what `score_datasets` raises; coordinates that are missing; fewer genes than folds; no cell that can
            be scored, or no gene.
    """

    def score(adata: "AnnData") -> Scored:
        name = str(adata.uns["scfm"]["name"])
        places = tissue_places(adata, name)
        rng = np.random.default_rng(settings.seed)
        fold = deal_genes(adata.n_vars, settings.folds, rng, name)
        kept = scorable_cells(adata, fold, settings, name)
        cells = adata[kept].copy()
        groups = np.unique(cells.obs[settings.group].astype(str), return_inverse=True)[1]
        half = rank_within(groups, rng.random(len(groups))) % 2
        scored = scored_genes(cells.X, settings, name)
        found = _correlations(model, Tissue(cells, places[kept], groups, half), fold, scored, settings)
        counts = [Measurement("cells", cells.n_obs, cells.n_obs)]
        counts.append(Measurement("cells_left_out", adata.n_obs - cells.n_obs, adata.n_obs))
        for method, values in found.items():
            rows = gene_scores(values, settings)
            if method == WITH:
                rows += _interval("pearson_gain", values - found[WITHOUT], np.mean, settings)
            of_model = method in (WITH, WITHOUT)
            yield method, of_model, rows + counts * of_model

    return score_datasets(model, paths, "imputation", score, seen, **whose)


def tissue_places(adata: "AnnData", name: str) -> np.ndarray:
    """float64 [cells, 2], the columns x and y.

    Raises:
        ScfmError: they are not there, or not of all cells.
    """
    if not {"x", "y"} <= set(adata.obs):
        raise ScfmError(
            f"dataset '{name}': no coordinates where the task imputation needs them; deposit them as obsm 'spatial', "
            "or take 'imputation' off its tasks"
        )
    places = adata.obs[["x", "y"]].to_numpy(float)
    missing = np.flatnonzero(~np.isfinite(places).all(1))
    if len(missing):
        raise ScfmError(
            f"dataset '{name}': {len(missing):,} of {len(places):,} cells lack coordinates (first: "
            f"'{adata.obs_names[missing[0]]}'); give x and y of all cells, or leave those out"
        )
    return places


def deal_genes(genes: int, folds: int, rng: np.random.Generator, name: str) -> np.ndarray:
    """int64 [genes], the fold of each, about alike in size.

    Raises:
        ScfmError: fewer genes than folds.
    """
    if genes < folds:
        raise ScfmError(f"dataset '{name}': {genes} known genes cannot be dealt into {folds} folds; lower the folds")
    return rng.permutation(np.arange(genes) % folds)


def scorable_cells(adata: "AnnData", fold: np.ndarray, settings: Imputation, name: str) -> np.ndarray:
    """int64, cells with a visible gene whatever fold is hidden, in tissues of two such cells or more.

    Raises:
        ScfmError: there is none.
    """
    of_fold = csr_matrix((np.ones(len(fold)), (np.arange(len(fold)), fold)))
    expressed = ((adata.X > 0).astype(float) @ of_fold).toarray()
    alive = expressed.sum(1) > expressed.max(1)
    groups = adata.obs[settings.group].astype(str).to_numpy()
    names, code = np.unique(groups, return_inverse=True)
    sizes = np.bincount(code[alive], minlength=len(names))
    kept = np.flatnonzero(alive & (sizes[code] >= LEAST))
    if not len(kept):
        raise ScfmError(
            f"dataset '{name}': no cell can be scored, of {adata.n_obs:,}; the task imputation needs tissues "
            f"('{settings.group}') of {LEAST} cells that show a gene whatever fold is hidden"
        )
    return kept


def scored_genes(counts: csr_matrix, settings: Imputation, name: str) -> np.ndarray:
    """int64, ascending: genes expressed in most cells, in so many at least and not the same in all.

    Raises:
        ScfmError: there is none.
    """
    detected = counts.getnnz(axis=0)
    varies = (counts.max(0).toarray() > counts.min(0).toarray()).ravel()
    able = np.flatnonzero((detected >= settings.min_cells) & varies)
    if not len(able):
        raise ScfmError(
            f"dataset '{name}': no known gene is expressed in {settings.min_cells} cells (min_cells) and differs "
            "between them; lower min_cells or take 'imputation' off its tasks"
        )
    return np.sort(able[np.argsort(-detected[able], kind="stable")[: settings.genes]])


def gene_scores(values: np.ndarray, settings: Imputation) -> list[Measurement]:
    """Median and mean over genes of their correlations, float64 [genes]."""
    return _interval("pearson_median", values, np.median, settings) + _interval(
        "pearson_mean", values, np.mean, settings
    )


def _interval(name: str, values: np.ndarray, statistic: Callable, settings: Imputation) -> list[Measurement]:
    rng, interval = np.random.default_rng(settings.interval.seed), settings.interval
    tail = (1 - interval.confidence) / 2
    drawn = statistic(values[rng.integers(len(values), size=(interval.resamples, len(values)))], axis=1)
    ends = np.quantile(drawn, [tail, 1 - tail])
    named = zip((name, f"{name}_low", f"{name}_high"), (statistic(values), *ends), strict=True)
    return [Measurement(key, float(value), len(values)) for key, value in named]


@dataclass(frozen=True)
class Tissue:
    """Cells with their places, tissues and halves."""

    cells: "AnnData"
    """X counts, CSR float32 [cells, genes]."""
    places: np.ndarray
    """float64 [cells, 2]."""
    groups: np.ndarray
    """int64 [cells], the tissue."""
    half: np.ndarray
    """int64 [cells], 0 or 1, about as many of each in every tissue."""


def _correlations(
    model: "SetModel", tissue: Tissue, fold: np.ndarray, scored: np.ndarray, settings: Imputation
) -> dict[str, np.ndarray]:
    """Method to float64 [scored], correlation of each gene."""
    found: dict[str, np.ndarray] = {}
    for number in np.unique(fold[scored]):
        own = fold[scored] == number
        genes = scored[own]
        truth = np.log1p(tissue.cells.X[:, genes].toarray())
        predicted = chain(
            _by_model(model, tissue, fold == number, genes, settings),
            _by_neighbors(tissue, fold == number, genes, settings),
        )
        for method, table in predicted:
            found.setdefault(method, np.empty(len(scored)))[own] = correlations(truth, np.log1p(table))
    return found


def _by_model(
    model: "SetModel", tissue: Tissue, hidden: np.ndarray, genes: np.ndarray, settings: Imputation
) -> Iterator[tuple[str, np.ndarray]]:
    """Way and its predictions, float32 [cells, genes]; each half is read with the other, which shows all genes."""
    cells = tissue.cells
    names, table = cells.var_names[genes], np.empty((cells.n_obs, len(genes)), np.float32)
    for way in [WITH, WITHOUT] if model.network.settings.reads_positions else [WITHOUT]:
        for side in SIDES:
            own = tissue.half == side
            seen = with_counts(cells, _without(cells.X, own, hidden))
            table[own] = model.expected(seen, group_key=settings.group, positions=way == WITH, genes=names)[own]
        yield way, table


def _by_neighbors(
    tissue: Tissue, hidden: np.ndarray, genes: np.ndarray, settings: Imputation
) -> Iterator[tuple[str, np.ndarray]]:
    """Baseline and its predictions, float32 [cells, genes]; each half from counts of the other."""
    cells = tissue.cells
    visible = cells[:, ~hidden].copy()
    depth, counts = np.asarray(visible.X.sum(1), float).ravel(), cells.X[:, genes]
    ways = {"knn": by_genes(visible, settings), "spatial_neighbors": by_place(tissue.places, tissue.groups, settings)}
    table = np.empty((cells.n_obs, len(genes)), np.float32)
    for method, near in ({"depth": everyone} | ways).items():
        for side in SIDES:
            own, other = np.flatnonzero(tissue.half == side), np.flatnonzero(tissue.half != side)
            table[own] = counts_of_neighbors(near(own, other), counts[other], depth[other], depth[own])
        yield method, table


def _without(counts: csr_matrix, cells: np.ndarray, genes: np.ndarray) -> csr_matrix:
    """The counts, but none of some genes in some cells, both bool."""
    row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    seen = counts.copy()
    seen.data[cells[row] & genes[counts.indices]] = 0
    seen.eliminate_zeros()
    return seen
