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


def silhouette_cells(limit: int, seed: int, **strata: np.ndarray) -> tuple[np.ndarray, str]:
    """Row numbers of the cells whose silhouettes are taken, and what to call them in `split`: "" for all.

    Args:
        limit: most cells; of more, a subsample stratified by all of `strata` together is taken.
        strata: name to strings [cells], at least one.
    """
    import pandas as pd

    table = pd.DataFrame(strata)
    if len(table) <= limit:
        return np.arange(len(table)), ""
    groups = table.groupby(list(strata)).ngroup().to_numpy()
    return stratified(groups, limit, seed), f"silhouettes of a stratified subsample of {limit} cells"
