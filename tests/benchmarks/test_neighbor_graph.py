import numpy as np
import pytest
from scipy.spatial.distance import cdist

from scfm.benchmarks.metrics.neighbors import connectivities


def expected(vectors: np.ndarray, neighbors: int) -> np.ndarray:
    """The fuzzy union cell by cell, the bandwidth by a root finder instead of bisection."""
    from scipy.optimize import brentq

    cells, distances = len(vectors), cdist(vectors, vectors)
    directed = np.zeros((cells, cells))
    for cell in range(cells):
        nearest = [other for other in np.argsort(distances[cell]) if other != cell][: neighbors - 1]
        beyond = distances[cell, nearest] - distances[cell, nearest].min()
        root = brentq(lambda width, gap=beyond: np.exp(-gap / width).sum() - np.log2(neighbors), 1e-6, 1e6)
        directed[cell, nearest] = np.exp(-beyond / root)
    return directed + directed.T - directed * directed.T


def test_weights_are_the_fuzzy_union_of_exact_neighbours() -> None:
    vectors = np.random.default_rng(0).normal(size=(120, 6))
    assert connectivities(vectors, 15).toarray() == pytest.approx(expected(vectors, 15), abs=1e-6)


def test_graph_does_not_change_with_scale_or_shift() -> None:
    vectors = np.random.default_rng(0).normal(size=(100, 6))
    reference = connectivities(vectors, 15).toarray()
    assert connectivities(1e4 * vectors, 15).toarray() == pytest.approx(reference, abs=1e-6)
    assert connectivities(vectors + 5.0, 15).toarray() == pytest.approx(reference, abs=1e-6)


@pytest.mark.parametrize("cells", [2, 3, 10])
def test_few_cells_are_all_connected(cells: int) -> None:
    graph = connectivities(np.random.default_rng(0).normal(size=(cells, 4)), 15).toarray()
    assert (np.diag(graph) == 0).all()
    assert (graph[~np.eye(cells, dtype=bool)] > 0).all()


def test_identical_cells_have_finite_symmetric_weights() -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 4))
    vectors[:30] = 0.0
    graph = connectivities(vectors, 15)
    assert np.isfinite(graph.data).all()
    assert graph.data.min() > 0
    assert graph.data.max() <= 1
    assert abs(graph - graph.T).max() == 0
    # An identical cell has 14 neighbours, all at distance 0, so with membership 1.
    inside = graph[:30][:, :30]
    assert set(inside.data) == {1.0}
    assert inside.getnnz(1).min() >= 14


def test_all_cells_identical() -> None:
    graph = connectivities(np.ones((20, 3)), 15)
    assert set(graph.data) == {1.0}


def test_above_8192_cells_neighbours_are_exact() -> None:
    vectors = np.random.default_rng(0).normal(size=(8300, 16)).astype(np.float32)
    graph = connectivities(vectors, 15)
    for cell in (0, 4096, 8192, 8299):
        distances = np.linalg.norm(vectors - vectors[cell], axis=1)
        nearest = np.argsort(distances)[1:15]
        assert (graph[cell, nearest].toarray() > 0).all()
        # Whoever else is connected has this cell among its own nearest.
        for other in np.setdiff1d(graph[cell].indices, nearest):
            own = np.linalg.norm(vectors - vectors[other], axis=1)
            assert (own < own[cell]).sum() <= 14
