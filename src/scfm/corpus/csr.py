"""One folder of counts: memory-mapped CSR in narrow integers, nothing clipped.

indptr.npy    int64  [cells + 1]
genes.npy     uint16 [nnz]        gene index
counts.npy    uint16 [nnz]        count, or SENTINEL
overflow.npy  int64  [k, 2]       (position in counts.npy, count) of every count >= SENTINEL, by position
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from scfm.errors import ScfmError

SENTINEL = 65_535
MAX_GENES = 65_536


def write_csr(folder: Path, indptr: np.ndarray, genes: np.ndarray, counts: np.ndarray) -> None:
    """Write one folder of counts.

    Args:
        folder: made here; must not exist.
        indptr: int [cells + 1]; genes: int [nnz], below 65,536; counts: int [nnz], positive.

    Raises:
        ScfmError: a gene index does not fit into 16 bits, or a count is negative.
    """
    genes, counts = np.asarray(genes), np.asarray(counts)
    if genes.size and int(genes.max()) >= MAX_GENES:
        raise ScfmError(f"{folder}: gene index {int(genes.max())} needs more than 16 bits; keep at most 65,536 genes")
    if counts.size and counts.min() < 0:
        raise ScfmError(f"{folder}: count {counts.min()} is negative; shards hold raw counts only")
    folder = Path(folder)
    folder.mkdir(parents=True)
    large = np.flatnonzero(counts >= SENTINEL) if counts.size and counts.max() >= SENTINEL else np.empty(0, np.int64)
    np.save(folder / "indptr.npy", np.asarray(indptr, dtype=np.int64))
    np.save(folder / "genes.npy", genes.astype(np.uint16, copy=False))
    small = np.minimum(counts, SENTINEL) if large.size else counts
    np.save(folder / "counts.npy", small.astype(np.uint16, copy=False))
    np.save(folder / "overflow.npy", np.column_stack([large, counts[large]]).astype(np.int64))


class CountsFolder:
    """Reader of one folder written by `write_csr`; the arrays stay on disk until rows are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def indptr(self) -> np.ndarray:
        """int64 [cells + 1]."""
        return _map(self.folder / "indptr.npy")

    @cached_property
    def genes(self) -> np.ndarray:
        """uint16 [nnz]."""
        return _map(self.folder / "genes.npy")

    @cached_property
    def counts(self) -> np.ndarray:
        """uint16 [nnz], SENTINEL where the count stands in `overflow`."""
        return _map(self.folder / "counts.npy")

    @cached_property
    def overflow(self) -> np.ndarray:
        """int64 [k, 2]: position, count."""
        path = self.folder / "overflow.npy"
        return np.load(path) if path.is_file() else _map(path)

    def overflow_counts(self, positions: np.ndarray) -> np.ndarray:
        """int64, the counts at these positions of counts.npy, which hold SENTINEL.

        Raises:
            ScfmError: one of them is not in the table.
        """
        table = self.overflow
        row = np.searchsorted(table[:, 0], positions)
        found = row < len(table)
        found[found] = table[row[found], 0] == positions[found]
        if not found.all():
            raise ScfmError(f"{self.folder}: overflow.npy lacks a count that counts.npy refers to; write it again")
        return table[row, 1]

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `read_spans`, the given rows of this folder alone."""
        return read_spans([self], np.zeros(len(rows), dtype=np.int64), self.indptr[rows], self.indptr[rows + 1])


def read_spans(
    folders: Sequence[CountsFolder], folder: np.ndarray, start: np.ndarray, stop: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read cells of several folders in the order asked.

    Args:
        folder, start, stop: int64 [cells], which of `folders` and which nonzeros of it.

    Returns:
        gene uint16 [nnz]; counts [nnz], uint16, or int64 if one of them needs more; expressed genes of each cell
        int64 [cells].

    Raises:
        ScfmError: a file is missing, or overflow.npy lacks a count.
    """
    of, begin, end = join_spans(folder, start, stop)
    used = set(of.tolist())
    genes = copy_spans({k: folders[k].genes for k in used}, of, begin, end)
    counts = copy_spans({k: folders[k].counts for k in used}, of, begin, end)
    if counts.size and counts.max() == SENTINEL:
        large = np.flatnonzero(counts == SENTINEL)
        counts = counts.astype(np.int64)
        ends = np.cumsum(end - begin)
        span = np.searchsorted(ends, large, side="right")
        position = end[span] - (ends[span] - large)
        for k in np.unique(of[span]):
            here = of[span] == k
            counts[large[here]] = folders[k].overflow_counts(position[here])
    return genes, counts, stop - start


def join_spans(folder: np.ndarray, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same spans with direct neighbours joined: int64 folder, start, stop [spans]."""
    breaks = np.ones(len(start) + 1, dtype=bool)
    breaks[1:-1] = (folder[1:] != folder[:-1]) | (start[1:] != stop[:-1])
    edges = np.flatnonzero(breaks)
    return folder[edges[:-1]], start[edges[:-1]], stop[edges[1:] - 1]


def copy_spans(arrays: Mapping[int, np.ndarray], of: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """The slices arrays[of[i]][start[i] : stop[i]], one after the other; arrays are of one type.

    One copy a span: an index of every element would cost ten times as much.
    """
    spans = zip(of.tolist(), start.tolist(), stop.tolist(), strict=True)
    return np.concatenate([arrays[k][a:b] for k, a, b in spans] or [np.empty(0, np.uint16)])


def row_sums(indptr: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Total of each row, int64 [rows]; for narrow integers several times faster than scipy's sum."""
    sums = np.zeros(len(indptr) - 1, dtype=np.int64)
    filled = np.flatnonzero(np.diff(indptr))
    if filled.size:
        sums[filled] = np.add.reduceat(data, indptr[filled], dtype=np.int64)
    return sums


def _map(path: Path) -> np.ndarray:
    if not path.is_file():
        raise ScfmError(f"{path}: part of a shard is missing; write the shards again")
    return np.load(path, mmap_mode="r").view(np.ndarray)  # slices of a plain array are made faster
