"""Graph connectivity: whether the cells of a label hang together."""

import numpy as np
from scipy import sparse


def graph_connectivity(graph: sparse.csr_matrix, labels: np.ndarray) -> float:
    """Mean over labels of the share of the label's cells in its largest connected component.

    Args:
        graph: **symmetric** connectivities [cells, cells]; directed distances give another, lower figure.
        labels: strings [cells].

    Source: Luecken et al. 2022, Nature Methods (scIB).
    """
    from scipy.sparse.csgraph import connected_components

    shares = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        _, component = connected_components(graph[rows][:, rows], directed=False)
        shares.append(np.bincount(component).max() / len(rows))
    return float(np.mean(shares))
