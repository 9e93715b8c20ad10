"""The cells that a run takes from the corpus."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfm.errors import ScfmError

if TYPE_CHECKING:
    from scfm.pretrain.stage import Choice


def choose_rows(
    cells: pd.DataFrame, split: str, fraction: float, seed: int, choice: "Choice | None" = None
) -> np.ndarray:
    """Rows of a split, int64, in file order; a smaller fraction is always part of a larger one.

    Args:
        choice: cells that are taken; of these, the ones that are in the fraction.

    Raises:
        ScfmError: no cell is left, or there is no such column.
    """
    rank = np.random.default_rng(seed).random(len(cells))
    rows = np.flatnonzero((cells["split"].to_numpy() == split) & (rank < fraction))
    if not len(rows):
        raise ScfmError(f"corpus cells.parquet: no cell in split '{split}'; change corpus.split or corpus_fraction")
    if choice is None:
        return rows
    if choice.column not in cells:
        known = ", ".join(map(str, cells))
        raise ScfmError(f"corpus cells.parquet: no column '{choice.column}' (cells.column); choose among {known}")
    column = cells[choice.column].iloc[rows].astype(str)
    chosen = rows[column.isin(choice.values).to_numpy()]
    if not len(chosen):
        there = ", ".join(sorted(column.unique())[:10])
        raise ScfmError(
            f"corpus cells.parquet: no cell in split '{split}' has '{choice.column}' {' or '.join(choice.values)} "
            f"(cells.values); there are {there}"
        )
    return chosen
