"""Small tidy results whose summaries are known by hand."""

import pandas as pd
import pytest

from scfm.benchmarks.results import COLUMNS


def measurements(rows):
    """Rows of (run, pooling, dataset, task, metric, seed, value) as a tidy table."""
    names = ["run", "pooling", "dataset", "task", "metric", "seed", "value"]
    table = pd.DataFrame(rows, columns=names)
    table = table.assign(study="demo", split="", fold="", n=100, contaminated=False, training_unknown=False)
    return table[[*COLUMNS, "training_unknown"]]


@pytest.fixture
def make():
    return measurements


@pytest.fixture
def tidy():
    """Two clean datasets and a contaminated one, two seeds: WCED 0.6 and 0.8, MLM 0.5, random 0.3."""
    rows = []
    for dataset in ("blood", "gut", "seen"):
        for task, metric in (("integration", "avg_bio"), ("integration", "score"), ("probe", "macro_f1")):
            for seed in (0, 1):
                rows += [
                    ("wced", "cls", dataset, task, metric, seed, 0.6 + 0.2 * seed),
                    ("mlm", "cls", dataset, task, metric, seed, 0.5),
                    ("mlm", "mean", dataset, task, metric, seed, 0.9),
                    ("random", "cls", dataset, task, metric, seed, 0.3),
                    ("random", "mean", dataset, task, metric, seed, 0.3),
                    ("pca", "pca", dataset, task, metric, seed, 0.7),
                ]
    table = measurements(rows)
    table.loc[(table.dataset == "seen") & ~table.run.isin(["pca", "random"]), "contaminated"] = True
    return table
