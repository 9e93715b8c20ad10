"""Ragged batches of the cells of a matrix, for inference."""

from collections.abc import Iterator

import numpy as np

MOST_TOKENS = 2**18
"""Gene tokens of one batch; the paper's encoder needs about 4 GB for them."""
CPU_TOKENS = 2**14
"""The same on a CPU, which is no faster with more."""


def batches(genes: np.ndarray, limit: int, most_cells: int, device: str = "cpu") -> Iterator[np.ndarray]:
    """Cells of each batch, int64: those of like length together, as many as the device takes but at least one.

    Args:
        genes: int64 [cells], expressed by each cell. limit: of them that become tokens. device: torch's kind.
    """
    most = MOST_TOKENS if device == "cuda" else min(MOST_TOKENS, CPU_TOKENS)
    order = np.argsort(genes, kind="stable")
    ends = np.minimum(genes[order], limit).cumsum()
    start, before = 0, 0
    while start < len(order):
        fitting = int(np.searchsorted(ends, before + most, "right"))
        stop = min(max(fitting, start + 1), start + most_cells, len(order))
        yield order[start:stop]
        start, before = stop, ends[stop - 1]
