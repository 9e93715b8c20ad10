"""Filters on cells of several columns, with comparisons of numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scfm.datasets import Dataset
from scfm.deposit import kept_cells
from scfm.errors import ScfmError

OBS = pd.DataFrame(
    {
        "line": ["A549", "A549", "K562", "A549", None],
        "dose": [10000.0, 10.0, 10000.0, 10000.0, np.nan],
        "viability": [0.5, 0.5, 0.5, 0.85, np.nan],
        "name": ["a", "b and c", "d", "1", "01"],
    }
)


def kept(keep: str) -> list[int]:
    return np.flatnonzero(kept_cells(OBS, Dataset(name="d", keep=keep), Path("d.h5ad"))).tolist()


@pytest.mark.parametrize(
    ("keep", "rows"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("line == A549", [0, 1, 3]),
        ("dose == 10000", [0, 2, 3]),
        ("dose == 1e4", [0, 2, 3]),
        ("line == A549 and dose == 10000", [0, 3]),
        ("line == A549 and dose == 10000 and viability < 0.85", [0]),
        ("viability <= 0.85", [0, 1, 2, 3]),
        ("viability > 0.5", [3]),
        ("viability >= 0.5 and dose < 100", [1]),
        ("line == unknown", [4]),
        ("name == 1", [3, 4]),
    ],
)
def test_conditions_on_several_columns(keep: str, rows: list[int]) -> None:
    assert kept(keep) == rows


@pytest.mark.parametrize(
    ("keep", "sentence"),
    [
        ("line", "keep 'line' is not a filter; write 'column == value'"),
        ("line == A549 and dose", "is not a filter"),
        ("line == A549 and ", "is not a filter"),
        ("== 3", "is not a filter"),
        ("dose < high", "keep compares with 'high' by '<'; expected a number"),
        ("doses < 3", "obs column 'doses' .keep. not found; name one of: line, dose"),
        ("line < 3", "no cell is left by 'line < 3'"),
        ("line == K562 and dose == 10", "no cell is left"),
    ],
)
def test_bad_filters(keep: str, sentence: str) -> None:
    with pytest.raises(ScfmError, match=sentence):
        kept(keep)
