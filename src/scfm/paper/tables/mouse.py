"""Table 8: mouse cells through one-to-one orthologs, apart from every mean over human datasets."""

import pandas as pd

from scfm.paper.tables.by_dataset import metric_by_dataset

SPECIES = "mus_musculus"
MEASURES = (
    ("integration", "score"),
    ("integration", "avg_bio"),
    ("integration", "avg_batch"),
    ("probe", "macro_f1"),
    ("heldout", "macro_f1"),
    ("ontology", "accuracy"),
)
"""Tasks, as they are called on human cells, and metrics; the paper's table has the first."""


def mouse(tidy: pd.DataFrame) -> pd.DataFrame:
    """One row for each measure, run and pooling; measures of tasks that no mouse dataset is asked for are left out.

    Columns: measure, then those of `metric_by_dataset`.

    Raises:
        ScfmError: the results hold no score of a mouse dataset.
    """
    there = set(zip(tidy["task"], tidy["metric"], strict=True))
    parts = []
    for task, metric in MEASURES:
        if (task, metric) == MEASURES[0] or (f"{task}_{SPECIES}", metric) in there:
            table = metric_by_dataset(tidy, f"{task}_{SPECIES}", metric)
            table.insert(0, "measure", f"{task} {metric}")
            parts.append(table)
    return pd.concat(parts, ignore_index=True).fillna("")
