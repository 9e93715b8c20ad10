"""Figure 6 as a table: mechanisms of drugs that the classifier never saw, and the published figures in their column."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from scfm.paper.tables.by_dataset import CONTAMINATED, UNDEFINED
from scfm.paper.tidy import read_table, summarise

FOLDS = ("auroc", "recall", "f1", "drug_auroc", "drug_recall", "drug_f1")
"""Metrics with a standard deviation over the test folds."""
COUNTS = ("classes", "drugs", "classes_left_out", "drugs_left_out")
PUBLISHED = ("model", "published_auroc", "published_classes", "published_drugs", "source", "run", "pooling")
PUBLISHED_DATASET = "sciplex3_a549"
"""The dataset, by its name here, that the published figures are of."""


def moa_table(tidy: pd.DataFrame, published: Path, needs: Mapping[str, object]) -> pd.DataFrame:
    """One row for each run, pooling and dataset, then one for each published figure and for each missing file.

    Args:
        tidy: results of the task moa, or none.
        published: CSV with the columns `PUBLISHED`; `run` names our runs that a figure is of, with spaces between.
        needs: dataset to the file that is not there.

    Returns:
        Columns run, pooling, dataset, seeds, cells, `COUNTS` (Int64), `FOLDS` (text, mean ± SD over the test folds,
        both on average over the seeds; † where the run has seen the dataset), avg_bio, published_auroc, difference
        (ours - published; both only of the published dataset, and of runs that a published figure is of), note.

    Raises:
        ScfmError: the published figures are missing or lack a column.
    """
    printed = read_table(published, PUBLISHED, "a table of published figures")
    groups = summarise(tidy).groupby(["run", "pooling", "dataset"], sort=False)
    rows = [_row(key, own) | _difference(key, own, printed) for key, own in groups]
    for figure in printed.itertuples():
        note = f"published ({figure.source}): {figure.published_classes} classes, {figure.published_drugs} drugs"
        row = {"run": figure.model, "dataset": PUBLISHED_DATASET, "published_auroc": figure.published_auroc}
        rows.append(row | {"note": note})
    rows += [{"dataset": name, "note": f"needs {file}"} for name, file in needs.items()]
    columns = ["run", "pooling", "dataset", "seeds", "cells", *COUNTS, *FOLDS, "avg_bio", "published_auroc"]
    columns += ["difference", "note"]
    return pd.DataFrame(rows).reindex(columns=columns).astype(dict.fromkeys(("seeds", "cells", *COUNTS), "Int64"))


def _row(key: tuple[str, str, str], own: pd.DataFrame) -> dict:
    own = own.set_index("metric")
    mark = f" {CONTAMINATED}" if own.contaminated.any() else ""
    row = dict(zip(("run", "pooling", "dataset"), key, strict=True))
    row |= {"seeds": own.seeds.max(), "cells": own.n["auroc"]} | {name: int(own["mean"][name]) for name in COUNTS}
    for name in FOLDS:
        mean, sd = own["mean"][name], own["mean"][f"{name}_sd"]
        row[name] = UNDEFINED if pd.isna(mean) else f"{mean:.3f} ± {sd:.3f}{mark}"
    return row | {"avg_bio": own["mean"]["avg_bio"]}


def _difference(key: tuple[str, str, str], own: pd.DataFrame, printed: pd.DataFrame) -> dict:
    """The figure published for such a run on the same dataset, and how ours differs."""
    run, pooling, dataset = key
    same = [run in str(runs).split() for runs in printed["run"]] & (printed["pooling"] == pooling)
    if dataset != PUBLISHED_DATASET or not same.any():
        return {}
    figure = printed.loc[same, "published_auroc"].iloc[0]
    ours = own.loc[own.metric == "auroc", "mean"].iloc[0]
    return {"published_auroc": figure, "difference": ours - figure}
