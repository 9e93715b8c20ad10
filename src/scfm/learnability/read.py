"""Reading and checking the tables that the stage works on."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pandas as pd

from scfm.errors import ScfmError
from scfm.files import must_exist

ERRORS = (
    "run",
    "seed",
    "epoch",
    "gene",
    "n",
    "n_nonzero",
    "zero_fraction",
    "rescaled_mae",
    "rescaled_mae_ungated",
    "rescaled_mae_null",
    "auc",
)
ANNOTATION = ("gene", "family", "family_group", "program")
SCORED = (
    "gene",
    "family",
    "program",
    "zero_fraction",
    "rescaled_mae",
    "rescaled_mae_ungated",
    "reliable",
    "z",
    "outcome",
)
TRUTH = ("gene", "planted")


def read_table(path: Path, columns: Iterable[str], what: str) -> pd.DataFrame:
    """Read a parquet table that must have `columns`.

    Raises:
        ScfmError: the file is missing, is not parquet, lacks a column, or names a gene twice (once an epoch
            where there is a column `epoch`).
    """
    path = must_exist(path, what)
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ScfmError(f"{path}: not a readable parquet file; give {what}, made by its stage") from error
    missing = [column for column in columns if column not in table]
    if missing:
        raise ScfmError(f"{path}: column '{missing[0]}' is missing; {what} needs {', '.join(columns)}")
    keys = ["epoch", "gene"] if "epoch" in table else ["gene"]
    twice = table.duplicated(keys)
    if twice.any():
        raise ScfmError(f"{path}: gene {table.gene[twice].iloc[0]} occurs twice; {what} has one row a gene")
    return table


def read_errors(path: Path) -> pd.DataFrame:
    """Gene errors of one run and seed, every epoch.

    Raises:
        ScfmError: as `read_table`; no row; more than one run or seed in the file.
    """
    errors = read_table(path, ERRORS, "a table of gene errors")
    if errors.empty:
        raise ScfmError(f"{path}: no row; expected one for each gene and validation epoch; train the run first")
    if len(errors[["run", "seed"]].drop_duplicates()) > 1:
        raise ScfmError(f"{path}: holds more than one run or seed; give the table of one run and seed")
    return errors


def at_epoch(errors: pd.DataFrame, epoch: Literal["last"] | int) -> pd.DataFrame:
    """The rows of one epoch, in the order of the file.

    Raises:
        ScfmError: no error was recorded at that epoch.
    """
    wanted = errors.epoch.max() if epoch == "last" else epoch
    chosen = errors[errors.epoch == wanted]
    if chosen.empty:
        known = ", ".join(map(str, sorted(errors.epoch.unique())))
        raise ScfmError(f"epoch: {epoch} was not validated; the gene errors hold {known}; choose one or 'last'")
    return chosen.reset_index(drop=True)


def read_annotation(path: Path, genes: pd.Series) -> pd.DataFrame:
    """Family, family_group and program of every vocabulary gene; all of `genes` must be among them.

    Raises:
        ScfmError: as `read_table`; a gene has no annotation.
    """
    annotation = read_table(path, ANNOTATION, "the gene annotation")
    absent = genes[~genes.isin(annotation.gene)]
    if len(absent):
        raise ScfmError(
            f"{path}: gene {absent.iloc[0]} has no annotation ({len(absent)} genes in all); "
            "annotate the genes of the same corpus"
        )
    return annotation[list(ANNOTATION)].astype(str)


def read_names(path: Path | None) -> dict[str, str]:
    """Every family or program with its group, in the order of the rules, also those without a gene here.

    Returns:
        Name to group; empty without a file.

    Raises:
        ScfmError: the file is missing, is not CSV, or lacks the columns name and group.
    """
    if path is None:
        return {}
    path = must_exist(path, "the table of families or programs")
    try:
        table = pd.read_csv(path, dtype=str)
        return dict(zip(table["name"], table["group"], strict=True))
    except (ValueError, OSError, KeyError) as error:
        raise ScfmError(f"{path}: no CSV with the columns name and group; give a table of 'scfm annotation'") from error


def parse_tables(texts: Iterable[str]) -> dict[tuple[str, str], Path]:
    """`RUN:SEED=PATH` options as (run, seed) to path, in the order given.

    Raises:
        ScfmError: an option of another form, or one run and seed twice.
    """
    tables: dict[tuple[str, str], Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        run, colon, seed = name.rpartition(":")
        if not (equals and colon and run and seed.isdigit() and path):
            raise ScfmError(f"--genes: {text!r} is not of the form RUN:SEED=PATH, e.g. wced:0=genes.parquet")
        if (run, seed) in tables:
            raise ScfmError(f"--genes: run {run} with seed {seed} is given twice; give every table once")
        tables[run, seed] = Path(path)
    if not tables:
        raise ScfmError("--genes: no table given; give RUN:SEED=PATH for each run and seed")
    return tables
