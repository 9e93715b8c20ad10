"""Reading prepared datasets and embeddings back, with one sentence when a file is something else."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.datasets import UNKNOWN, species_of
from scfm.deposit import read_h5ad
from scfm.errors import ScfmError
from scfm.genes import HUMAN

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


@dataclass(frozen=True)
class Embedding:
    """One embedding of one dataset."""

    dataset: str
    facts: dict
    """uns["scfm"] of the prepared dataset."""
    run: str
    pooling: str
    seed: int
    obs: "pd.DataFrame"
    vectors: np.ndarray
    """float32 [cells, width]."""

    def context(self, study: str, task: str) -> dict:
        """The columns of a tidy row that do not depend on the metric."""
        own = {"run": self.run, "pooling": self.pooling, "dataset": self.dataset, "seed": self.seed}
        contaminated = self.facts["contaminated"]
        return {"study": study, "task": task_of(self.facts, task), "contaminated": contaminated, **own}


def read_prepared(path: Path, backed: bool = False) -> "AnnData":
    """Read what `scfm benchmarks prepare` wrote; or all of it but the matrix, which stays in the file.

    Raises:
        ScfmError: the file is missing, unreadable or not a prepared dataset.
    """
    adata = read_h5ad(path, "prepared dataset", backed)
    if "scfm" not in adata.uns or "values" not in adata.uns["scfm"]:
        raise ScfmError(f"{path}: not a prepared dataset; make it with 'scfm benchmarks prepare'")
    return adata


def read_embedded(path: Path) -> "AnnData":
    """Read what `scfm benchmarks embed` wrote.

    Raises:
        ScfmError: the file is missing, unreadable or not of that kind.
    """
    adata = read_h5ad(path, "embeddings")
    missing = [key for key in ("run", "seed", "datasets") if key not in adata.uns]
    if missing or not len(adata.obsm):
        raise ScfmError(f"{path}: not a file of embeddings; make it with 'scfm benchmarks embed'")
    return adata


def read_embeddings(path: Path, *tasks: str) -> Iterator[Embedding]:
    """Every embedding of a file written by `scfm benchmarks embed` whose dataset is asked for a task, in its order.

    Raises:
        ScfmError: what `read_embedded` raises, or no dataset of the file is asked for any of the tasks.
    """
    adata = read_embedded(path)
    names = adata.obs["dataset"].astype(str).to_numpy()
    facts_of = adata.uns["datasets"]
    datasets = [name for name in dict.fromkeys(names) if any(asked(facts_of[name], task) for task in tasks)]
    if not datasets:
        raise ScfmError(f"{path}: no dataset is asked for {' or '.join(tasks)}; add '{tasks[0]}' to the tasks of one")
    for name in datasets:
        rows = np.flatnonzero(names == name)
        for pooling in adata.obsm:
            vectors = np.asarray(adata.obsm[pooling])[rows]
            vectors = vectors[:, ~np.isnan(vectors).all(0)]
            run, seed = str(adata.uns["run"]), int(adata.uns["seed"])
            yield Embedding(name, facts_of[name], run, pooling, seed, adata.obs.iloc[rows], vectors)


def asked(facts: dict, task: str) -> bool:
    """Whether a prepared dataset is to be evaluated by `task`."""
    return task in str(facts["tasks"]).split(",")


def task_of(facts: dict, task: str) -> str:
    """Name of a task in the tidy results: on another species it is one of its own, which no human mean takes in."""
    species = species_of(str(facts["organism"]))
    return task if species in ("", HUMAN) else f"{task}_{species}"


def labelled(embedding: Embedding) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vectors, labels, batches) of the cells whose cell type is known, labels and batches as plain strings.

    Raises:
        ScfmError: an embedding holds NaN or infinite values.
    """
    labels = embedding.obs["cell_type"].astype(str).to_numpy()
    known = labels != UNKNOWN
    return finite(embedding, known), labels[known], embedding.obs["batch"].astype(str).to_numpy()[known]


def finite(embedding: Embedding, rows: np.ndarray) -> np.ndarray:
    """The vectors of some cells, float32 [rows, width].

    Raises:
        ScfmError: one holds NaN or infinite values.
    """
    vectors = embedding.vectors[rows]
    if not np.isfinite(vectors).all():
        raise ScfmError(
            f"run '{embedding.run}', pooling '{embedding.pooling}', dataset '{embedding.dataset}': the embedding holds "
            "NaN or infinite values; look at the training of that run"
        )
    return vectors
