"""Rows of a matrix in an HDF5 file, read in ranges: whatever its size, only a range is in memory.

CSR      the entries of the range are one slice of the file
dense    the rows of the range are slices of the file
CSC      a range is spread over the whole file, which is read through in chunks; so a window of rows with about
         `WINDOW` entries is taken out at once and serves the ranges within it: entries / WINDOW passes over the file.
         Write large files anew as CSR.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from scipy.sparse import csr_matrix, vstack

from scfm.errors import ScfmError

CHUNK = 4 * 1024**2
"""Entries of a file that are in memory at once where it is read through."""
WINDOW = 16 * 1024**2
"""Entries of a CSC matrix that are taken out at once, about."""


@dataclass
class Matrix:
    """A matrix of an HDF5 file; rows are cells. The file is open only while it is read."""

    path: Path
    key: str
    """Group (sparse) or dataset (dense) within the file."""
    kind: Literal["csr", "csc", "dense"]
    shape: tuple[int, int]
    _window: tuple[int, csr_matrix] | None = field(default=None, repr=False)

    def rows(self, start: int, stop: int) -> csr_matrix:
        """Rows [start, stop) as CSR of the file's own type of values.

        Raises:
            ScfmError: the file is cut short or damaged.
        """
        try:
            with h5py.File(self.path) as file:
                if self.kind == "csr":
                    return _csr_rows(file[self.key], start, stop, self.shape[1])
                if self.kind == "dense":
                    return _dense_rows(file[self.key], start, stop)
                return self._csc_rows(file[self.key], start, stop)
        except (OSError, RuntimeError, KeyError, ValueError, IndexError) as error:
            reason = " ".join(str(error).split())
            raise ScfmError(
                f"{self.path}: rows {start} to {stop - 1} of '{self.key}' cannot be read ({reason}); replace the file"
            ) from error

    def _csc_rows(self, group: h5py.Group, start: int, stop: int) -> csr_matrix:
        pieces, step = [], max(1, WINDOW * self.shape[0] // max(1, len(group["data"])))
        for first in range(start - start % step, stop, step):
            if self._window is None or self._window[0] != first:
                self._window = (first, _csc_window(group, first, min(first + step, self.shape[0]), self.shape[1]))
            pieces.append(self._window[1][max(start - first, 0) : min(stop - first, step)])
        return csr_matrix(vstack(pieces, format="csr")) if pieces else csr_matrix((0, self.shape[1]))


def _csr_rows(group: h5py.Group, start: int, stop: int, columns: int) -> csr_matrix:
    edges = group["indptr"][start : stop + 1].astype(np.int64)
    entries = slice(int(edges[0]), int(edges[-1]))
    parts = (group["data"][entries], group["indices"][entries], edges - edges[0])
    rows = csr_matrix(parts, shape=(stop - start, columns))
    rows.sum_duplicates()
    return rows


def _dense_rows(dataset: h5py.Dataset, start: int, stop: int) -> csr_matrix:
    step = max(1, CHUNK // max(1, dataset.shape[1]))
    pieces = [csr_matrix(dataset[low : min(low + step, stop)]) for low in range(start, stop, step)]
    return csr_matrix(vstack(pieces, format="csr")) if pieces else csr_matrix((0, dataset.shape[1]))


def _csc_window(group: h5py.Group, start: int, stop: int, columns: int) -> csr_matrix:
    edges, pieces = group["indptr"][:].astype(np.int64), []
    for low in range(0, int(edges[-1]), CHUNK):
        high = min(low + CHUNK, int(edges[-1]))
        row = group["indices"][low:high]
        inside = np.flatnonzero((row >= start) & (row < stop))
        if inside.size:
            column = np.searchsorted(edges, low + inside, side="right") - 1
            pieces.append((group["data"][low:high][inside], row[inside] - start, column.astype(np.int32)))
    value, row, column = map(np.concatenate, zip(*pieces, strict=True)) if pieces else ([], [], [])
    return csr_matrix((value, (row, column)), shape=(stop - start, columns))
