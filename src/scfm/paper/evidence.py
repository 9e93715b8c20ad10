"""From the study's results to the one figure that answers a claim, with its interval."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.paper.bootstrap import dataset_seed_interval
from scfm.paper.settings import Agreement, Check, Corpus, Difference, Learnability, Paper
from scfm.paper.tables.difference import DETERMINISTIC, paired
from scfm.paper.tidy import read_table

P_LIMIT = 0.05


class NotTestedError(Exception):
    """The study does not hold what the claim needs; the message is the reason."""


@dataclass(frozen=True)
class Evidence:
    """What the study says about one claim."""

    ours: float
    low: float
    high: float
    n: int | None
    """Number of datasets × seeds, or of seeds, behind the figure, where one was counted."""
    basis: str
    """What was counted, e.g. `4 datasets × 2 seeds`."""
    p: float | None = None
    """Largest p value over the seeds, where the claim has a test of its own."""


@dataclass(frozen=True)
class Results:
    """Everything that claims are judged on."""

    tidy: pd.DataFrame
    learnability: dict[tuple[str, str], Path] = field(default_factory=dict)
    """(run, seed) to the folder of its learnability tables."""
    agreement: Path | None = None
    check: Path | None = None
    split: Path | None = None
    """Table of the corpus's split."""


def difference(quantity: Difference, results: Results, settings: Paper) -> Evidence:
    """Mean over datasets of the seeds' mean difference, with the bootstrap interval over both.

    Raises:
        NotTestedError: a run is not there, or fewer datasets than the settings ask for are left.
    """
    pairs = paired(results.tidy, quantity.task, quantity.metric, quantity.ours, quantity.baseline)
    if pairs.empty:
        name = f"{quantity.ours.run}/{quantity.ours.pooling} and {quantity.baseline.run}/{quantity.baseline.pooling}"
        raise NotTestedError(f"no {quantity.metric} of {name} on a dataset and seed in common")
    seen = pairs.dataset[pairs.contaminated].unique()
    left_out = "" if settings.include_contaminated or not len(seen) else f"; without {', '.join(seen)} (contaminated)"
    kept = pairs if settings.include_contaminated else pairs[~pairs.contaminated]
    datasets, seeds = kept.dataset.nunique(), kept.seed.nunique()
    if datasets < settings.min_datasets:
        raise NotTestedError(
            f"{datasets} dataset{'' if datasets == 1 else 's'} with {quantity.metric}{left_out}; "
            f"an interval over datasets needs {settings.min_datasets}"
        )
    ours, low, high = dataset_seed_interval(kept, settings.bootstrap, settings.confidence, settings.seed)
    noun = "seed" if DETERMINISTIC in (quantity.ours.run, quantity.baseline.run) else "common seed"
    basis = f"{_count(datasets, 'dataset')}, {_count(seeds, noun)}{left_out}"
    return Evidence(ours, low, high, len(kept), basis)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def learnability(quantity: Learnability, results: Results, settings: Paper) -> Evidence:
    """Mean and range over the seeds of one figure of a run's learnability tables, with its largest p value.

    Raises:
        NotTestedError: the run is not there, or the figure is not defined.
    """
    folders = [path for (name, _), path in results.learnability.items() if name == quantity.run]
    if not folders:
        raise NotTestedError(f"no learnability tables of the run {quantity.run}")
    columns = ["figure", "p"]
    seeds = pd.DataFrame([_figure(folder, quantity) for folder in folders], columns=columns, dtype=float)
    # A defined figure without a p value gives NaN, which is not below the limit.
    p = seeds.p[seeds.figure.notna()].max(skipna=False) if quantity.p_column else None
    return _over_seeds(seeds.figure, f"{quantity.run}: {quantity.column}", p)


def _figure(folder: Path, quantity: Learnability) -> tuple[float, float]:
    """The figure of one seed and the largest p value of its rows; NaN where there is none."""
    nothing = float("nan")
    if quantity.table == "summary":
        return _summary_value(folder / "summary.json", quantity.column), nothing
    tested = [quantity.p_column] if quantity.p_column else []
    columns = [quantity.column, *quantity.where, *tested]
    table = read_table(folder / f"{quantity.table}.csv", columns, "a learnability table")
    rows = _rows(table, quantity.where).dropna(subset=quantity.column)
    if rows.empty:
        return nothing, nothing
    p = rows[tested].max(skipna=False).max(skipna=False) if tested else nothing
    return float(rows[quantity.column].agg(quantity.over_rows)), float(p)


