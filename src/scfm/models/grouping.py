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


def join(
    order: np.ndarray, number: np.ndarray, guests: np.ndarray, most: int, seed: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Let guests join every set: all of them, or as many as are asked for, all about equally often.

    Args:
        order, number: of `deal`. guests: int64, rows of the corpus. most: guests of a set.

    Returns:
        As `deal`; a guest may be in several sets, once in each, and stands after its cells.
    """
    each = min(most, len(guests))
    if not each or not len(order):
        return order, number
    rng, sets, apart = np.random.default_rng((*seed, 1)), number[-1] + 1, len(guests) // each
    turns = rng.permuted(np.tile(guests, (-(-sets // apart), 1)), axis=1)  # in a turn no guest comes twice
    joining = turns[:, : apart * each].ravel()[: sets * each]
    order, number = np.append(order, joining), np.append(number, np.repeat(np.arange(sets), each))
    by_set = np.argsort(number, kind="stable")
    return order[by_set], number[by_set]
