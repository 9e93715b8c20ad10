"""How like real cells the drawn ones are: one row for each dataset, condition and run or control."""

import pandas as pd

from scfm.generation.evaluate import METRICS
from scfm.generation.score import TASK
from scfm.generation.sources import CEILING, CONTROLS, TRAINING
from scfm.paper.tables.by_dataset import CONTAMINATED, UNDEFINED
from scfm.paper.tidy import in_order, of_task, summarise

COLUMNS = ("dataset", "condition", "drawn_by", "seeds", "cells")
FIRST, LAST = ("pair_correlation", "pair_slope", "depth_spread"), ("mean_pearson", "mean_spearman")
"""What single genes cannot show, and what they alone show."""


def generation_table(tidy: pd.DataFrame) -> pd.DataFrame:
    """One row for each dataset, condition and source: ceiling and training cells, runs, then independent genes.

    Returns:
        Columns `COLUMNS` (cells: of each side) and `METRICS`, those of pairs of genes first and those of means last, as
        text: mean over the seeds (lowest to highest of several), with a dagger where the run has seen the cells; a dash
        where a metric is not defined.

    Raises:
        ScfmError: no row of the tidy results is of the task.
    """
    groups = summarise(of_task(tidy, TASK)).groupby(["dataset", "split", "run"], sort=False)
    table = pd.DataFrame([_row(key, own.set_index("metric")) for key, own in groups])
    table = in_order(table, ["dataset", "condition"], table["drawn_by"].map(_kind))
    middle = [name for name in METRICS if name not in (*FIRST, *LAST)]
    return table[[*COLUMNS, *(name for name in (*FIRST, *middle, *LAST) if name in table)]].fillna("")


def _kind(name: str) -> int:
    return (CEILING, TRAINING).index(name) if name in (CEILING, TRAINING) else 3 if name in CONTROLS else 2


def _row(key: tuple[str, str, str], figures: pd.DataFrame) -> dict:
    row = dict(zip(("dataset", "condition", "drawn_by"), key, strict=True))
    row |= {"seeds": figures["seeds"].max(), "cells": figures["n"].max()}
    return row | {name: _text(figures.loc[name]) for name in METRICS if name in figures.index}


def _text(own: pd.Series) -> str:
    if pd.isna(own["mean"]):
        return UNDEFINED
    ends = f" ({own['low']:.3f} to {own['high']:.3f})" if own["seeds"] > 1 else ""
    return f"{own['mean']:.3f}{ends}" + f" {CONTAMINATED}" * bool(own["contaminated"])
