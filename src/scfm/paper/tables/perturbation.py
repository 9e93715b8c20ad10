"""How well held-out perturbed cells are predicted: one row for each dataset, hold-out and model or baseline."""

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from scfm.paper.tables.by_dataset import CONTAMINATED, TRAINING_UNKNOWN, UNDEFINED
from scfm.paper.tidy import in_order, of_task, summarise
from scfm.perturbation import BASELINES, CEILING

TASK = "perturbation"
MAIN = "pearson_delta"
METRICS = (
    MAIN,
    "mae",
    "pds",
    "des",
    "spearman_lfc",
    "auprc",
    "direction",
    "recall",
    "effect_number_spearman",
    "score",
)
"""Figures shown, the correlation of changes first."""
CANNOT = "no way to predict"
"""Stands in the place of the first figure where a model has none by design."""
COLUMNS = ("dataset", "held_out", "prediction", "seeds", "pairs", "cells")
NUMBERS = ("seeds", "pairs", "cells")


def perturbation_table(tidy: pd.DataFrame, needs: Mapping[str, object] = MappingProxyType({})) -> pd.DataFrame:
    """One row for each dataset, hold-out and what predicted: the ceiling, models, then baselines; and one for each
    missing file.

    Args:
        needs: dataset to the file that is not there.

    Returns:
        Columns `COLUMNS` (pairs: held-out perturbations, each in one background; cells: the real ones of them) and
        `METRICS` as text: value (lower to upper end of its interval over pairs), all on average over the seeds, with a
        dagger where the run has seen the cells and a section mark where nobody here knows; a dash where a metric is
        not defined, empty where it is not measured, and `CANNOT` where a model does not predict what is held out. The
        row of a missing file says in the place of what is held out which one it needs.

    Raises:
        ScfmError: no row of the tidy results is of the task, and no file is missing.
    """
    absent = pd.DataFrame([{"dataset": name, "held_out": f"needs {file}"} for name, file in needs.items()])
    if tidy[tidy["task"] == TASK].empty and needs:
        return _shown(absent)
    groups = summarise(of_task(tidy, TASK)).groupby(["dataset", "split", "run"], sort=False)
    table = pd.DataFrame([_row(key, own.set_index("metric")) for key, own in groups])
    table = in_order(table, ["dataset", "held_out"], table["prediction"].map(_kind))
    return _shown(pd.concat([table, absent], ignore_index=True))


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """Columns in their order, texts empty where there is none."""
    metrics = [name for name in METRICS if name in table]
    table = table.reindex(columns=[*COLUMNS, *metrics])
    return table.fillna(dict.fromkeys(["prediction", *metrics], "")).astype(dict.fromkeys(NUMBERS, "Int64"))


def _kind(name: str) -> int:
    """Ceiling, models, baselines."""
    return 0 if name == CEILING else 2 if name in BASELINES else 1


def _row(key: tuple[str, str, str], figures: pd.DataFrame) -> dict:
    row = dict(zip(("dataset", "held_out", "prediction"), key, strict=True))
    row |= {
        "seeds": figures["seeds"].max(),
        "pairs": int(figures["mean"]["perturbations"]),
        "cells": figures["n"]["perturbations"],
    }
    return row | ({name: _text(figures, name) for name in METRICS if name in figures.index} or {MAIN: CANNOT})


def _text(figures: pd.DataFrame, name: str) -> str:
    value, low, high = (figures["mean"].get(label) for label in (name, f"{name}_low", f"{name}_high"))
    if pd.isna(value):
        return UNDEFINED
    ends = UNDEFINED if pd.isna(low) else f"{low:.3f} to {high:.3f}"
    marks = {CONTAMINATED: figures["contaminated"][name], TRAINING_UNKNOWN: figures["training_unknown"][name]}
    return f"{value:.3f} ({ends})" + "".join(f" {mark}" for mark, holds in marks.items() if holds)
