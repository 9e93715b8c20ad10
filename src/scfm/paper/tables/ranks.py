"""Ranks of all embeddings over datasets."""

import numpy as np
import pandas as pd

from scfm.paper.tables.pairs import METRICS
from scfm.paper.tidy import summarise

COLUMNS = ("metric", "run", "pooling", "datasets", "mean_rank", "first", "of", "kendall_w", "friedman_p")


def ranks(tidy: pd.DataFrame) -> pd.DataFrame:
    """One row for each metric and embedding, the best mean rank first.

    Seeds are averaged before ranking; ties share their mean rank. Only datasets count that no model has seen in
    pretraining and on which every model has a value.

    Returns:
        Columns `COLUMNS`: mean rank (1 is best) over `datasets`, of how many embeddings; datasets in which it comes
        first, ties among them; Kendall's W of the ranking (1: all datasets rank alike) and p of Friedman's test, NaN
        for fewer than three embeddings or two datasets. A metric without such a dataset has no row.
    """
    parts = [_of(metric, tidy[(tidy.metric == metric) & (tidy.task == task)]) for metric, task in METRICS.items()]
    found = [part for part in parts if len(part)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(COLUMNS))


def _of(metric: str, rows: pd.DataFrame) -> pd.DataFrame:
    from scipy.stats import friedmanchisquare

    summary = summarise(rows) if len(rows) else rows
    if summary.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    seen = summary.groupby("dataset").contaminated.any()
    values = summary.pivot(index=["run", "pooling"], columns="dataset", values="mean")
    values = values.loc[:, ~seen.reindex(values.columns).to_numpy()].dropna(axis=1)
    if values.shape[1] == 0:
        return pd.DataFrame(columns=list(COLUMNS))
    rank = values.rank(ascending=False)
    models, datasets = values.shape
    w = p = np.nan
    if models > 2 and datasets > 1:
        statistic, p = friedmanchisquare(*values.to_numpy())
        w = statistic / (datasets * (models - 1))
    table = pd.DataFrame(
        {
            "metric": metric,
            "datasets": datasets,
            "mean_rank": rank.mean(axis=1),
            "first": (rank.eq(rank.min(axis=0), axis=1)).sum(axis=1),
            "of": models,
            "kendall_w": w,
            "friedman_p": p,
        }
    )
    return table.reset_index().sort_values("mean_rank", kind="stable", ignore_index=True)[list(COLUMNS)]
