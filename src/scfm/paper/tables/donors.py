"""What donor vectors tell of the donors: one row for each dataset, target and vector."""

import pandas as pd

from scfm.benchmarks.donor_vectors import COMPOSITION
from scfm.paper.tables.by_dataset import BASELINES, CONTAMINATED, TRAINING_UNKNOWN, UNDEFINED
from scfm.paper.tidy import of_task, summarise

MAIN = ("pearson", "auroc")
"""The first metric of a number and of a class; its permuted control stands beside it."""
OTHERS = ("r2", "mae", "accuracy", "weighted_f1", "mapping_pearson", "mapping_mae", "mapping_accuracy")
OF_THE_CELLS = "cells"
"""Said in place of a run of the composition, in which no model has a part."""
KEYS = ["dataset", "split", "run", "pooling"]
RETRIEVAL = "retrieval_top1"
COLUMNS = ("dataset", "target", "run", "pooling", "seeds", "donors", "samples")


def donors_table(tidy: pd.DataFrame) -> pd.DataFrame:
    """One row for each dataset, target, run and pooling; the composition of the cells first, once.

    Returns:
        Columns `COLUMNS` (samples: those with a known target), pearson, auroc, their controls pearson_permuted and
        auroc_permuted, `OTHERS` and retrieval_top1 (the same for all targets of a dataset), as text: value (lower to
        upper end of its interval), all on average over the seeds, with a dagger where the run has seen the dataset and
        a section mark where nobody here knows; empty where a metric is of the other kind of target, a dash where it is
        not defined. Columns without any value are left out.

    Raises:
        ScfmError: no row of the tidy results is of the task donor.
    """
    summary = summarise(_composition_once(of_task(tidy, "donor")))
    table = pd.DataFrame(
        [_row(key, own, summary) for key, own in summary[summary["split"] != ""].groupby(KEYS, sort=False)]
    )
    order = table["run"].map(lambda run: 0 if run == OF_THE_CELLS else 2 if run in BASELINES else 1)
    place = table.groupby(["dataset", "target"], sort=False).ngroup()
    table = table.assign(order=order, place=place).sort_values(["place", "order"], kind="stable", ignore_index=True)
    metrics = [name for main in MAIN for name in (main, f"{main}_permuted")] + [*OTHERS, RETRIEVAL]
    shown = [name for name in metrics if name in table and table[name].fillna("").ne("").any()]
    return table[[*COLUMNS, *shown]].fillna(dict.fromkeys(shown, ""))


def _composition_once(tidy: pd.DataFrame) -> pd.DataFrame:
    """The composition is the same beside every run: that of one embedding of each dataset is kept."""
    shares = tidy[tidy["pooling"] == COMPOSITION]
    first = shares.drop_duplicates("dataset")[["dataset", "run", "seed"]]
    one = shares.merge(first, on=["dataset", "run", "seed"]).assign(run=OF_THE_CELLS)
    return pd.concat([one, tidy[tidy["pooling"] != COMPOSITION]], ignore_index=True)


def _row(key: tuple[str, str, str, str], own: pd.DataFrame, summary: pd.DataFrame) -> dict:
    dataset, target, run, pooling = key
    same = (summary["dataset"] == dataset) & (summary["run"] == run) & (summary["pooling"] == pooling)
    figures = pd.concat([own, summary[same & (summary["split"] == "")]]).set_index("metric")
    row = {"dataset": dataset, "target": target, "run": run, "pooling": pooling, "seeds": own["seeds"].max()}
    row |= {"donors": int(figures["mean"]["donors"]), "samples": own["n"].max()}
    mains = [name for main in MAIN for name in (main, f"{main}_permuted")]
    return row | {name: _text(figures, name) for name in [*mains, *OTHERS, RETRIEVAL] if name in figures.index}


def _text(figures: pd.DataFrame, name: str) -> str:
    value, low, high = (figures["mean"].get(label) for label in (name, f"{name}_low", f"{name}_high"))
    if pd.isna(value):
        return UNDEFINED
    ends = "" if pd.isna(low) else f" ({low:.3f} to {high:.3f})"
    marks = {CONTAMINATED: figures["contaminated"][name], TRAINING_UNKNOWN: figures["training_unknown"][name]}
    return f"{value:.3f}{ends}" + "".join(f" {mark}" for mark, holds in marks.items() if holds)
