"""What the tasks that score expected counts read of a prepared dataset, and what both write of it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

from scfm.benchmarks.read import asked, read_prepared, task_of
from scfm.benchmarks.results import Measurement, tidy
from scfm.benchmarks.seen import mark_seen
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scfm.set_model import SetModel

Scored = Iterator[tuple[str, bool, list[Measurement]]]
"""What predicted, whether the model had a part in it, and how well."""


def score_datasets(
    model: "SetModel",
    paths: Sequence[Path],
    task: str,
    score: Callable[["AnnData"], Scored],
    seen: "pd.DataFrame | None",
    **whose: object,
) -> "pd.DataFrame":
    """Tidy rows of every prepared dataset that is asked for a task, in the order given.

    Args:
        score: of the cells that `known_counts` returns.
        seen: what `scfm.benchmarks.contamination.contamination` returns, to mark datasets that the run has seen.
        whose: study, run and seed for the tables.

    Raises:
        ScfmError: the system gives no expected counts; no dataset is asked for the task; what `known_counts` and
            `score` raise.
    """
    import pandas as pd

    model.must_expect_counts(task)
    tables = []
    for path in paths:
        adata = read_prepared(path)
        facts = adata.uns["scfm"]
        if not asked(facts, task):
            continue
        if seen is not None:
            mark_seen(adata, seen, str(whose["run"]))
        known = known_counts(model, adata, task)
        for pooling, of_model, rows in score(known):
            contaminated = facts["contaminated"] if of_model else "false"
            about = {"pooling": pooling, "task": task_of(facts, task), "contaminated": contaminated}
            tables.append(tidy(rows, dataset=str(facts["name"]), **about, **whose))
    if not tables:
        raise ScfmError(f"none of the datasets is asked for {task}; add '{task}' to the tasks of one")
    return pd.concat(tables, ignore_index=True)


def known_counts(model: "SetModel", adata: "AnnData", task: str) -> "AnnData":
    """The genes of a dataset that the model knows, X CSR float32 without stored zeros.

    Raises:
        ScfmError: the dataset holds no counts, or the model knows none of its genes.
    """
    name, values = adata.uns["scfm"]["name"], adata.uns["scfm"]["values"]
    if values != "counts":
        raise ScfmError(f"dataset '{name}': holds {values} values where the task {task} predicts counts")
    index = model.find(adata.var_names)
    if not (index >= 0).any():
        raise ScfmError(f"dataset '{name}': the model knows none of its {adata.n_vars:,} genes, which {task} predicts")
    known = adata[:, index >= 0].copy()
    known.X = csr_matrix(known.X, dtype=np.float32)
    known.X.eliminate_zeros()
    known.X.sort_indices()
    return known


def with_counts(adata: "AnnData", counts: csr_matrix) -> "AnnData":
    """The same cells with other counts."""
    import anndata

    return anndata.AnnData(counts, obs=adata.obs, var=adata.var, uns={"scfm": dict(adata.uns["scfm"])})


def rank_within(rows: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """int64: place of each element among those of its row, by its key from 0.

    Args:
        rows: int64, of each element. keys: float.
    """
    order = np.lexsort((keys, rows))
    sizes = np.bincount(rows, minlength=1)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    rank = np.empty(len(rows), np.int64)
    rank[order] = np.arange(len(rows)) - first
    return rank
