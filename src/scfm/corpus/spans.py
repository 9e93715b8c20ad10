"""Cells of several pairs of arrays, genes and counts, copied one after the other."""

from collections.abc import Sequence

import numpy as np


class Spans:
    """Genes and counts of nonzeros in several places, of which stretches are copied in any order.

    Args:
        genes, counts: arrays [nonzeros] of each place, kept alive, and as they are unless they differ in type.
            Memory-mapped ones are read where asked for.
    """

    def __init__(self, genes: Sequence[np.ndarray], counts: Sequence[np.ndarray]) -> None:
        self._genes, self._counts = _alike(genes), _alike(counts)
        self._types = [arrays[0].dtype if arrays else np.dtype(np.uint16) for arrays in (self._genes, self._counts)]
        self._addresses = [_addresses(arrays) for arrays in (self._genes, self._counts)]
        sizes = [min(len(gene), len(count)) for gene, count in zip(genes, counts, strict=True)]
        self._sizes = np.array(sizes, dtype=np.int64)

    def __reduce__(self) -> tuple:
        return Spans, (self._genes, self._counts)  # the addresses hold in this process alone

    def copy(self, of: np.ndarray, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """The stretches start[i] to stop[i] of place of[i], one after the other; int64 [stretches] each.

        Compiled, since a slice costs NumPy as much as copying two kilobytes.

        Returns:
            Genes and counts [nonzeros], the largest count (0 if there is none).

        Raises:
            IndexError: a stretch does not lie within its place; with the number of the stretch and the size of its
                place, 0 if there is none.
            ValueError: the three differ in length.
        """
        from scfm.corpus.kernels import check_spans, copy_spans

        if not len(of) == len(start) == len(stop):
            raise ValueError(f"{len(of)} places, {len(start)} starts and {len(stop)} stops; give as many of each")
        wrong, size = check_spans(self._sizes, of, start, stop)
        if wrong >= 0:
            raise IndexError(wrong, int(self._sizes[of[wrong]]) if 0 <= of[wrong] < len(self._sizes) else 0)
        genes, counts = (np.empty(size, kind) for kind in self._types)
        return genes, counts, copy_spans(*self._addresses, of, start, stop, genes, counts)


def _alike(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The arrays, contiguous and of one type."""
    kind = np.result_type(*arrays) if arrays else None
    return [np.ascontiguousarray(array, kind) for array in arrays]


def _addresses(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([array.ctypes.data for array in arrays], dtype=np.int64)
