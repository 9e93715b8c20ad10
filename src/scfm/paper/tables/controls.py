"""Which runs beat the same network with random weights, by more than the spread over seeds."""

import pandas as pd

from scfm.errors import ScfmError
from scfm.paper.tables.by_dataset import BASELINES
from scfm.paper.tables.difference import MEASURES
from scfm.paper.tidy import summarise

CONTROL = "random"
ENOUGH = 2
"""A run counts as above its control if it beats it on this many datasets."""


def controls(tidy: pd.DataFrame, control_of: dict[str, str] | None = None) -> pd.DataFrame:
    """One row for each metric, run and pooling.

    A dataset counts as beaten if the mean difference exceeds the range over seeds, the wider one where both the run
    and the control have several. With one seed each there is no range, and nothing is counted. The control has the
    same pooling, or the first of the control's if it does not offer that one. Models of others, whose network is
    another, are left out.

    Args:
        control_of: run to the run of its random weights; runs not named are left out. None: `random`, for all others.

    Returns:
        Columns metric, run, pooling, control, datasets, seeds, control_seeds, beaten (Int64), mean_difference,
        above_control (boolean); beaten and above_control are NA without any range over seeds.

    Raises:
        ScfmError: the results hold no such control.
    """
    summary = summarise(
        tidy[[MEASURES.get(metric) == task for metric, task in zip(tidy.metric, tidy.task, strict=True)]]
    )
    summary = summary[summary["mean"].notna()]
    trained = summary[~summary.run.isin(BASELINES) & ~summary.training_unknown]
    if control_of is None:
        control_of = dict.fromkeys(trained.run.unique(), CONTROL)
    missing = sorted(set(control_of.values()) - set(summary.run))
    if missing:
        raise ScfmError(f"tidy results: no run '{missing[0]}'; give the results of the random-weights control too")
    trained = trained[trained.run.isin(control_of)]
    rows = [
        _row(metric, run, pooling, own, summary[(summary.run == control_of[run]) & (summary.metric == metric)])
        for (metric, run, pooling), own in trained.groupby(["metric", "run", "pooling"], sort=False)
    ]
    return pd.DataFrame(rows).astype({"beaten": "Int64", "above_control": "boolean"})


def _row(metric: str, run: str, pooling: str, own: pd.DataFrame, control: pd.DataFrame) -> dict:
    offered = list(dict.fromkeys(control.pooling))
    against = pooling if pooling in offered else offered[0]
    both = own.merge(control[control.pooling == against], on="dataset", suffixes=("", "_control"))
    gain = both["mean"] - both.mean_control
    own_range = (both.high - both.low).where(both.seeds > 1)
    control_range = (both.high_control - both.low_control).where(both.seeds_control > 1)
    spread = pd.concat([own_range, control_range], axis=1).max(axis=1)
    known = int(spread.notna().sum())
    beaten = int((gain > spread).sum()) if known or both.empty else pd.NA
    return {
        "metric": metric,
        "run": run,
        "pooling": pooling,
        "control": f"{control.run.iloc[0]}/{against}",
        "datasets": len(both),
        "seeds": int(own.seeds.max()),
        "control_seeds": int(control.seeds.max()),
        "beaten": beaten,
        "mean_difference": gain.mean(),
        "above_control": pd.NA if beaten is pd.NA else beaten >= min(ENOUGH, known) > 0,
    }
