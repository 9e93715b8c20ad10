"""The graph of nearest neighbours that clustering and graph connectivity read."""

import numpy as np
from scipy import sparse

ITERATIONS = 64
SMALLEST_BANDWIDTH = 1e-3
"""Lower limit of a cell's bandwidth, as a share of its mean distance to its neighbours."""


def connectivities(vectors: np.ndarray, neighbors: int) -> sparse.csr_matrix:
    """Symmetric graph of the exact Euclidean nearest neighbours, weighted by UMAP's fuzzy union.

    The same graph as scanpy's `pp.neighbors` (method "umap") on exact neighbours, computed without umap-learn and
    pynndescent, because these compile for about 15 s in every process.

    Args:
        vectors: float [cells, width], at least two cells.
        neighbors: neighbours of a cell, itself included; fewer where there are not so many cells.

    Returns:
        CSR float64 [cells, cells], symmetric, weights in (0, 1], diagonal empty.

    Source: McInnes, Healy, Melville 2018 (arXiv 1802.03426), algorithms 2 and 3.
    """
    from sklearn.neighbors import NearestNeighbors

    cells = len(vectors)
    others = min(neighbors, cells) - 1
    search = NearestNeighbors(n_neighbors=others, algorithm="brute").fit(vectors)
    distances, indices = search.kneighbors()
    weights = _memberships(distances.astype(np.float64))
    rows = np.repeat(np.arange(cells), others)
    directed = sparse.csr_matrix((weights.ravel(), (rows, indices.ravel())), shape=(cells, cells))
    directed.eliminate_zeros()
    transposed = directed.T.tocsr()
    return (directed + transposed - directed.multiply(transposed)).tocsr()


def _memberships(distances: np.ndarray) -> np.ndarray:
    """Fuzzy membership of each neighbour, float [cells, others] -> the same shape.

    The nearest neighbour at a distance above 0 has membership 1; beyond it membership falls exponentially with the
    bandwidth at which the memberships of a cell sum to log2 of the number of neighbours.
    """
    nearest = np.where(distances > 0, distances, np.inf).min(1)
    nearest[np.isinf(nearest)] = 0.0
    beyond = np.maximum(distances - nearest[:, None], 0.0)
    bandwidth = _bandwidth(beyond, np.log2(distances.shape[1] + 1))
    # The cell itself, at distance 0, counts in these means, as in umap-learn.
    share = distances.shape[1] / (distances.shape[1] + 1)
    floor = np.where(nearest > 0, distances.mean(1), distances.mean()) * share * SMALLEST_BANDWIDTH
    bandwidth = np.maximum(bandwidth, floor)
    exponent = np.divide(beyond, bandwidth[:, None], out=np.zeros_like(beyond), where=bandwidth[:, None] > 0)
    return np.exp(-exponent)


def _bandwidth(beyond: np.ndarray, target: float) -> np.ndarray:
    """For each row the bandwidth at which Σ exp(-beyond / bandwidth) equals `target`, by bisection."""
    low, high = np.zeros(len(beyond)), np.full(len(beyond), np.inf)
    middle = np.ones(len(beyond))
    for _ in range(ITERATIONS):
        above = np.exp(-beyond / middle[:, None]).sum(1) > target
        high, low = np.where(above, middle, high), np.where(above, low, middle)
        middle = np.where(np.isinf(high), middle * 2, (low + high) / 2)
    return middle
