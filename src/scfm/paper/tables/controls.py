"""Which runs beat the same network with random weights, by more than the spread over seeds."""

import pandas as pd

from scfm.errors import ScfmError
from scfm.paper.tables.by_dataset import BASELINES
from scfm.paper.tables.difference import MEASURES
from scfm.paper.tidy import summarise

CONTROL = "random"
ENOUGH = 2
"""A run counts as above its control if it beats it on this many datasets."""


def controls(tidy: pd.DataFrame) -> pd.DataFrame:
    """One row for each metric, run and pooling.

    A dataset counts as beaten if the mean difference exceeds the wider of the two ranges over seeds. The control
    has the same pooling, or the first of the control's if it does not offer that one.

    Returns:
        Columns metric, run, pooling, control, datasets, beaten, mean_difference, above_control (bool).

    Raises:
        ScfmError: the results hold no run `random`.
    """
    summary = summarise(
        tidy[[MEASURES.get(metric) == task for metric, task in zip(tidy.metric, tidy.task, strict=True)]]
    )
    summary = summary[summary["mean"].notna()]
    control = summary[summary.run == CONTROL]
    if control.empty:
        raise ScfmError(f"tidy results: no run '{CONTROL}'; give the results of the random-weights control too")
    trained = summary[~summary.run.isin(BASELINES)]
    rows = [
        _row(metric, run, pooling, own, control[control.metric == metric])
        for (metric, run, pooling), own in trained.groupby(["metric", "run", "pooling"], sort=False)
    ]
    return pd.DataFrame(rows)


def _row(metric: str, run: str, pooling: str, own: pd.DataFrame, control: pd.DataFrame) -> dict:
    offered = list(dict.fromkeys(control.pooling))
    against = pooling if pooling in offered else offered[0]
    both = own.merge(control[control.pooling == against], on="dataset", suffixes=("", "_control"))
    gain = both["mean"] - both.mean_control
    spread = pd.concat([both.high - both.low, both.high_control - both.low_control], axis=1).max(axis=1)
    beaten = int((gain > spread).sum())
    return {
        "metric": metric,
        "run": run,
        "pooling": pooling,
        "control": f"{CONTROL}/{against}",
        "datasets": len(both),
        "beaten": beaten,
        "mean_difference": gain.mean(),
        "above_control": beaten >= min(ENOUGH, len(both)) > 0,
    }
