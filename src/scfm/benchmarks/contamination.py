"""Which benchmark datasets a run has seen: the sheet's dataset_ids and DOIs against the run's training cells."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.seen import COLUMNS, NOT_FOUND, SEEN, UNKNOWN, UNTOLD
from scfm.datasets import Dataset
from scfm.pretrain.stage import Stage

if TYPE_CHECKING:
    import pandas as pd


def contamination(
    cells: "pd.DataFrame",
    stored: "pd.DataFrame",
    datasets: Sequence[Dataset],
    taken: Mapping[str, Sequence[Stage]],
    untold: Sequence[str] = (),
) -> "pd.DataFrame":
    """Look for each benchmark dataset among the training cells of each run.

    A dataset of the store is found if its dataset_id stands in the sheet, or one of its DOIs does. Cells that the
    corpus excludes, drops, or has for validation are no training cells. A store may hold a study under another DOI,
    say that of its preprint: only a dataset_id settles the question.

    Args:
        cells: cells.parquet of the shards, columns dataset_id and split.
        stored: what `scfm.corpus.stored.stored_datasets` returns.
        datasets: rows of the sheet, one for each benchmark dataset.
        taken: run to what it takes from the corpus, and before it the runs that it begins with.
        untold: models of others, whose training data is not known here.

    Returns:
        `COLUMNS`, one row for each run and dataset: found are the dataset_ids, train_cells their cells in the run's
        training data (NA if untold); seen is yes, not found, unknown where the sheet names nothing to look for in
        this store, or, if untold, "training data unknown".

    Raises:
        ScfmError: a run has no training cell.
    """
    import pandas as pd

    from scfm.pretrain.data import choose_rows

    names = {row["dataset_id"]: set(row["doi"].split(", ")) - {""} for row in stored.to_dict("records")}
    has_dois = any(names.values())
    rows = []
    for run, stages in taken.items():
        rows_of = [choose_rows(cells, "train", stage.corpus_fraction, 0, stage.cells) for stage in stages]
        trained = cells["dataset_id"].iloc[np.unique(np.concatenate(rows_of))].astype(str).value_counts()
        for row in datasets:
            dois = {doi.lower() for doi in row.doi}
            found = [name for name in sorted(trained.index) if name in row.census_dataset_ids or names[name] & dois]
            known = bool(row.census_dataset_ids or (dois and has_dois))
            seen = SEEN if found else NOT_FOUND if known else UNKNOWN
            ids, doi, here = (", ".join(texts) for texts in (row.census_dataset_ids, row.doi, found))
            rows.append((run, row.name, ids, doi, here, int(trained[found].sum()), seen))
    rows += [
        (model, row.name, ", ".join(row.census_dataset_ids), ", ".join(row.doi), "", pd.NA, UNTOLD)
        for model in untold
        for row in datasets
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"train_cells": "Int64"})
