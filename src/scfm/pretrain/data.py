"""The cells that a run takes from the corpus."""

import numpy as np
import pandas as pd

from scfm.errors import ScfmError


def choose_rows(cells: pd.DataFrame, split: str, fraction: float, seed: int) -> np.ndarray:
    """Rows of a split, int64, in file order; a smaller fraction is always part of a larger one.

    Raises:
        ScfmError: no cell is left.
    """
    rank = np.random.default_rng(seed).random(len(cells))
    rows = np.flatnonzero((cells["split"].to_numpy() == split) & (rank < fraction))
    if not len(rows):
        raise ScfmError(f"corpus cells.parquet: no cell in split '{split}'; change corpus.split or corpus_fraction")
    return rows
