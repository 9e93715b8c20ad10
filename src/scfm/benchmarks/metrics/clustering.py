"""NMI and ARI of Leiden clusters against labels, at the resolution that suits the labels best."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse


def best_clustering(
    graph: sparse.csr_matrix, labels: np.ndarray, resolutions: Sequence[float], seed: int
) -> tuple[float, float, float]:
    """(NMI, ARI, resolution) of the Leiden clustering with the highest NMI; the lowest resolution on ties.

    Both figures are of one clustering. Leiden of igraph with two iterations, as in scanpy's igraph flavour; NMI with
    the arithmetic mean of the entropies.

    Args:
        graph: symmetric connectivities [cells, cells].
        labels: strings [cells].
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    scores = []
    for resolution, clusters in zip(resolutions, leiden(graph, resolutions, seed), strict=True):
        nmi = normalized_mutual_info_score(labels, clusters)
        scores.append((nmi, adjusted_rand_score(labels, clusters), resolution))
    return max(scores, key=lambda score: (score[0], -score[2]))


def leiden(graph: sparse.csr_matrix, resolutions: Sequence[float], seed: int) -> list[np.ndarray]:
    """Cluster of each cell, int [cells], one array for each resolution."""
    import anndata
    import scanpy

    adata = anndata.AnnData(shape=(graph.shape[0], 0))
    clusters = []
    for resolution in resolutions:
        scanpy.tl.leiden(
            adata,
            resolution=resolution,
            adjacency=graph,
            flavor="igraph",
            n_iterations=2,
            directed=False,
            random_state=seed,
        )
        clusters.append(adata.obs["leiden"].to_numpy().astype(int))
    return clusters
