"""What a treatment makes of donors: one row for each dataset, run, vector and prediction."""

import pandas as pd

from scfm.paper.tables.by_dataset import CONTAMINATED, UNDEFINED
from scfm.paper.tidy import of_task, summarise

TASK = "cytokine"
METRICS = ("error", "change_pearson", "retrieval_top1")
COLUMNS = ("dataset", "run", "vector", "prediction", "seeds", "donors", "pairs")


def cytokine_table(tidy: pd.DataFrame) -> pd.DataFrame:
    """One row for each dataset, run, vector and prediction, in the order of the results.

    Returns:
        Columns `COLUMNS` (donors: those with both samples; pairs: a donor under a treatment) and `METRICS` as text:
        value (lower to upper end of its interval), all on average over the seeds, with a dagger where the run has seen
        the cells; a dash where a metric is not defined.

    Raises:
        ScfmError: no row of the tidy results is of the task.
    """
    groups = summarise(of_task(tidy, TASK)).groupby(["dataset", "run", "pooling"], sort=False)
    return pd.DataFrame([_row(key, own.set_index("metric")) for key, own in groups])


def _row(key: tuple[str, str, str], figures: pd.DataFrame) -> dict:
    dataset, run, pooling = key
    vector, _, prediction = pooling.rpartition(":")
    counts = {name: int(figures["mean"][name]) for name in ("donors", "pairs")}
    row = dict(zip(COLUMNS, (dataset, run, vector, prediction, figures["seeds"].max(), *counts.values()), strict=True))
    return row | {name: _text(figures, name) for name in METRICS}


def _text(figures: pd.DataFrame, name: str) -> str:
    value, low, high = (figures["mean"].get(label) for label in (name, f"{name}_low", f"{name}_high"))
    if pd.isna(value):
        return UNDEFINED
    ends = "" if pd.isna(low) else f" ({low:.3f} to {high:.3f})"
    return f"{value:.3f}{ends}" + f" {CONTAMINATED}" * bool(figures["contaminated"][name])
