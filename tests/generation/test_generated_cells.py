"""Metrics of generated cells against closed forms, other implementations and planted faults."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix
from scipy.stats import wasserstein_distance

from scfm.errors import ScfmError
from scfm.generation import METRICS, compare
from scfm.generation.laws import correlation, depth_spread, pair_correlations, wasserstein
from scfm.generation.samples import auroc, ilisi, mmd, proportions

GENES = 40


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def draw(rng, cells, types=(0.5, 0.5), loading=0.7, depth=0.3):
    """Cells of two types, genes of a programme varying together."""
    kind = rng.choice(2, cells, p=types)
    base = np.random.default_rng(1).normal(1, 0.8, (2, GENES))
    programme = loading * (np.arange(GENES) % 2) * rng.normal(size=(cells, 1))
    counts = rng.poisson(np.exp(base[kind] + programme + depth * rng.normal(size=(cells, 1))))
    obs = pd.DataFrame({"kind": np.array(["a", "b"])[kind]}, index=[f"c{i}" for i in range(cells)])
    var = pd.DataFrame(index=[f"G{i}" for i in range(GENES)])
    return AnnData(csr_matrix(counts.astype(np.float32)), obs, var)


def test_distances_of_genes_are_those_of_scipy(rng):
    a, b = rng.poisson(1.0, (30, 300)).astype(float), rng.poisson(1.5, (47, 300)).astype(float)
    known = np.mean([wasserstein_distance(a[:, g], b[:, g]) for g in range(300)])
    assert wasserstein(csr_matrix(a), csr_matrix(b)) == pytest.approx(known)
    assert wasserstein(csr_matrix(a), csr_matrix(a)) == 0


def test_pairs_of_genes(rng):
    cells = csr_matrix(rng.multivariate_normal([5, 5, 5], [[1, 0.8, 0], [0.8, 1, -0.5], [0, -0.5, 1]], 500))
    assert pair_correlations(cells, cells, 3) == pytest.approx((1, 1))
    dense = cells.toarray()
    apart = np.column_stack([rng.permutation(column) for column in dense.T])
    assert abs(pair_correlations(cells, csr_matrix(apart), 3)[1]) < 0.2
    half = dense + rng.normal(0, dense.std(0), dense.shape)  # as much noise as signal halves correlations
    assert pair_correlations(cells, csr_matrix(half), 3)[1] == pytest.approx(0.5, abs=0.1)
    table = np.corrcoef(dense.T)[np.triu_indices(3, 1)], np.corrcoef(half.T)[np.triu_indices(3, 1)]
    assert pair_correlations(cells, csr_matrix(half), 3)[0] == pytest.approx(np.corrcoef(*table)[0, 1])
    assert np.isnan(pair_correlations(cells[:, :1], cells[:, :1], 3)[0])
    assert pair_correlations(cells, csr_matrix(np.ones((9, 3))), 3)[1] == 0


def test_spread_of_depths(rng):
    log = rng.normal(size=100)
    assert depth_spread(np.exp(log), np.exp(0.5 * log + 3)) == pytest.approx(0.5)


def test_correlation_of_a_constant_is_none():
    assert np.isnan(correlation(np.ones(3), np.arange(3.0)))
    assert correlation(np.array([1.0, 2, 9]), np.array([0.0, 5, 6]), ranks=True) == pytest.approx(1)


def test_kernel_distance_is_the_sum_that_is_written(rng):
    a, b = rng.normal(size=(20, 3)), rng.normal(1, 1, (15, 3))
    distances = {
        key: np.linalg.norm(x[:, None] - y[None], axis=2)
        for key, (x, y) in {"aa": (a, a), "bb": (b, b), "ab": (a, b)}.items()
    }
    width = np.median(distances["aa"][np.triu_indices(20, 1)])
    kernel = {key: np.exp(-(d**2) / (2 * width**2)) for key, d in distances.items()}
    within = sum((kernel[key].sum() - n) / (n * (n - 1)) for key, n in (("aa", 20), ("bb", 15)))
    assert mmd(a, b) == pytest.approx(within - 2 * kernel["ab"].mean())


def test_samples_of_one_law_and_of_two(rng):
    a, b, c = rng.normal(size=(300, 4)), rng.normal(size=(300, 4)), rng.normal(4, 1, (300, 4))
    assert auroc(a, b, 0) == pytest.approx(0.5, abs=0.08)
    assert auroc(a, c, 0) > 0.99
    assert abs(mmd(a, b)) < 0.01
    assert mmd(a, c) > 0.3
    assert ilisi(a, b) > 0.9
    assert ilisi(a, c) < 0.05
    assert ilisi(np.zeros((4, 1)), np.ones((4, 1)), neighbors=3) == 0


def test_shares_of_types(rng):
    real = np.concatenate([rng.normal(0, 1, (60, 2)), rng.normal(9, 1, (40, 2))])
    labels = np.repeat(["a", "b"], [60, 40])
    assert proportions(real, labels, real) == 0
    assert proportions(real, labels, real[:60]) == pytest.approx(0.4)


def test_real_cells_pass_and_each_fault_shows_in_its_metric(rng):
    real = draw(rng, 600)
    markers = ["G0", "G7"]
    same = compare(real, draw(rng, 600), 0, "kind", markers)
    assert set(same) == set(METRICS)
    assert same["mmd"] < 0.01
    assert same["mean_pearson"] > 0.99
    assert same["pair_correlation"] > 0.9
    assert same["pair_slope"] == pytest.approx(1, abs=0.15)
    assert same["depth_spread"] == pytest.approx(1, abs=0.15)
    assert same["auroc"] < 0.6
    assert same["ilisi"] > 0.9
    assert same["type_distance"] < 0.08
    assert same["marker_error"] < 0.08
    independent = real.copy()
    independent.X = csr_matrix(np.column_stack([rng.permutation(column) for column in real.X.toarray().T]))
    broken = compare(real, independent, 0, "kind", markers)
    assert broken["mean_pearson"] > 0.98  # means say nothing
    assert abs(broken["pair_slope"]) < 0.2
    assert broken["depth_spread"] < 0.8
    assert broken["auroc"] > 0.9
    assert broken["marker_error"] == 0
    one = compare(real, draw(rng, 600, types=(1.0, 0.0)), 0, "kind")
    assert one["type_distance"] > 0.4
    assert one["ilisi"] < same["ilisi"] - 0.2
    assert "marker_error" not in one


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda cells: cells[:, ::-1], "not those of the real cells"),
        (lambda cells: cells[:5], "made cells: 5 where 20 are needed"),
        (lambda cells: AnnData(csr_matrix(cells.X * 0.3), cells.obs, cells.var), "made cells: X: holds"),
        (lambda cells: AnnData(csr_matrix(cells.X.shape, dtype="f4"), cells.obs, cells.var), "hold no count at all"),
    ],
)
def test_cells_that_cannot_be_compared(rng, change, fault):
    real = draw(rng, 60)
    with pytest.raises(ScfmError, match=fault):
        compare(real, change(draw(rng, 60)), 0)


def test_columns_and_markers_that_are_not_there(rng):
    real = draw(rng, 60)
    with pytest.raises(ScfmError, match="no column 'type'"):
        compare(real, real, 0, "type")
    with pytest.raises(ScfmError, match="'X1' is no gene"):
        compare(real, real, 0, markers=["X1"])