def _rows(table: pd.DataFrame, where: dict[str, str]) -> pd.DataFrame:
    """The rows that hold the given text in each of the given columns."""
    for column, value in where.items():
        table = table[table[column].astype(str) == value]
    return table


def _summary_value(path: Path, key: str) -> float:
    data = json.loads(must_exist(path, "a learnability summary").read_text())
    for part in key.split("."):
        if not isinstance(data, dict) or part not in data:
            raise ScfmError(f"{path}: key '{key}' is missing; correct the claim's column")
        data = data[part]
    return float("nan") if data is None else float(data)


def _over_seeds(values: pd.Series, what: str, p: float | None = None) -> Evidence:
    figures = values.dropna()
    if figures.empty:
        raise NotTestedError(f"{what} is not defined in any seed")
    return Evidence(
        figures.mean(), figures.min(), figures.max(), len(figures), f"{_count(len(figures), 'seed')} (range)", p
    )


def agreement(quantity: Agreement, results: Results, settings: Paper) -> Evidence:
    """Mean and range over the seeds of one figure of agreement.csv.

    Raises:
        NotTestedError: no agreement table, or none of this pair.
    """
    if results.agreement is None:
        raise NotTestedError("no agreement of two runs in this study")
    needed = ["first", "second", quantity.column, *quantity.where]
    needed += [quantity.p_column] if quantity.p_column else []
    table = read_table(results.agreement, needed, "the agreement of two runs")
    rows = _rows(table, {"first": quantity.first, "second": quantity.second, **quantity.where})
    if rows.empty:
        raise NotTestedError(f"no agreement of {quantity.first} with {quantity.second} in this study")
    p = float(rows[quantity.p_column].max()) if quantity.p_column else None
    return _over_seeds(rows[quantity.column], f"{quantity.first} and {quantity.second}: {quantity.column}", p)


def check(quantity: Check, results: Results, settings: Paper) -> Evidence:
    """One row of check.csv, over all seeds of its run, with its own interval.

    Raises:
        NotTestedError: no check.csv (only the synthetic census has a known truth), or no such row.
        ScfmError: check.csv is of several runs.
    """
    if results.check is None:
        raise NotTestedError("only a study on the synthetic census knows the truth")
    columns = ["run", "seed", "quantity", "value", "low", "high"]
    table = read_table(results.check, columns, "the check of the planted truth")
    rows = table[(table["quantity"] == quantity.name) & table.seed.isna()]
    if rows.empty:
        raise NotTestedError(f"the check of the planted truth has no row {quantity.name} over all seeds")
    if len(rows) > 1:
        raise ScfmError(f"{results.check}: checks the runs {', '.join(rows.run)}; give the check of one run")
    value, low, high = rows.iloc[0][["value", "low", "high"]].astype(float)
    if pd.isna([value, low, high]).any():
        raise NotTestedError(f"{quantity.name} is not defined: no planted gene is evaluated")
    return Evidence(value, low, high, None, f"run {rows.run.iloc[0]}, all seeds, bootstrap over genes")


def corpus(quantity: Corpus, results: Results, settings: Paper) -> Evidence:
    """Units or cells on one side of the split: a count, so without an interval.

    Raises:
        NotTestedError: no table of the split was given.
    """
    if results.split is None:
        raise NotTestedError("no table of the corpus's split")
    table = read_table(results.split, ["unit", "split", "cells"], "the split of the corpus")
    rows = table[table["split"] == quantity.split]
    count = float(len(rows) if quantity.column == "unit" else rows.cells.sum())
    return Evidence(count, count, count, None, "counted")


MEASURE = {
    "difference": difference,
    "learnability": learnability,
    "agreement": agreement,
    "check": check,
    "corpus": corpus,
}
"""Kind of quantity to the function that measures it."""
