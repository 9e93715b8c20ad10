"""How well hidden counts of cells and hidden genes of tissues are predicted: one row for each dataset, task and way."""

import pandas as pd

from scfm.datasets import COUNT_TASKS
from scfm.paper.tables.by_dataset import CONTAMINATED, TRAINING_UNKNOWN, UNDEFINED
from scfm.paper.tidy import in_order, of_task, summarise

METRICS = ("rmse", "rmse_nonzero", "pearson", "pearson_median", "pearson_mean", "pearson_gain")
"""Of denoising the first three, of imputation the others."""
OF_A_MODEL = ("expected", "with_positions", "without_positions")
"""Ways of a model; the others are baselines, in which no model has a part."""
BASELINE = "baseline"
"""Said in place of their run."""
KEYS = ["dataset", "task", "run", "pooling"]
COLUMNS = ("dataset", "task", "run", "prediction", "seeds", "n")


def imputation_table(tidy: pd.DataFrame) -> pd.DataFrame:
    """One row for each dataset, task, run and way of predicting; the baselines after the runs, once.

    Returns:
        Columns `COLUMNS` (n: cells of denoising, genes of imputation) and those of `METRICS` that have a value, as
        text: value (lower to upper end of its interval), all on average over the seeds, with a dagger where the run has
        seen the dataset and a section mark where nobody here knows; empty where a metric is of the other task, a dash
        where it is not defined.

    Raises:
        ScfmError: no row of the tidy results is of the tasks.
    """
    summary = summarise(_baselines_once(of_task(tidy, *COUNT_TASKS)))
    rows = [_row(key, own.set_index("metric")) for key, own in summary.groupby(KEYS, sort=False)]
    table = pd.DataFrame(rows)
    table = in_order(table, ["task", "dataset"], (table["run"] == BASELINE).astype(int))
    shown = [name for name in METRICS if name in table]
    return table[[*COLUMNS, *shown]].fillna(dict.fromkeys(shown, ""))


def _baselines_once(tidy: pd.DataFrame) -> pd.DataFrame:
    """Baselines are the same beside every run: those of one run and seed of each dataset and task are kept."""
    of_model = tidy["pooling"].isin(OF_A_MODEL)
    others = tidy[~of_model]
    first = others.drop_duplicates(["dataset", "task", "pooling"])[["dataset", "task", "pooling", "run", "seed"]]
    return pd.concat([tidy[of_model], others.merge(first).assign(run=BASELINE)], ignore_index=True)


def _row(key: tuple[str, str, str, str], figures: pd.DataFrame) -> dict:
    main = next(name for name in METRICS if name in figures.index)
    row = dict(zip(("dataset", "task", "run", "prediction"), key, strict=True))
    row |= {"seeds": figures["seeds"].max(), "n": figures["n"][main]}
    return row | {name: _text(figures, name) for name in METRICS if name in figures.index}


def _text(figures: pd.DataFrame, name: str) -> str:
    value, low, high = (figures["mean"].get(label) for label in (name, f"{name}_low", f"{name}_high"))
    if pd.isna(value):
        return UNDEFINED
    marks = {CONTAMINATED: figures["contaminated"][name], TRAINING_UNKNOWN: figures["training_unknown"][name]}
    return f"{value:.3f} ({low:.3f} to {high:.3f})" + "".join(f" {mark}" for mark, holds in marks.items() if holds)
