"""Zero-shot batch integration (paper 2.1, 2.5; tables 4 to 8)."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.metrics.clustering import best_clustering
from scfm.benchmarks.metrics.connectivity import graph_connectivity
from scfm.benchmarks.metrics.neighbors import connectivities
from scfm.benchmarks.metrics.silhouette import asw_batch, asw_label
from scfm.benchmarks.read import labelled, read_embeddings
from scfm.benchmarks.results import Measurement, tidy
from scfm.benchmarks.subsample import silhouette_cells
from scfm.benchmarks.task_settings import Integration
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd

SILHOUETTES = ("asw_label", "asw_batch")
AVERAGES = ("avg_bio", "avg_batch", "score")
BIO_SHARE = 0.6
"""Weight of AvgBio in the score; AvgBatch has the rest."""


def integration(path: Path, settings: Integration, study: str) -> "pd.DataFrame":
    """Score every embedding of a file whose dataset is asked for integration.

    Returns:
        Tidy rows; metrics nmi, ari, resolution, asw_label, asw_batch, graph_connectivity, avg_bio, avg_batch, score.
        Cells of unknown type are left out, `n` counts the others. With a single batch asw_batch, avg_batch and score
        are NaN.

    Raises:
        ScfmError: what `read_embeddings` raises; a dataset with fewer than two known cell types.
    """
    import pandas as pd

    tables = []
    for embedding in read_embeddings(path, "integration"):
        vectors, labels, batches = labelled(embedding)
        if len(np.unique(labels)) < 2:
            raise ScfmError(
                f"dataset '{embedding.dataset}': {len(np.unique(labels))} known cell type where integration needs two; "
                "take 'integration' off its tasks or name another label column"
            )
        measurements = score(vectors, labels, batches, settings)
        tables.append(tidy(measurements, **embedding.context(study, "integration")))
    return pd.concat(tables, ignore_index=True)


def score(vectors: np.ndarray, labels: np.ndarray, batches: np.ndarray, settings: Integration) -> list[Measurement]:
    """All metrics of one embedding.

    Args:
        vectors: float [cells, width].
        labels: strings [cells], at least two different.
        batches: strings [cells].
    """
    graph = connectivities(vectors, settings.neighbors)
    nmi, ari, resolution = best_clustering(graph, labels, settings.resolutions, settings.seed)
    values = {"nmi": nmi, "ari": ari, "resolution": resolution}
    values["graph_connectivity"] = graph_connectivity(graph, labels)
    rows, part = silhouette_cells(settings.max_silhouette_cells, settings.seed, label=labels, batch=batches)
    values["asw_label"] = asw_label(vectors[rows], labels[rows])
    values["asw_batch"] = asw_batch(vectors[rows], labels[rows], batches[rows])
    values |= averages(**{name: value for name, value in values.items() if name != "resolution"})
    return [
        Measurement(name, value, n=len(labels), split=part if name in SILHOUETTES + AVERAGES else "")
        for name, value in values.items()
    ]


def averages(nmi: float, ari: float, asw_label: float, asw_batch: float, graph_connectivity: float) -> dict[str, float]:
    """AvgBio, AvgBatch and the score 0.6 AvgBio + 0.4 AvgBatch; the last two NaN where asw_batch is."""
    avg_bio = float(np.mean([nmi, ari, asw_label]))
    avg_batch = float(np.mean([graph_connectivity, asw_batch]))
    overall = BIO_SHARE * avg_bio + (1 - BIO_SHARE) * avg_batch
    return {"avg_bio": avg_bio, "avg_batch": avg_batch, "score": overall}
