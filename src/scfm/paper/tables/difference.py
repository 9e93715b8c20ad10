"""Table 4: one run minus another for each dataset, paired by seed."""

import pandas as pd

from scfm.errors import ScfmError
from scfm.paper.settings import Arm
from scfm.paper.tidy import per_seed

MEASURES = {"avg_bio": "integration", "macro_f1": "probe"}
"""Metric to task; the two columns of the paper's table."""
DETERMINISTIC = "pca"
"""The baseline without a random choice: its one result stands against every seed of a trained run."""


def paired(tidy: pd.DataFrame, task: str, metric: str, ours: Arm, baseline: Arm) -> pd.DataFrame:
    """ours − baseline for each dataset and seed that both have, both values defined.

    Only the deterministic baseline is repeated for every seed of the other side: a trained network with one seed
    is paired in that seed alone, as repeating it would hide its own spread.

    Returns:
        Columns dataset, seed, value (the difference), n, contaminated; empty if nothing is in common.
    """
    chosen = per_seed(tidy[(tidy.task == task) & (tidy.metric == metric)])
    sides = [chosen[(chosen.run == arm.run) & (chosen.pooling == arm.pooling)] for arm in (ours, baseline)]
    repeated = [set(side.run) == {DETERMINISTIC} and side.seed.nunique() == 1 for side in sides]
    if all(repeated) or not any(repeated):
        both = sides[0].merge(sides[1], on=["dataset", "seed"], suffixes=("", "_baseline"))
    else:
        sides[repeated.index(True)] = sides[repeated.index(True)].drop(columns="seed")
        both = sides[0].merge(sides[1], on="dataset", suffixes=("", "_baseline"))
    both["value"] = both.value - both.value_baseline
    both["contaminated"] = both.contaminated | both.contaminated_baseline
    return both.loc[both.value.notna(), ["dataset", "seed", "value", "n", "contaminated"]].reset_index(drop=True)


def parse_contrast(text: str) -> tuple[Arm, Arm]:
    """`wced/cls-mlm/mean` as the two arms.

    Raises:
        ScfmError: the text has another form.
    """
    sides = [side.split("/") for side in text.split("-")]
    if len(sides) != 2 or any(len(side) != 2 or not all(side) for side in sides):
        raise ScfmError(f"--contrast: {text!r} has the wrong form; write RUN/POOLING-RUN/POOLING")
    return tuple(Arm(run=run, pooling=pooling) for run, pooling in sides)


def differences(tidy: pd.DataFrame, contrasts: list[tuple[Arm, Arm]]) -> pd.DataFrame:
    """One row for each contrast and dataset: the number of seeds paired, and for each metric the mean, SD and range
    of the difference over them.

    Raises:
        ScfmError: no contrast given, or one for which the results have no dataset and seed in common.
    """
    if not contrasts:
        raise ScfmError("--contrast: none given; write RUN/POOLING-RUN/POOLING at least once")
    return pd.concat([_contrast(tidy, *sides) for sides in contrasts], ignore_index=True)


def _contrast(tidy: pd.DataFrame, ours: Arm, baseline: Arm) -> pd.DataFrame:
    name = f"{ours.run}/{ours.pooling} − {baseline.run}/{baseline.pooling}"
    parts = {metric: paired(tidy, task, metric, ours, baseline) for metric, task in MEASURES.items()}
    rows = pd.concat(parts.values(), ignore_index=True)
    if rows.empty:
        raise ScfmError(f"--contrast {name}: no dataset and seed in common in the tidy results; check the names")
    table = rows.groupby("dataset", sort=False, as_index=False).agg(
        n=("n", "max"), contaminated=("contaminated", "any"), seeds=("seed", "nunique")
    )
    for metric, part in parts.items():
        spread = part.groupby("dataset").value.agg(["mean", "std", "min", "max"])
        spread.columns = [f"{metric}_{name}" for name in ("difference", "sd", "low", "high")]
        table = table.merge(spread, left_on="dataset", right_index=True, how="left")
    table.insert(0, "contrast", name)
    return table
