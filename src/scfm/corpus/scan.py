"""First read of the store: quality metrics of cells, and sums of genes, over one contiguous range."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm.corpus.ahead import ahead
from scfm.corpus.csr import few_rows, row_sums
from scfm.corpus.settings import CellQC, ScanSettings
from scfm.corpus.source import Store, open_source
from scfm.datasets import Dataset
from scfm.errors import ScfmError
from scfm.files import whole, write_json

FIXED_POINT = 2**16
"""Log-normalised values are summed as integers of this many steps per unit: sums are exact, so that the result does
not depend on how the store was cut into ranges and blocks."""
MITOCHONDRIAL = ("MT-", "mt-")
"""How names of mitochondrial genes begin, in human and in mouse."""
SUMS = ("cells", "counts", "log_sum", "log_squares")


def part_range(cells: int, part: int, parts: int) -> tuple[int, int]:
    """The soma_joinids [start, stop) of part `part` of `parts`.

    Raises:
        ScfmError: there is no such part.
    """
    if not 0 <= part < parts:
        raise ScfmError(f"--part: {part} does not exist; give 0 to {parts - 1} for --parts {parts}")
    return cells * part // parts, cells * (part + 1) // parts


def blocks(start: int, stop: int, block: int) -> Iterator[tuple[int, int]]:
    """Ranges [low, high) that cover [start, stop), cut at multiples of `block`.

    Stores keep cells in tiles (the Census of 2,048); blocks across two tiles would read each of them twice.
    """
    edges = [start, *range((start // block + 1) * block, stop, block), stop]
    return pairwise(edges) if start < stop else iter(())


def scan(
    settings: ScanSettings,
    part: int,
    parts: int,
    out: Path,
    soma_path: Path | None = None,
    deposits: Sequence[tuple[Path, Dataset]] = (),
) -> dict:
    """Read one range of the store and write what the selection needs.

    Writes under `out`: cells.parquet (one row a cell that passes the value filter: obs columns, n_counts, n_genes,
    mito_fraction; NaN where the dataset measures no MT- gene), genes.parquet (dataset_id, feature soma_joinid and the
    sums `SUMS` over the cells that pass the cell thresholds), features.parquet, measured.npz (datasets seen here),
    part.json (start, stop, total, rows).

    Returns:
        The content of part.json.
    """
    with open_source(settings.source, soma_path, deposits, settings.retry) as store, whole(out) as folder:
        start, stop = part_range(store.cells, part, parts)
        folder.mkdir()
        obs, sums, metrics = store.obs(start, stop), _Sums(store), []
        genes, seen = _mitochondrial(store, obs["dataset_id"])
        for rows, counts in ahead(_blocks(store, obs["soma_joinid"].to_numpy(), start, stop, settings.block)):
            block = obs.iloc[rows]
            metrics.append(cell_metrics(counts, block["dataset_id"], genes, seen))
            sums.add(counts, block["dataset_id"].to_numpy(), passes(metrics[-1], settings.qc))
        cells = obs.join(pd.concat(metrics)) if metrics else obs
        cells.to_parquet(folder / "cells.parquet", index=False)
        sums.table().to_parquet(folder / "genes.parquet", index=False)
        store.features.to_parquet(folder / "features.parquet", index=False)
        measured = store.measured.loc[sorted(set(cells["dataset_id"]))]
        np.savez(folder / "measured.npz", datasets=measured.index.to_numpy(str), measured=measured.to_numpy())
        about = {"start": start, "stop": stop, "total": store.cells, "rows": len(cells)}
        about["source"] = settings.source.model_dump(mode="json")
        write_json(folder / "part.json", about)
    return about


def _blocks(store: Store, joinids: np.ndarray, start: int, stop: int, block: int) -> Iterator[tuple[slice, csr_matrix]]:
    """Which of the cells, and their counts, block after block."""
    for low, high in blocks(start, stop, block):
        rows = slice(*np.searchsorted(joinids, [low, high]))
        yield rows, store.counts(low, high, joinids[rows])


def _mitochondrial(store: Store, dataset_id: pd.Series) -> tuple[np.ndarray, pd.Series]:
    """Bool [features], the gene is mitochondrial; bool by dataset, it measures one of them.

    Raises:
        ScfmError: a dataset is missing in the presence matrix.
    """
    strange = set(dataset_id) - set(store.measured.index)
    if strange:
        raise ScfmError(f"{store.uri}: dataset '{min(strange)}' of obs is missing in census_info/datasets; repair it")
    genes = store.features["feature_name"].str.startswith(MITOCHONDRIAL).to_numpy()
    return genes, store.measured.loc[:, genes].any(axis=1)


def cell_metrics(counts: csr_matrix, dataset_id: pd.Series, mitochondrial: np.ndarray, seen: pd.Series) -> pd.DataFrame:
    """n_counts and n_genes int64, mito_fraction float64, of each row.

    Args:
        mitochondrial: bool [features]. seen: bool by dataset, it measures such genes; the fraction is NaN elsewhere.
    """
    total = row_sums(counts)
    share = (counts @ mitochondrial.astype(counts.dtype)) / np.maximum(total, 1)
    return pd.DataFrame(
        {
            "n_counts": total,
            "n_genes": np.diff(counts.indptr).astype(np.int64),
            "mito_fraction": np.where(dataset_id.map(seen).to_numpy(bool), share, np.nan),
        },
        index=dataset_id.index,
    )


def passes(cells: pd.DataFrame, qc: CellQC) -> np.ndarray:
    """Bool [cells]: the cell meets every threshold."""
    return ~np.logical_or.reduce(list(failures(cells, qc).values()))


def failures(cells: pd.DataFrame, qc: CellQC) -> dict[str, np.ndarray]:
    """Reason to bool [cells], in the order in which reasons are counted; limits that are not set are no reasons."""
    failed = {
        "min_counts": (cells["n_counts"] < qc.min_counts).to_numpy(),
        "min_genes": (cells["n_genes"] < qc.min_genes).to_numpy(),
        "max_mito_fraction": (cells["mito_fraction"] > qc.max_mito_fraction).to_numpy(),
    }
    if qc.max_counts is not None:
        failed["max_counts"] = (cells["n_counts"] > qc.max_counts).to_numpy()
    if qc.max_genes is not None:
        failed["max_genes"] = (cells["n_genes"] > qc.max_genes).to_numpy()
    return failed


class _Sums:
    """Sums of each gene within each dataset; memory grows with datasets of the range x features."""

    def __init__(self, store: Store) -> None:
        self._features = len(store.features)
        self._rows: dict[str, int] = {}
        self._sums = np.zeros((len(SUMS), 0, self._features), dtype=np.int64)

    def add(self, counts: csr_matrix, dataset_id: np.ndarray, kept: np.ndarray) -> None:
        for dataset in pd.unique(dataset_id):
            rows = np.flatnonzero(kept & (dataset_id == dataset))
            if dataset not in self._rows:
                self._rows[dataset] = len(self._rows)
                self._sums = np.concatenate(
                    [self._sums, np.zeros_like(self._sums, shape=(4, 1, self._features))], axis=1
                )
            if len(rows):
                self._sums[:, self._rows[dataset]] += gene_sums(
                    counts if len(rows) == counts.shape[0] else counts[rows]
                )

    def table(self) -> pd.DataFrame:
        """Rows with at least one expressing cell: dataset_id, feature, SUMS."""
        row, feature = np.nonzero(self._sums[0])
        datasets = np.array(list(self._rows), dtype=object)
        values = {name: self._sums[i, row, feature] for i, name in enumerate(SUMS)}
        return pd.DataFrame({"dataset_id": datasets[row], "feature": feature, **values})


def gene_sums(counts: csr_matrix) -> np.ndarray:
    """int64 [4, features]: expressing cells, counts, and fixed-point sums of log1p(1e4 x / S) and its square."""
    features, indptr = counts.shape[1], counts.indptr
    sums = np.zeros((len(SUMS), features))
    scale = 1e4 / np.maximum(row_sums(counts), 1)
    for low, high in few_rows(indptr):
        inside = slice(indptr[low], indptr[high])
        gene, count = counts.indices[inside].astype(np.intp), counts.data[inside].astype(np.float64)
        log = np.log1p(count * np.repeat(scale[low:high], np.diff(indptr[low : high + 1])))
        # bincount adds in float64, which is exact for integers below 2^53.
        sums[0] += np.bincount(gene, minlength=features)
        sums[1] += np.bincount(gene, count, features)
        sums[2] += np.bincount(gene, np.rint(log * FIXED_POINT), features)
        sums[3] += np.bincount(gene, np.rint(log**2 * FIXED_POINT), features)
    return sums.astype(np.int64)
