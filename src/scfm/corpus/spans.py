"""Slices of several arrays, copied one after the other."""

from collections.abc import Sequence

import numpy as np


class Spans:
    """One-dimensional arrays of numbers, of which slices are copied in any order.

    Args:
        arrays: kept alive, and as they are unless they differ in type. Memory-mapped ones are read where asked for.
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._type = np.result_type(*arrays) if arrays else np.dtype(np.uint16)
        self._arrays = [np.ascontiguousarray(array, self._type) for array in arrays]
        self._addresses = np.array([array.ctypes.data for array in self._arrays], dtype=np.int64)
        self._sizes = np.array([len(array) for array in self._arrays], dtype=np.int64)

    def copy(self, of: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """The slices arrays[of[i]][start[i] : stop[i]], one after the other; int64 [slices] each.

        Compiled, since a slice costs NumPy as much as copying two kilobytes.

        Raises:
            IndexError: a slice does not lie within its array.
        """
        from scfm.corpus.kernels import copy_spans

        out = np.empty(max(int((stop - start).sum()), 0), self._type)
        wrong = copy_spans(self._addresses, self._sizes, of, start, stop, out)
        if wrong >= 0:
            size = self._sizes[of[wrong]]
            raise IndexError(f"{start[wrong]} to {stop[wrong]} of the {size} numbers of array {of[wrong]}")
        return out
