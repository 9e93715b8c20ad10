"""RMSE and correlation of entries and genes against closed forms and other libraries."""

import numpy as np
import pytest
from scipy.stats import pearsonr

from scfm.benchmarks.entry_scores import METRICS, bootstrap, cell_sums, correlations, entry_scores, scores_of
from scfm.benchmarks.interval import Interval


def entries(cells=50, seed=0):
    rng = np.random.default_rng(seed)
    row = np.repeat(np.arange(cells), rng.integers(1, 9, cells))
    truth = rng.poisson(1.5, len(row)).astype(np.float32)
    return row, truth, np.exp(rng.normal(0, 1, len(row))) + 0.3 * truth


def explicit(truth, predicted):
    t, p = np.log1p(truth.astype(float)), np.log1p(predicted)
    above = t > 0
    rmse = [np.sqrt(np.mean((t[part] - p[part]) ** 2)) for part in (slice(None), above)]
    return [*rmse, pearsonr(t, p)[0]]


def test_scores_are_the_closed_forms_on_log1p():
    row, truth, predicted = entries()
    found = {m.metric: m.value for m in entry_scores(row, truth, predicted, Interval(resamples=100))}
    np.testing.assert_allclose([found[name] for name in METRICS], explicit(truth, predicted), rtol=1e-10)
    assert found["entries"] == len(row)
    for name in METRICS:
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]


def test_perfect_and_constant_predictions():
    row, truth, _ = entries()
    perfect = scores_of(cell_sums(row, truth, truth).sum(0))
    np.testing.assert_allclose(perfect, [0, 0, 1], atol=1e-7)
    constant = scores_of(cell_sums(row, truth, np.full(len(row), 0.7)).sum(0))
    assert np.isnan(constant[2])
    assert np.isfinite(constant[:2]).all()


def test_no_entry_above_zero_leaves_that_rmse_undefined():
    sums = cell_sums(np.array([0, 0, 1]), np.zeros(3), np.array([0.0, 1.0, 2.0])).sum(0)
    assert np.isnan(scores_of(sums)[1])
    assert scores_of(sums)[0] == pytest.approx(np.sqrt((np.log(2) ** 2 + np.log(3) ** 2) / 3))


def test_the_interval_is_that_of_cells_drawn_one_by_one():
    row, truth, predicted = entries(200)
    low, high = bootstrap(cell_sums(row, truth, predicted), Interval(resamples=2000))
    rng, drawn = np.random.default_rng(1), []
    of_cell = [np.flatnonzero(row == cell) for cell in range(200)]
    for _ in range(600):
        chosen = np.concatenate([of_cell[cell] for cell in rng.integers(200, size=200)])
        drawn.append(explicit(truth[chosen], predicted[chosen]))
    ends = np.quantile(drawn, [0.025, 0.975], axis=0)
    width = ends[1] - ends[0]
    assert (np.abs(low - ends[0]) < 0.15 * width).all()
    assert (np.abs(high - ends[1]) < 0.15 * width).all()


def test_the_interval_has_a_seed():
    sums = cell_sums(*entries())
    one, same, other = (bootstrap(sums, Interval(resamples=200, seed=seed)) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_correlations_of_genes_are_scipys_and_a_constant_says_nothing():
    rng = np.random.default_rng(0)
    truth, predicted = rng.poisson(2.0, (40, 6)).astype(float), rng.random((40, 6)).astype(np.float32)
    predicted[:, 2], truth[:, 4] = 0.1, 3.0
    found = correlations(truth, predicted)
    for gene in (0, 1, 3, 5):
        assert found[gene] == pytest.approx(pearsonr(truth[:, gene], predicted[:, gene])[0], abs=1e-6)
    assert found[2] == 0
    assert np.isnan(found[4])
