"""Tidy results: reading them, joining them, and their summary over seeds."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from scfm.benchmarks.results import COLUMNS
from scfm.errors import ScfmError
from scfm.files import must_exist

TEXT = ("study", "run", "pooling", "dataset", "task", "metric", "split", "fold")
FLAGS = {"contaminated": ("contaminated", "any"), "training_unknown": ("training_unknown", "any")}
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
        The columns of `COLUMNS`; `value` float, `seed` and `n` int64, `contaminated` bool, the others text. And bool
        `training_unknown`: of a model of others, so that nobody here knows whether it has seen the cells.

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


def read_task(paths: Sequence[Path], task: str) -> pd.DataFrame:
    """The rows of one task, as `read_tidy`; an empty table where no file is given.

    Raises:
        ScfmError: what `read_tidy` raises.
    """
    tidy = read_results(paths)
    return tidy[tidy.task == task]


def of_task(tidy: pd.DataFrame, *tasks: str) -> pd.DataFrame:
    """The rows of tasks.

    Raises:
        ScfmError: there is none.
    """
    chosen = tidy[tidy["task"].isin(tasks)]
    if chosen.empty:
        whose = "that task" if len(tasks) == 1 else "these tasks"
        raise ScfmError(f"tidy results: no measurement of task {' or '.join(tasks)}; give the CSV files of {whose}")
    return chosen


def in_order(table: pd.DataFrame, place: list[str], kind: pd.Series) -> pd.DataFrame:
    """The rows by place, first come first, and within one by their kind, an integer; rows of one kind stay in order."""
    order = pd.DataFrame({"place": table.groupby(place, sort=False).ngroup(), "kind": kind})
    return table.loc[order.sort_values(["place", "kind"], kind="stable").index].reset_index(drop=True)


def read_results(paths: Sequence[Path]) -> pd.DataFrame:
    """As `read_tidy`; an empty table where no file is given.

    Raises:
        ScfmError: what `read_tidy` raises.
    """
    if not paths:
        return pd.DataFrame(columns=list(dict.fromkeys([*COLUMNS, *FLAGS])))
    return read_tidy(paths)


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
    table["training_unknown"] = table["contaminated"] == "unknown"
    table["contaminated"] = is_true(table["contaminated"]) & ~table["training_unknown"]
    return table


def is_true(flags: pd.Series) -> pd.Series:
    """Flags written as True/true/partly (anything but false or empty) as bool: a part counts as contaminated."""
    return ~flags.fillna("").astype(str).str.strip().str.lower().isin(["", "false", "0", "no"])


def in_one_column(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `contaminated` True, False or "unknown", as files have it, in place of the two flags."""
    said = table.contaminated.astype(object).mask(table.training_unknown & ~table.contaminated, "unknown")
    return table.assign(contaminated=said).drop(columns="training_unknown")


def per_seed(tidy: pd.DataFrame) -> pd.DataFrame:
    """Mean over the folds of each seed: one row for each measurement and seed."""
    groups = tidy.groupby([*KEYS, "seed"], sort=False, as_index=False)
    return groups.agg(value=("value", "mean"), n=("n", "max"), **FLAGS)


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
        **FLAGS,
    )
