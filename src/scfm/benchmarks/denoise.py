"""Denoising: some counts of each cell are hidden, and predicted from the others.

Protocol: RMSE on held-out entries of log counts, as CellPLM's denoising benchmark (Wen et al. 2024). Entries are
hidden whole, as CellPLM's training does it: a share of the genes that a cell expresses reads 0, and nothing says
which zeros are hidden ones. Binomial thinning would leave a part of each count in the input, which is another task. As
many true zeros of the cell are scored too, else whoever predicts too much everywhere would gain by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

from scfm.benchmarks.count_cells import Scored, rank_within, score_datasets, with_counts
from scfm.benchmarks.count_settings import Denoise
from scfm.benchmarks.entry_scores import entry_scores
from scfm.benchmarks.results import Measurement
from scfm.benchmarks.settings import Scvi
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scfm.set_model import SetModel

BLOCK = 1024
"""Cells of which a dense table is held at once."""
LEAST = 2
"""Expressed genes of a cell that is scored: one to hide and one to see."""


@dataclass(frozen=True)
class Hidden:
    """Counts with some entries set to 0, and those entries."""

    visible: csr_matrix
    """float32 [cells, genes]."""
    row: np.ndarray
    """int64 [entries], ascending."""
    column: np.ndarray
    """int64 [entries]."""
    truth: np.ndarray
    """float32 [entries], the counts that were hidden, or 0."""


def denoise(
    model: "SetModel",
    paths: Sequence[Path],
    settings: Denoise,
    scvi: Scvi | None = None,
    seen: "pd.DataFrame | None" = None,
    **whose: object,
) -> "pd.DataFrame":
    """Score predictions of hidden counts, by the model (`expected`) and by baselines fit on the visible ones.

    Baselines: `gene_mean`, a gene's mean over the cells that do not hide it; `group_mean`, the same within the cell's
    group; `depth`, the gene's share of all counts times those of the cell; and `scvi`, where its settings are given.

    Args:
        scvi: fit on all genes, whatever its key `genes`. seen, whose: as `score_datasets`.

    Returns:
        Tidy rows of what `entry_scores` returns, and once for the model cells_left_out: those that express fewer than
        two known genes.

    Raises:
        ScfmError: what `score_datasets` raises; no cell expresses two genes; scvi-tools is asked for and missing.
    """

    def score(adata: "AnnData") -> Scored:
        kept = np.flatnonzero(np.diff(adata.X.indptr) >= LEAST)
        if not len(kept):
            name = adata.uns["scfm"]["name"]
            raise ScfmError(f"dataset '{name}': no cell expresses {LEAST} genes that the model knows, one to hide")
        cells = adata[kept].copy()
        hidden = hide(cells.X, settings.share, np.random.default_rng(settings.seed))
        groups = np.unique(cells.obs[settings.group].astype(str), return_inverse=True)[1]
        left_out = Measurement("cells_left_out", adata.n_obs - len(kept), adata.n_obs)
        predictions = {"expected": expected_entries(model, with_counts(cells, hidden.visible), hidden, settings.group)}
        predictions |= baselines(hidden, groups)
        if scvi is not None:
            predictions["scvi"] = _scvi_entries(with_counts(cells, hidden.visible), hidden, scvi)
        for name, predicted in predictions.items():
            rows = entry_scores(hidden.row, hidden.truth, predicted, settings.interval)
            yield name, name == "expected", rows + [left_out] * (name == "expected")

    return score_datasets(model, paths, "denoise", score, seen, **whose)


def hide(counts: csr_matrix, share: float, rng: np.random.Generator) -> Hidden:
    """Hide a share of each cell's nonzero entries, at least one and not all, and choose as many of its zeros.

    Args:
        counts: [cells, genes] without stored zeros; each cell has two entries or more.
    """
    lengths = np.diff(counts.indptr)
    row = np.repeat(np.arange(len(lengths)), lengths)
    number = np.clip(np.round(share * lengths).astype(np.int64), 1, lengths - 1)
    chosen = rank_within(row, rng.random(counts.nnz)) < number[row]
    zero_row, zero_column = _zeros(counts, np.minimum(number, counts.shape[1] - lengths), rng)
    rows, columns = np.concatenate([row[chosen], zero_row]), np.concatenate([counts.indices[chosen], zero_column])
    truth = np.concatenate([counts.data[chosen], np.zeros(len(zero_row), np.float32)])
    order = np.argsort(rows, kind="stable")
    visible = counts.copy()
    visible.data[chosen] = 0
    visible.eliminate_zeros()
    return Hidden(visible, rows[order], columns[order].astype(np.int64), truth[order])


def _zeros(counts: csr_matrix, number: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of so many zeros of each cell, at random."""
    rows, columns = [], []
    for start in range(0, counts.shape[0], BLOCK):
        block, own = counts[start : start + BLOCK], number[start : start + BLOCK]
        keys = rng.random(block.shape, dtype=np.float32)
        keys[block.nonzero()] = 2
        most = max(int(own.max()), 1)
        least = np.argpartition(keys, most - 1, axis=1)[:, :most]
        least = np.take_along_axis(least, np.take_along_axis(keys, least, 1).argsort(1), 1)
        cell, place = np.nonzero(np.arange(most) < own[:, None])
        rows.append(cell + start)
        columns.append(least[cell, place])
    return np.concatenate(rows), np.concatenate(columns)


