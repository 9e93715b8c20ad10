"""One folder of counts: memory-mapped CSR in narrow integers, nothing clipped.

indptr.npy    int64  [cells + 1]
genes.npy     uint16 [nnz]        gene index
counts.npy    uint16 [nnz]        count, or SENTINEL
overflow.npy  int64  [k, 2]       (position in counts.npy, count) of every count >= SENTINEL, by position
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from scfm.corpus.reader import Counts
from scfm.corpus.spans import Spans
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

    def read(self, rows: np.ndarray) -> Counts:
        """As `CountsFolders.read`, the given rows of this folder."""
        return CountsFolders([self]).read(np.zeros(len(rows), dtype=np.int64), self.indptr[rows], self.indptr[rows + 1])


class CountsFolders:
    """Cells of several folders, read in any order.

    Raises:
        ScfmError: a file is missing.
    """

    def __init__(self, folders: Sequence[CountsFolder]) -> None:
        self.folders = folders
        self._spans = Spans([f.genes for f in folders], [f.counts for f in folders])

    def read(self, folder: np.ndarray, start: np.ndarray, stop: np.ndarray) -> Counts:
        """Read cells in the order asked.

        Args:
            folder, start, stop: int64 [cells], which of the folders and which nonzeros of it.

        Raises:
            ScfmError: a cell does not lie within its folder, or overflow.npy lacks a count.
        """
        try:
            genes, counts, largest = self._spans.copy(folder, start, stop)
        except IndexError as error:
            cell, size = error.args
            raise ScfmError(
                f"{self.folders[folder[cell]].folder}: indptr.npy asks for {start[cell]} to {stop[cell]} of {size} "
                "counts; write it again"
            ) from error
        if largest == SENTINEL:
            counts = self._unclipped(counts, folder, start, stop)
        return genes, counts, stop - start

    def _unclipped(self, counts: np.ndarray, folder: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """Counts with those in place that the files hold in overflow.npy, int64."""
        large = np.flatnonzero(counts == SENTINEL)
        counts = counts.astype(np.int64)
        ends = np.cumsum(stop - start)
        cell = np.searchsorted(ends, large, side="right")
        position = stop[cell] - (ends[cell] - large)
        for k in np.unique(folder[cell]):
            here = folder[cell] == k
            counts[large[here]] = self.folders[k].overflow_counts(position[here])
        return counts


def as_counts(matrix: csr_matrix) -> Counts:
    """The rows of a matrix of counts [cells, genes] in narrow integers, genes ascending; sorts the matrix.

    Raises:
        ScfmError: more than 65,536 genes, or a negative count.
    """
    refuse_many_genes(matrix.shape[1])
    if matrix.nnz and matrix.data.min() < 0:
        raise ScfmError(f"count {matrix.data.min()} is negative; shards hold raw counts only")
    matrix.sort_indices()
    small = not matrix.nnz or matrix.data.max() < SENTINEL
    count = matrix.data.astype(np.uint16 if small else np.int64, copy=False)
    return matrix.indices.astype(np.uint16), count, np.diff(matrix.indptr).astype(np.int64)


def refuse_many_genes(genes: int) -> None:
    """Refuse more genes than 16 bits can number.

    Raises:
        ScfmError: there are more than 65,536.
    """
    if genes > MAX_GENES:
        raise ScfmError(f"genes: {genes:,} genes do not fit 16-bit gene ids; keep at most {MAX_GENES:,}")


def _map(path: Path) -> np.ndarray:
    if not path.is_file():
        raise ScfmError(f"{path}: part of a shard is missing; write the shards again")
    return np.load(path, mmap_mode="r").view(np.ndarray)  # a plain array is indexed faster
