import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from scfm.benchmarks.integration import averages, score
from scfm.benchmarks.metrics.clustering import best_clustering
from scfm.benchmarks.metrics.connectivity import graph_connectivity
from scfm.benchmarks.metrics.neighbors import connectivities
from scfm.benchmarks.metrics.silhouette import asw_batch, asw_label
from scfm.benchmarks.task_settings import Integration

ORACLE = json.loads((Path(__file__).parent / "oracles" / "scib.json").read_text())["figures"]


def blobs(cells: int = 60, kinds: int = 3, distance: float = 50.0) -> tuple[np.ndarray, np.ndarray]:
    """Well separated groups [cells, 5] and their labels."""
    kind = np.arange(cells) % kinds
    vectors = np.random.default_rng(0).normal(size=(cells, 5))
    vectors[:, 0] += distance * kind
    return vectors, np.array([f"type {k}" for k in kind])


def values(vectors: np.ndarray, labels: np.ndarray, batches: np.ndarray, **settings: object) -> dict[str, float]:
    return {m.metric: m.value for m in score(vectors, labels, batches, Integration(**settings))}


@pytest.fixture(scope="module")
def pbmc() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embedding, labels and batches of the frozen figures (see oracles/make_scib.py)."""
    import warnings

    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = sc.datasets.pbmc68k_reduced()
    phase = adata.obs["phase"].astype(str).to_numpy()
    vectors = adata.obsm["X_pca"].copy()
    vectors[phase == "G1"] += 0.6
    return vectors, adata.obs["bulk_labels"].astype(str).to_numpy(), phase


def test_figures_of_scib(pbmc: tuple) -> None:
    ours = values(*pbmc)
    for metric in ("asw_label", "asw_batch", "graph_connectivity"):
        assert ours[metric] == pytest.approx(ORACLE[metric], abs=1e-5), metric
    # scib clusters with leidenalg until convergence, we with igraph and two iterations.
    for metric in ("nmi", "ari"):
        assert ours[metric] == pytest.approx(ORACLE[metric], abs=0.01), metric


def test_the_same_seed_gives_the_same_figures(pbmc: tuple) -> None:
    assert values(*pbmc, seed=3) == values(*pbmc, seed=3)


def test_separate_types_are_found_perfectly() -> None:
    vectors, labels = blobs()
    batches = np.random.default_rng(1).choice(["x", "y"], len(labels))
    ours = values(vectors, labels, batches)
    assert ours["nmi"] == pytest.approx(1)
    assert ours["ari"] == pytest.approx(1)
    assert ours["graph_connectivity"] == 1
    assert ours["asw_label"] > 0.9
    assert ours["asw_batch"] > 0.9


def test_labels_that_mean_nothing_score_nothing() -> None:
    vectors, labels = blobs(150)
    shuffled = np.random.default_rng(2).permutation(labels)
    ours = values(vectors, shuffled, np.array(["x", "y"])[np.arange(150) % 2])
    assert ours["nmi"] < 0.15
    assert abs(ours["ari"]) < 0.05
    assert ours["asw_label"] == pytest.approx(0.5, abs=0.1)


def test_resolution_with_the_highest_nmi_is_kept() -> None:
    vectors, labels = blobs(200, kinds=2, distance=20.0)
    graph = connectivities(vectors, 15)
    nmi, ari, resolution = best_clustering(graph, labels, (2.0, 0.05), 0)
    assert (nmi, ari, resolution) == (pytest.approx(1), pytest.approx(1), 0.05)
    worse, _, _ = best_clustering(graph, labels, (2.0,), 0)
    assert worse < 1


def test_graph_connectivity_by_hand() -> None:
    # a: cells 0-1-2 in a line, 3 apart, so 3 of 4; b: 4-5 only linked through a cell of a, so 1 of 2.
    graph = np.zeros((6, 6))
    for one, other in ((0, 1), (1, 2), (4, 3), (5, 3)):
        graph[one, other] = graph[other, one] = 0.5
    labels = np.array(list("aaaabb"))
    assert graph_connectivity(csr_matrix(graph), labels) == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_silhouettes_by_hand() -> None:
    # Two labels, two cells each, on a line: for the inner cells a = 1, b = mean(9, 10); outer b = mean(10, 11).
    vectors = np.array([[0.0], [1.0], [10.0], [11.0]])
    labels = np.array(list("ppqq"))
    inner, outer = (9.5 - 1) / 9.5, (10.5 - 1) / 10.5
    assert asw_label(vectors, labels) == pytest.approx((np.mean([inner, outer]) + 1) / 2)
    # One label, batches p and q: 1 − |silhouette|.
    assert asw_batch(vectors, np.array(["t"] * 4), labels) == pytest.approx(1 - np.mean([inner, outer]))


def test_labels_without_two_batches_are_left_out_of_asw_batch() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 3))
    labels = np.array(["both"] * 30 + ["one batch"] * 8 + ["as many batches as cells"] * 2)
    batches = np.array(["x", "y"] * 15 + ["x"] * 8 + ["x", "y"])
    assert asw_batch(vectors, labels, batches) == asw_batch(vectors[:30], labels[:30], batches[:30])


def test_a_single_batch_has_no_batch_score() -> None:
    vectors, labels = blobs()
    ours = values(vectors, labels, np.array(["x"] * len(labels)))
    assert np.isnan([ours["asw_batch"], ours["avg_batch"], ours["score"]]).all()
    assert ours["avg_bio"] == pytest.approx(np.mean([ours["nmi"], ours["ari"], ours["asw_label"]]))


def test_asw_label_needs_two_labels_and_more_cells_than_labels() -> None:
    vectors = np.arange(4.0)[:, None]
    assert np.isnan(asw_label(vectors, np.array(["a"] * 4)))
    assert np.isnan(asw_label(vectors, np.array(list("abcd"))))


def test_averages_and_score() -> None:
    ours = averages(nmi=0.3, ari=0.6, asw_label=0.9, asw_batch=0.5, graph_connectivity=0.7)
    assert ours == pytest.approx({"avg_bio": 0.6, "avg_batch": 0.6, "score": 0.6})
    ours = averages(nmi=1, ari=1, asw_label=1, asw_batch=0, graph_connectivity=0)
    assert ours["score"] == pytest.approx(0.6)
