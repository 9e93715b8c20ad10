"""Tidy results: one row a measurement, the same columns for every task."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scfm.files import whole

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "study",
    "run",
    "pooling",
    "dataset",
    "task",
    "metric",
    "split",
    "fold",
    "seed",
    "value",
    "n",
    "contaminated",
)


@dataclass(frozen=True)
class Measurement:
    """One value of one metric, before it is known whose it is."""

    metric: str
    value: float
    """NaN where the metric is not defined on the data."""
    n: int
    """Cells that the value is of; samples in the task of donors."""
    split: str = ""
    """Which part of the dataset, or which target of its donors; "" for all of it."""
    fold: str = ""
    """Fold of the cross-validation, "" for a value over all folds."""


def tidy(measurements: list[Measurement], **context: object) -> "pd.DataFrame":
    """Rows with the columns `COLUMNS`; `context` gives study, run, pooling, dataset, task, seed and contaminated."""
    import pandas as pd

    return pd.DataFrame([{**context, **vars(measurement)} for measurement in measurements], columns=list(COLUMNS))


def write_tidy(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as CSV with six decimals; NaN becomes an empty field."""
    with whole(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
