"""Tables 5 to 7, 9 to 13 and macro F1: one row for each run and pooling, one column for each dataset."""

import pandas as pd

from scfm.errors import ScfmError
from scfm.paper.tidy import KEYS, of_task, per_seed, summarise

MEASURES = {
    "5": ("integration", "score"),
    "6": ("integration", "avg_bio"),
    "7": ("integration", "avg_batch"),
    "macro-f1": ("probe", "macro_f1"),
}
"""Table to (task, metric) of the tidy results."""

FROZEN = {
    "9": ("probe", "macro_f1"),
    "10": ("probe", "accuracy"),
    "11": ("clustering", "ari"),
    "12": ("clustering", "nmi"),
    "13": ("clustering", "silhouette"),
}
"""The same for tables 9 to 13, over the datasets that are asked for clustering."""

CONTAMINATED = "†"
TRAINING_UNKNOWN = "§"
SUBSAMPLE = "‡"
UNDEFINED = "–"
BASELINES = ("pca", "scvi", "random")
EVALUATED = "accuracy"
"""The metric of the task ontology whose cells are those with a known type in the tree."""


def metric_by_dataset(tidy: pd.DataFrame, task: str, metric: str) -> pd.DataFrame:
    """Mean ± SD over seeds of one metric.

    Columns: run, pooling, seeds, mean (over the datasets not contaminated), then one text column for each
    dataset: `mean ± SD` with 3 decimals, `†` where the evaluated data was seen in pretraining, `§` where nobody
    here knows whether it was, `‡` where part of it is of a subsample, `–` where the metric is not defined (AvgBatch of
    a single batch), empty where the run has no result.

    Raises:
        ScfmError: no row of the tidy results has this task and metric.
    """
    chosen = tidy[(tidy.task == task) & (tidy.metric == metric)]
    if chosen.empty:
        known = ", ".join(sorted({f"{row.task}/{row.metric}" for row in tidy[["task", "metric"]].itertuples()}))
        raise ScfmError(f"tidy results: no measurement {task}/{metric}; the files hold {known or 'none'}")
    summary = summarise(chosen)
    summary["cell"] = [_cell(row) for row in summary.itertuples()]
    found = dict.fromkeys(zip(summary.run, summary.pooling, strict=True))
    order = sorted(
        found, key=lambda key: key[0] in BASELINES or key[0].startswith("random_")
    )  # stable: otherwise as in the files
    wide = summary.pivot(index=["run", "pooling"], columns="dataset", values="cell").fillna("")
    wide = wide[list(dict.fromkeys(summary.dataset))].reindex(order).rename_axis(columns=None)
    wide.insert(0, "seeds", summary.groupby(["run", "pooling"]).seeds.max())
    wide.insert(1, "mean", [_overall(chosen, *key) for key in wide.index])
    return wide.reset_index()


def held_out(tidy: pd.DataFrame) -> pd.DataFrame:
    """Macro F1 on held-out batches: linear probes on each pooling, and fine-tuned (pooling `finetuned`).

    Raises:
        ScfmError: as `metric_by_dataset`.
    """
    return metric_by_dataset(tidy.assign(task=tidy.task.replace("finetune", "heldout")), "heldout", "macro_f1")


def _cell(row: object) -> str:
    if pd.isna(row.mean):
        return UNDEFINED
    text = f"{row.mean:.3f}" + ("" if pd.isna(row.sd) else f" ± {row.sd:.3f}")
    marks = {
        CONTAMINATED: row.contaminated,
        TRAINING_UNKNOWN: row.training_unknown,
        SUBSAMPLE: "subsample" in row.split,
    }
    return text + "".join(f" {mark}" for mark, holds in marks.items() if holds)


def _overall(chosen: pd.DataFrame, run: str, pooling: str) -> str:
    """Mean over the clean datasets, with the SD of that mean over seeds.

    For a model of others these are the datasets that no run of the study has seen, so that means can be compared.
    """
    own = chosen[(chosen.run == run) & (chosen.pooling == pooling) & ~chosen.contaminated]
    own = own[~own.training_unknown | ~own.dataset.isin(chosen.dataset[chosen.contaminated])]
    by_seed = per_seed(own).groupby("seed").value.mean().dropna()
    if by_seed.empty:
        return UNDEFINED
    spread = f" ± {by_seed.std():.3f}" if len(by_seed) > 1 else ""
    return f"{by_seed.mean():.3f}{spread}"


def frozen(tidy: pd.DataFrame, name: str) -> pd.DataFrame:
    """One of tables 9 to 13: label prediction and clustering of frozen embeddings, as `metric_by_dataset`.

    Raises:
        ScfmError: no row of the tidy results is of the task clustering.
    """
    clustered = of_task(tidy, "clustering").dataset
    return metric_by_dataset(tidy[tidy.dataset.isin(clustered)], *FROZEN[name])


def by_run(tidy: pd.DataFrame, task: str, keys: list[str] = KEYS) -> pd.DataFrame:
    """Every metric of one task: one row for each run, pooling and dataset, one text column for each metric.

    Columns: run, pooling, dataset, n (cells behind the accuracy), cells (the most behind any metric: all of the
    dataset's), then the metrics.

    Raises:
        ScfmError: no row of the tidy results has this task.
    """
    summary = summarise(of_task(tidy, task))
    summary["cell"] = [_cell(row) for row in summary.itertuples()]
    index = [key for key in keys if key not in ("study", "task", "metric", "split")]
    wide = summary.pivot(index=index, columns="metric", values="cell").fillna("").rename_axis(columns=None)
    wide = wide[list(dict.fromkeys(summary.metric))].reset_index()
    order = {name: place for place, name in enumerate(dict.fromkeys(summary.run))}
    evaluated = summary.loc[summary.metric == EVALUATED, [*index, "n"]].astype({"n": "Int64"})
    wide.insert(len(index), "n", wide[index].merge(evaluated, on=index, how="left").n)
    wide.insert(len(index) + 1, "cells", wide[index].merge(summary.groupby(index, as_index=False).n.max(), on=index).n)
    return wide.sort_values("run", key=lambda runs: runs.map(order), kind="stable", ignore_index=True)
