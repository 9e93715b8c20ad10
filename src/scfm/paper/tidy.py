"""Tidy results: reading them, joining them, and their summary over seeds."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from scfm.benchmarks.results import COLUMNS
from scfm.errors import ScfmError
from scfm.files import must_exist

TEXT = ("study", "run", "pooling", "dataset", "task", "metric", "split", "fold")
KEYS = ["study", "run", "pooling", "dataset", "task", "metric", "split"]


def read_table(path: Path, columns: Iterable[str], what: str) -> pd.DataFrame:
    """Read a CSV, TSV or parquet table that must have `columns`.

    Raises:
        ScfmError: the file is missing, cannot be read, or lacks a column.
    """
    path = must_exist(path, what)
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise ScfmError(f"{path}: cannot be read as {what} ({' '.join(str(error).split())}); make it again") from error
    missing = [column for column in columns if column not in table]
    if missing:
        raise ScfmError(f"{path}: column '{missing[0]}' is missing; {what} needs {', '.join(columns)}")
    return table


def read_tidy(paths: Iterable[Path]) -> pd.DataFrame:
    """Join tidy tables in the order given.

    Returns:
        The columns of `COLUMNS`; `value` float, `seed` and `n` int64, `contaminated` bool, the others text.

    Raises:
        ScfmError: no file given, a column is missing, a value is not a number, or a measurement occurs twice.
    """
    parts = [_read_one(path) for path in paths]
    if not parts:
        raise ScfmError("tidy results: no file given; name at least one CSV of the benchmarks")
    tidy = pd.concat(parts, ignore_index=True)
    twice = tidy.duplicated([*KEYS, "fold", "seed"])
    if twice.any():
        row = tidy[twice].iloc[0]
        raise ScfmError(
            f"tidy results: the measurement {row.run}/{row.pooling}/{row.dataset}/{row.metric}, seed {row.seed}, "
            "occurs twice; give every file once"
        )
    return tidy


def _read_one(path: Path) -> pd.DataFrame:
    table = read_table(path, COLUMNS, "a tidy results table")[list(COLUMNS)]
    table[list(TEXT)] = table[list(TEXT)].fillna("").astype(str)
    for column in ("value", "seed", "n"):
        numbers = pd.to_numeric(table[column], errors="coerce")
        bad = numbers.isna() & (table[column].notna() if column == "value" else True)
        if bad.any():
            raise ScfmError(
                f"{path}: column '{column}' holds {table[column][bad].iloc[0]!r} where a number is expected; "
                "make the file again"
            )
        table[column] = numbers if column == "value" else numbers.astype("int64")
    table["contaminated"] = is_true(table["contaminated"])
    return table


def is_true(flags: pd.Series) -> pd.Series:
    """Flags written as True/true/partly (anything but false or empty) as bool: a part counts as contaminated."""
    return ~flags.fillna("").astype(str).str.strip().str.lower().isin(["", "false", "0", "no"])


def per_seed(tidy: pd.DataFrame) -> pd.DataFrame:
    """Mean over the folds of each seed: one row for each measurement and seed."""
    groups = tidy.groupby([*KEYS, "seed"], sort=False, as_index=False)
    return groups.agg(value=("value", "mean"), n=("n", "max"), contaminated=("contaminated", "any"))


def summarise(tidy: pd.DataFrame) -> pd.DataFrame:
    """Mean, SD (ddof 1; NaN for one seed) and range over the seeds of each measurement."""
    groups = per_seed(tidy).groupby(KEYS, sort=False, as_index=False)
    return groups.agg(
        mean=("value", "mean"),
        sd=("value", "std"),
        low=("value", "min"),
        high=("value", "max"),
        seeds=("seed", "nunique"),
        n=("n", "max"),
        contaminated=("contaminated", "any"),
    )
