"""A seeded stratified subsample, for measures that are quadratic in cells."""

import numpy as np


def stratified(strata: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Row numbers, sorted, of `size` cells in which every stratum has its share, to within one cell.

    Cells are put in order of stratum, at random within it, and taken at even steps.

    Args:
        strata: any sortable values [cells].
        size: at most the number of cells.
    """
    order = np.lexsort((np.random.default_rng(seed).random(len(strata)), strata))
    return np.sort(order[np.arange(size) * len(strata) // size])
