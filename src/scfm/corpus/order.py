"""The order of cells in training."""

import numpy as np
import pandas as pd


def round_robin(order: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Deal the cells of an epoch group after group in turn; when a group is used up, the others go on.

    Groups take turns in the order in which they first appear in `order`, and the cells of a group keep theirs. So a
    random `order` gives each epoch its own turns and draws.

    Args:
        order: int64 [cells], the cells of the epoch.
        groups: int [cells], the group of `order[i]` at i.

    Returns:
        int64 [cells], a permutation of `order`.
    """
    turn, names = pd.factorize(groups)
    cells, sizes = np.argsort(turn, kind="stable"), np.bincount(turn, minlength=len(names))
    lap = np.empty(len(order), dtype=np.int64)
    lap[cells] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.asarray(order, dtype=np.int64)[np.lexsort((turn, lap))]
