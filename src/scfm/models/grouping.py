"""Groups of cells, and how they are dealt into sets that are read together."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scfm.errors import ScfmError


def group_codes(cells: pd.DataFrame, by: Sequence[str]) -> np.ndarray:
    """int64 [cells]: cells that agree in all columns have one code.

    Args:
        by: columns; that of `donor` may be called `donor_id`.

    Raises:
        ScfmError: there is no such column.
    """
    columns = []
    for name in by:
        own = next((column for column in (name, f"{name}_id") if column in cells), None)
        if own is None:
            raise ScfmError(f"cells: there is no column '{name}' (sets.by); choose among {', '.join(map(str, cells))}")
        columns.append(cells[own].astype(str))
    return pd.MultiIndex.from_arrays(columns).factorize()[0].astype(np.int64)


def deal(
    rows: np.ndarray, groups: np.ndarray, most: int, seed: tuple[int, ...], once: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Deal cells into sets of one group, about alike in size, in random order.

    Args:
        rows: int64 [cells], of the corpus. groups: int64, of each row of the corpus. most: cells of a set.
        once: one set of each group, the rest of its cells left out.

    Returns:
        A permutation of `rows` or of those dealt, int64 [cells], and the number of each one's set, ascending from 0.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(rows)
    order = order[np.argsort(groups[order], kind="stable")]
    _, start, of, sizes = np.unique(groups[order], return_index=True, return_inverse=True, return_counts=True)
    within = np.arange(len(order)) - start[of]
    if once:
        kept = within < most
        order, of, within, sizes = order[kept], of[kept], within[kept], np.minimum(sizes, most)
    pieces = -(-sizes // most)
    piece = (np.cumsum(pieces) - pieces)[of] + within * pieces[of] // sizes[of]
    place = rng.permutation(int(pieces.sum()))[piece]
    by_place = np.argsort(place, kind="stable")
    return order[by_place], place[by_place]
