"""What an obs column has to teach: labels, or numbers."""

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.ontology import UNKNOWN

TASKS = ("labels", "regression")
MOST_CODES = 20
"""So many distinct whole numbers may be codes of labels."""


def task_of(column: pd.Series, task: str | None = None) -> str:
    """`regression` of integers and floats, `labels` of text, categories and bools, or what is asked for.

    Raises:
        ScfmError: `task` is not known, or a few whole numbers could be either.
    """
    if task is not None and task not in TASKS:
        raise ScfmError(f"task: '{task}' is not known; choose {' or '.join(TASKS)}")
    known = column.dropna().infer_objects()
    if task is not None or known.dtype.kind not in "iuf":
        return task or "labels"
    distinct = known.nunique()
    if 1 < distinct <= MOST_CODES and (known % 1 == 0).all():
        raise ScfmError(
            f"obs column '{column.name}': {distinct} whole numbers may be codes of labels or amounts; say which by "
            f"task, {' or '.join(TASKS)}"
        )
    return "regression"


def labels_of(column: pd.Series) -> pd.Series:
    """Labels as strings, None where there is none.

    Raises:
        ScfmError: no cell has one.
    """
    text = column.astype(object).astype(str)
    known = column.notna() & (text != UNKNOWN)
    if not known.any():
        raise ScfmError(f"obs column '{column.name}': no cell has a label; name another column")
    return text.astype(object).where(known, None)


def numbers_of(column: pd.Series) -> pd.Series:
    """Numbers as float64, NaN where there is none.

    Raises:
        ScfmError: a value is no number or infinite, or fewer than two cells have different numbers.
    """
    try:
        numbers = pd.to_numeric(column.astype(object).where(column.notna(), np.nan)).astype(np.float64)
    except (ValueError, TypeError) as error:
        raise ScfmError(
            f"obs column '{column.name}': regression expects numbers ({error}); name another column"
        ) from error
    if np.isinf(numbers).any():
        raise ScfmError(
            f"obs column '{column.name}': {np.isinf(numbers).sum()} cells are infinite; make them missing (NaN)"
        )
    if numbers.nunique() < 2:
        raise ScfmError(
            f"obs column '{column.name}': {numbers.notna().sum()} cells with a number, {numbers.nunique()} distinct; "
            "regression needs two cells that differ"
        )
    return numbers
