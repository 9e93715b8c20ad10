"""Average silhouette widths, scaled so that 1 is best."""

import numpy as np


def asw_label(vectors: np.ndarray, labels: np.ndarray) -> float:
    """(mean silhouette over labels + 1) / 2: 1 if the labels are apart.

    NaN unless there are at least two labels and fewer labels than cells.

    Args:
        vectors: float [cells, width].
        labels: strings [cells].
    """
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(labels)) < len(labels):
        return float("nan")
    return float((silhouette_score(vectors, labels) + 1) / 2)


def asw_batch(vectors: np.ndarray, labels: np.ndarray, batches: np.ndarray) -> float:
    """Mean over labels of mean(1 − |silhouette over batches|): 1 if the batches of each label are mixed.

    Labels with one batch, or with as many batches as cells, are left out; NaN if none remains.

    Args:
        vectors: float [cells, width].
        labels: strings [cells].
        batches: strings [cells].

    Source: Luecken et al. 2022, Nature Methods (scIB).
    """
    from sklearn.metrics import silhouette_samples

    means = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if 2 <= len(np.unique(batches[rows])) < len(rows):
            means.append(np.mean(1 - np.abs(silhouette_samples(vectors[rows], batches[rows]))))
    return float(np.mean(means)) if means else float("nan")