def expected_entries(model: "SetModel", cells: "AnnData", hidden: Hidden, group: str) -> np.ndarray:
    """float64 [entries], expected by the model."""
    out = np.empty(len(hidden.row))
    index = model.gene_index(cells.var_names, every=True)
    for rows, block in model.expected_blocks(cells, index, group_key=group):
        _pick(out, hidden, rows, block)
    return out


def _pick(out: np.ndarray, hidden: Hidden, rows: np.ndarray, block: np.ndarray) -> None:
    """Fill in the entries of some cells."""
    place = np.full(hidden.visible.shape[0], -1)
    place[rows] = np.arange(len(rows))
    own = np.flatnonzero(place[hidden.row] >= 0)
    out[own] = block[place[hidden.row[own]], hidden.column[own]]


def baselines(hidden: Hidden, groups: np.ndarray) -> dict[str, np.ndarray]:
    """Name to float64 [entries]; all are means over visible entries, zeros that are not hidden among them.

    Args:
        groups: int64 [cells], codes from 0.
    """
    cells, genes = hidden.visible.shape
    everyone = np.nan_to_num(_means(hidden, np.zeros(cells, np.int64))[0])
    own = _means(hidden, groups)
    depth = np.asarray(hidden.visible.sum(1), float).ravel()
    hidden_depth = np.bincount(hidden.column, depth[hidden.row], genes)
    total = np.asarray(hidden.visible.sum(0), float).ravel()
    share = total / np.maximum(depth.sum() - hidden_depth, 1)
    in_group = own[groups[hidden.row], hidden.column]
    mean = everyone[hidden.column]
    return {
        "gene_mean": mean,
        "group_mean": np.where(np.isnan(in_group), mean, in_group),
        "depth": share[hidden.column] * depth[hidden.row],
    }


def _means(hidden: Hidden, groups: np.ndarray) -> np.ndarray:
    """float64 [groups, genes], mean of the entries that are not hidden; NaN where all are."""
    genes, count = hidden.visible.shape[1], int(groups.max()) + 1
    member = csr_matrix((np.ones(len(groups)), (groups, np.arange(len(groups)))), shape=(count, len(groups)))
    away = np.bincount(groups[hidden.row] * genes + hidden.column, minlength=count * genes).reshape(count, genes)
    there = np.bincount(groups, minlength=count)[:, None] - away
    sums = (member @ hidden.visible).toarray().astype(float)
    mean = np.full(sums.shape, np.nan)
    np.divide(sums, there, out=mean, where=there > 0)
    return mean


def _scvi_entries(cells: "AnnData", hidden: Hidden, settings: Scvi) -> np.ndarray:
    """float64 [entries], the means of scVI's decoder at the cell's own depth."""
    from scfm.benchmarks.scvi_embedder import expected_counts

    out = np.empty(len(hidden.row))
    for rows, block in expected_counts(cells, settings, BLOCK):
        _pick(out, hidden, rows, block)
    return out
