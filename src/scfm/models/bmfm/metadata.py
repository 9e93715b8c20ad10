"""Metadata tokens: columns of the table of cells, such as assay or tissue, whose values the encoder sees."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scfm.errors import ScfmError

UNKNOWN = "unknown"


def metadata_values(cells: pd.DataFrame, rows: np.ndarray, columns: Sequence[str]) -> dict[str, list[str]]:
    """Known values of each column in some rows, sorted.

    Raises:
        ScfmError: a column is missing or holds numbers, or none of these cells has a known value.
    """
    text = [name for name in cells if not pd.api.types.is_numeric_dtype(cells[name])]
    strange = [name for name in columns if name not in text]
    if strange:
        raise ScfmError(
            f"corpus cells.parquet: no text column '{strange[0]}' (input.metadata); choose among {', '.join(text)}"
        )
    values = {name: sorted(set(cells[name].iloc[rows].dropna().astype(str)) - {UNKNOWN}) for name in columns}
    for name in columns:
        if not values[name]:
            raise ScfmError(
                f"corpus cells.parquet: '{name}' is unknown in all training cells; remove it from input.metadata"
            )
    return values


def metadata_codes(cells: pd.DataFrame, values: dict[str, list[str]]) -> dict[str, np.ndarray]:
    """Column to int64 [cells]: place of each value among those of all columns; -1 where it is missing or not known."""
    codes, before = {}, 0
    for name, known in values.items():
        own = pd.Index(known).get_indexer(cells[name].astype(str)) if name in cells else np.full(len(cells), -1)
        codes[name] = np.where(own < 0, -1, before + own).astype(np.int64)
        before += len(known)
    return codes
