"""Paired comparisons of two embeddings over datasets: difference, interval and test."""

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.paper.bootstrap import dataset_seed_interval
from scfm.paper.settings import Arm, Paper
from scfm.paper.tables.difference import paired

METRICS = {"score": "integration", "avg_bio": "integration", "avg_batch": "integration", "macro_f1": "probe"}
"""Metrics compared, with their tasks."""
COLUMNS = (
    "metric",
    "contrast",
    "datasets",
    "seeds",
    "difference",
    "low",
    "high",
    "better",
    "equal",
    "worse",
    "p",
    "smallest_p",
    "p_adjusted",
)


def pairs(tidy: pd.DataFrame, contrasts: list[tuple[Arm, Arm]], settings: Paper) -> pd.DataFrame:
    """One row for each metric and contrast, over the datasets that neither side has seen in pretraining.

    Seeds are averaged within a dataset before datasets are counted or tested: the datasets are the sample.

    Returns:
        Columns `COLUMNS`: mean difference with its bootstrap interval over datasets and seeds; datasets in which the
        first side is better, equal or worse; p of Wilcoxon's signed-rank test, two-sided and exact; the smallest p
        that so many datasets allow; p after Holm's correction over the contrasts of a metric. With a single dataset
        there is neither interval nor test (NaN). A contrast without an unseen dataset has no row.

    Raises:
        ScfmError: no contrast given, or one for which the results have no dataset and seed in common.
    """
    if not contrasts:
        raise ScfmError("--contrast: none given; write RUN/POOLING-RUN/POOLING at least once")
    rows = [row for ours, theirs in contrasts for row in _rows(tidy, ours, theirs, settings)]
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS))
    table = pd.DataFrame(rows)
    table["p_adjusted"] = table.groupby("metric", sort=False).p.transform(holm)
    order = table.metric.map(list(METRICS).index)
    return table.loc[order.sort_values(kind="stable").index, list(COLUMNS)].reset_index(drop=True)


def _rows(tidy: pd.DataFrame, ours: Arm, theirs: Arm, settings: Paper) -> list[dict]:
    name = f"{ours.run}/{ours.pooling} − {theirs.run}/{theirs.pooling}"
    parts = {metric: paired(tidy, task, metric, ours, theirs) for metric, task in METRICS.items()}
    if all(part.empty for part in parts.values()):
        raise ScfmError(f"--contrast {name}: no dataset and seed in common in the tidy results; check the names")
    unseen = {metric: part[~part.contaminated.astype(bool)] for metric, part in parts.items()}
    return [_row(metric, name, part, settings) for metric, part in unseen.items() if len(part)]


def _row(metric: str, contrast: str, differences: pd.DataFrame, settings: Paper) -> dict:
    means = differences.groupby("dataset", sort=False).value.mean().round(9)  # results have six decimals
    several = len(means) > 1
    _, low, high = dataset_seed_interval(differences, settings.bootstrap, settings.confidence, settings.seed)
    return {
        "metric": metric,
        "contrast": contrast,
        "datasets": len(means),
        "seeds": differences.seed.nunique(),
        "difference": means.mean(),
        "low": low if several else np.nan,
        "high": high if several else np.nan,
        "better": int((means > 0).sum()),
        "equal": int((means == 0).sum()),
        "worse": int((means < 0).sum()),
        "p": signed_rank(means.to_numpy()) if several else np.nan,
        "smallest_p": 0.5 ** (len(means) - 1) if several else np.nan,
    }


def signed_rank(differences: np.ndarray) -> float:
    """p of Wilcoxon's signed-rank test, two-sided; exact up to 50 differences without ties; 1 if all are 0."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences).pvalue) if np.any(differences) else 1.0


def holm(p: pd.Series) -> pd.Series:
    """p values after Holm's step-down correction; NaN stays NaN and does not count."""
    known = p.dropna().sort_values(kind="stable")
    adjusted = (known * np.arange(len(known), 0, -1)).cummax().clip(upper=1.0)
    return adjusted.reindex(p.index)
