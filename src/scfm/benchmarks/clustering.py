"""Clusters of an embedding against cell types: the clustering and embedding tasks of cz-benchmarks (tables 9 to 13)."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.metrics.clustering import best_clustering
from scfm.benchmarks.metrics.neighbors import connectivities
from scfm.benchmarks.metrics.silhouette import asw_label
from scfm.benchmarks.read import labelled, read_embeddings
from scfm.benchmarks.results import Measurement, tidy
from scfm.benchmarks.subsample import silhouette_cells
from scfm.benchmarks.task_settings import Clustering
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd


def clustering(path: Path, settings: Clustering, study: str) -> "pd.DataFrame":
    """Score every embedding of a file whose dataset is asked for clustering.

    Returns:
        Tidy rows; metrics ari, nmi, silhouette. Cells of unknown type are left out, `n` counts the others.

    Raises:
        ScfmError: what `read_embeddings` and `labelled` raise; a dataset with fewer than two known cell types.
    """
    import pandas as pd

    tables = []
    for embedding in read_embeddings(path, "clustering"):
        vectors, labels, _ = labelled(embedding)
        if len(np.unique(labels)) < 2:
            raise ScfmError(
                f"dataset '{embedding.dataset}': {len(np.unique(labels))} known cell type where clustering needs two; "
                "take 'clustering' off its tasks or name another label column"
            )
        tables.append(tidy(score(vectors, labels, settings), **embedding.context(study, "clustering")))
    return pd.concat(tables, ignore_index=True)


def score(vectors: np.ndarray, labels: np.ndarray, settings: Clustering) -> list[Measurement]:
    """ARI and NMI of Leiden at one resolution, and the silhouette of the labels scaled to (0, 1).

    Args:
        vectors: float [cells, width].
        labels: strings [cells], at least two different.

    Source: cz-benchmarks 0.15, ClusteringTask and EmbeddingTask.
    """
    graph = connectivities(vectors, settings.neighbors)
    nmi, ari, _ = best_clustering(graph, labels, (settings.resolution,), settings.seed)
    rows, part = silhouette_cells(settings.max_silhouette_cells, settings.seed, label=labels)
    silhouette = asw_label(vectors[rows], labels[rows])
    n = len(labels)
    return [
        Measurement("ari", ari, n),
        Measurement("nmi", nmi, n),
        Measurement("silhouette", silhouette, n, split=part),
    ]
