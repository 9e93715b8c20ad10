"""Reading and checking the tables that the stage works on."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
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
SCORED = ("gene", "rescaled_mae", "reliable", "z", "outcome")
WITH_NULLS = (*SCORED, "null_shuffle", "null_sign")
TRUTH = ("gene", "planted")


def read_table(path: Path, columns: Iterable[str], what: str) -> pd.DataFrame:
    """Read a table of genes, in parquet, CSV or TSV (by the name's ending), that must have `columns`.

    Raises:
        ScfmError: the file is missing or of another format, lacks a column, or has a gene without a name or twice
            (once a run, seed and epoch where there are such columns).
    """
    table = _read(must_exist(path, what), what)
    missing = [column for column in columns if column not in table]
    if missing:
        raise ScfmError(f"{path}: column '{missing[0]}' is missing; {what} needs {', '.join(columns)}")
    nameless = table.gene.isna() | (table.gene.astype(str).str.strip() == "")
    if nameless.any():
        raise ScfmError(f"{path}: {nameless.sum()} rows have no gene; {what} names the gene of every row")
    keys = [name for name in ("run", "seed", "epoch", "gene") if name in table]
    twice = table.duplicated(keys)
    if twice.any():
        raise ScfmError(f"{path}: gene {table.gene[twice].iloc[0]} occurs twice; {what} has one row a gene")
    return table


def _read(path: Path, what: str) -> pd.DataFrame:
    """A table by the ending of its name; genes stay texts, one called NA too."""
    name = path.name.removesuffix(".gz")
    try:
        if name.endswith(".parquet"):
            return pd.read_parquet(path)
        if name.endswith((".csv", ".tsv")):
            return pd.read_csv(path, sep="," if name.endswith(".csv") else "\t", converters={"gene": str})
    except (OSError, ValueError) as error:
        ending = Path(name).suffix[1:]
        raise ScfmError(f"{path}: not a readable {ending} file; give {what} of that format") from error
    raise ScfmError(f"{path}: of unknown format; give {what} that ends in .parquet, .csv or .tsv")


def read_errors(path: Path) -> pd.DataFrame:
    """Gene errors of one run and seed, every epoch.

    Raises:
        ScfmError: as `read_table` and `check_errors`.
    """
    return check_errors(read_table(path, ERRORS, "a table of gene errors"), path)


def check_errors(errors: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return gene errors that can be analysed; a gene never seen expressed needs neither error nor zero fraction.

    Raises:
        ScfmError: no row; more than one run or seed; a column of text where numbers belong; a count, zero fraction or
            error of an expressed gene that is missing or out of its range.
    """
    if errors.empty:
        raise ScfmError(f"{path}: no row; expected one for each gene and validation epoch; evaluate the model first")
    if len(errors[["run", "seed"]].drop_duplicates()) > 1:
        raise ScfmError(f"{path}: holds more than one run or seed; give the table of one run and seed")
    for name in ERRORS[ERRORS.index("n") :]:
        if not pd.api.types.is_numeric_dtype(errors[name]):
            text = errors[name][pd.to_numeric(errors[name], errors="coerce").isna()].iloc[0]
            raise ScfmError(f"{path}: column '{name}' holds {text!r}; expected numbers with a decimal point")
    _must_lie(errors, "n_nonzero", np.inf, pd.Series(True, errors.index), path)
    expressed = errors.n_nonzero > 0
    _must_lie(errors, "zero_fraction", 1, expressed, path)
    for name in ("rescaled_mae", "rescaled_mae_ungated"):
        if errors[name].notna().any() or name == "rescaled_mae":
            _must_lie(errors, name, np.inf, expressed, path)
    return errors


def _must_lie(errors: pd.DataFrame, column: str, upper: float, where: pd.Series, path: Path) -> None:
    """Refuse a value of the genes `where` that is missing, infinite, negative or above `upper`."""
    values = errors[column]
    wrong = errors[where & ~(np.isfinite(values) & (values >= 0) & (values <= upper))]
    if len(wrong):
        allowed = "from 0 to 1" if upper == 1 else "of 0 or more"
        raise ScfmError(
            f"{path}: {column} of gene {wrong.gene.iloc[0]} is {wrong[column].iloc[0]:g} ({len(wrong):,} such rows); "
            f"expected a number {allowed} for every gene with nonzero observations; correct it or leave the gene out"
        )


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


def read_annotation(path: Path, genes: pd.Series, complete: bool = True) -> pd.DataFrame:
    """Family, family_group and program of every vocabulary gene.

    Args:
        genes: of the run; all of them must be annotated, or with `complete` false at least one.

    Raises:
        ScfmError: as `read_table`; a gene has no annotation.
    """
    annotation = read_table(path, ANNOTATION, "the gene annotation")
    absent = genes[~genes.isin(annotation.gene)]
    if len(absent) > (0 if complete else len(genes) - 1):
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
