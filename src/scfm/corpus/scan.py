"""First read of the store: quality metrics of cells, and sums of genes, over one contiguous range."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm.corpus.ahead import ahead
from scfm.corpus.settings import CellQC, ScanSettings
from scfm.corpus.source import Store, open_source
from scfm.datasets import Dataset
from scfm.errors import ScfmError
from scfm.files import whole, write_json

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
        read = _blocks(store, obs["soma_joinid"].to_numpy(), start, stop, settings.block)
        # What reads ahead is closed first, so that no read is under way when the store closes.
        with closing(ahead(read)) as blocks_of_part:
            for rows, assemble in blocks_of_part:
                block, counts = obs.iloc[rows], assemble()
                metrics.append(cell_metrics(counts, block["dataset_id"], genes, seen))
                sums.add(counts, metrics[-1]["n_counts"], block["dataset_id"], passes(metrics[-1], settings.qc))
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


def _blocks(
    store: Store, joinids: np.ndarray, start: int, stop: int, block: int
) -> Iterator[tuple[slice, Callable[[], csr_matrix]]]:
    """Which of the cells, and what gives their counts, block after block."""
    for low, high in blocks(start, stop, block):
        rows = slice(*np.searchsorted(joinids, [low, high]))
        yield rows, store.read(low, high, joinids[rows])


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
    from scfm.corpus.kernels import marked_sums, row_sums

    total = row_sums(counts.indptr, counts.data)
    share = marked_sums(counts.indptr, counts.indices, counts.data, mitochondrial) / np.maximum(total, 1)
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
        self._datasets = pd.Index([], dtype=object)
        self._sums = np.zeros((0, len(store.features), len(SUMS)), dtype=np.int64)

    def add(self, counts: csr_matrix, total: pd.Series, dataset_id: pd.Series, kept: np.ndarray) -> None:
        from scfm.corpus.kernels import add_gene_sums

        new = pd.Index(dataset_id.unique()).difference(self._datasets, sort=False)
        self._datasets = self._datasets.append(new)
        self._sums = np.concatenate([self._sums, np.zeros((len(new), *self._sums.shape[1:]), np.int64)])
        group = np.where(kept, self._datasets.get_indexer(dataset_id), -1)
        add_gene_sums(counts.indptr, counts.indices, counts.data, total.to_numpy(), group, self._sums)

    def table(self) -> pd.DataFrame:
        """Rows with at least one expressing cell: dataset_id, feature, SUMS."""
        row, feature = np.nonzero(self._sums[:, :, 0])
        values = dict(zip(SUMS, self._sums[row, feature].T, strict=True))
        return pd.DataFrame({"dataset_id": self._datasets.to_numpy()[row], "feature": feature, **values})
