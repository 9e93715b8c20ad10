"""What the papers of other systems print, beside the same quantity of our runs, on whatever cells these were scored."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.paper.tables.by_dataset import CONTAMINATED, TRAINING_UNKNOWN, UNDEFINED
from scfm.paper.tidy import read_table, summarise

PRINTED = ("model", "quantity", "metric", "published_dataset", "published", "source")
MATCHED = ("run", "task", "our_metric", "target")
COLUMNS = ("model", "quantity", "metric", "dataset", "run", "pooling", "seeds", "ours")
ANOTHER, NONE = "another dataset, other cells", "not measured here"


def systems_table(tidy: pd.DataFrame, published: Sequence[Path]) -> pd.DataFrame:
    """One row for each published figure and each of our measurements of that quantity; one where there is none.

    Args:
        tidy: results of the tasks that the figures are of, or none.
        published: CSV files with the columns `PRINTED` and `MATCHED`; `run` names our runs that a figure is of, with
            spaces between, and `target` what was predicted, where a task has several.

    Returns:
        Columns `COLUMNS` (dataset, run, pooling, ours: text, mean ± SD over the seeds, with a dagger where the run has
        seen the dataset and a section mark where nobody here knows), published_dataset, published, source, note.

    Raises:
        ScfmError: no file of figures, or one is missing or lacks a column.
    """
    if not published:
        raise ScfmError("published figures: no file given; name at least one CSV of config/published")
    files = [read_table(path, (*PRINTED, *MATCHED), "a table of published figures") for path in published]
    printed = pd.concat(files, ignore_index=True).fillna(dict.fromkeys(MATCHED, ""))
    ours = summarise(tidy)
    rows = []
    for figure in printed.to_dict("records"):
        said = {name: figure[name] for name in PRINTED}
        found = [said | _ours(own) | {"note": ANOTHER} for own in _measured(figure, ours).to_dict("records")]
        rows += found or [said | {"note": NONE}]
    columns = [*COLUMNS, "published_dataset", "published", "source", "note"]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"seeds": "Int64"})


def _measured(figure: dict, ours: pd.DataFrame) -> pd.DataFrame:
    """Our measurements of the quantity of a figure."""
    same = ours["run"].isin(figure["run"].split()) & (ours["task"] == figure["task"])
    return ours[same & (ours["metric"] == figure["our_metric"]) & (ours["split"] == figure["target"])]


def _ours(own: dict) -> dict:
    spread = "" if pd.isna(own["sd"]) else f" ± {own['sd']:.3f}"
    marks = {CONTAMINATED: own["contaminated"], TRAINING_UNKNOWN: own["training_unknown"]}
    text = UNDEFINED if pd.isna(own["mean"]) else f"{own['mean']:.3f}{spread}"
    text += "".join(f" {mark}" for mark, holds in marks.items() if holds)
    return {name: own[name] for name in ("dataset", "run", "pooling", "seeds")} | {"ours": text}
