"""Trend and local SD against plain loops and closed forms."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from scfm.learnability.trend import isotonic_trend, residuals, window_sd, windows


def sd_by_loop(zero_fraction, values, half_width, min_window):
    """The definition, gene by gene."""
    expected = []
    for center in zero_fraction:
        inside = np.abs(zero_fraction - center) <= half_width
        if inside.sum() < min_window:
            inside = np.argsort(np.abs(zero_fraction - center), kind="stable")[:min_window]
        expected.append(np.std(values[inside], ddof=1))
    return np.array(expected)


@pytest.mark.parametrize(("half_width", "min_window"), [(0.05, 50), (0.01, 50), (0.1, 5), (1.0, 50), (0.001, 7)])
def test_local_sd_equals_the_loop(half_width, min_window):
    rng = np.random.default_rng(1)
    # Squared, so that the density of genes varies and both kinds of window occur.
    zero_fraction = np.sort(rng.random(400) ** 2)
    values = rng.normal(3, 1 + zero_fraction)
    start, stop = windows(zero_fraction, half_width, min_window)
    expected = sd_by_loop(zero_fraction, values, half_width, min_window)
    np.testing.assert_allclose(window_sd(values, start, stop), expected, rtol=1e-9)
    assert (stop - start).min() >= min_window


def test_fewer_genes_than_a_window_take_all():
    zero_fraction = np.array([0.1, 0.5, 0.9])
    start, stop = windows(zero_fraction, 0.05, 50)
    assert (start == 0).all()
    assert (stop == 3).all()


def test_windows_at_the_ends_shift_inwards():
    zero_fraction = np.arange(10) / 10
    start, stop = windows(zero_fraction, 0.01, 4)
    assert (start[0], stop[0]) == (0, 4)
    assert (start[-1], stop[-1]) == (6, 10)


def test_isotonic_trend_pools_adjacent_violators():
    # 3, 1 violate and pool to 2; 5, 4, 3 pool to 4 (closed form of the pool-adjacent-violators algorithm).
    trend = isotonic_trend(np.arange(6.0), np.array([0.0, 3.0, 1.0, 5.0, 4.0, 3.0]))
    np.testing.assert_allclose(trend, [0, 2, 2, 4, 4, 4])


@pytest.mark.parametrize("decimals", [9, 1])
def test_isotonic_trend_equals_its_definition_and_scikit_learn(decimals):
    rng = np.random.default_rng(5)
    zero_fraction = np.sort(rng.random(60)).round(decimals)  # rounded: genes with equal zero fractions
    values = 2 * zero_fraction + rng.normal(0, 1, 60)
    trend = isotonic_trend(zero_fraction, values)
    np.testing.assert_allclose(trend, IsotonicRegression().fit(zero_fraction, values).predict(zero_fraction))
    # The largest, over blocks that begin at or before a point, of the smallest mean of blocks that end at or after it.
    points, counts = np.unique(zero_fraction, return_counts=True)
    sums = np.array([values[zero_fraction == point].sum() for point in points])
    expected = [
        max(min(sums[j:k].sum() / counts[j:k].sum() for k in range(i + 1, len(points) + 1)) for j in range(i + 1))
        for i in range(len(points))
    ]
    np.testing.assert_allclose(trend, np.repeat(expected, counts))


def test_z_equals_the_loop():
    rng = np.random.default_rng(2)
    zero_fraction = np.sort(rng.random(300))
    values = zero_fraction + rng.normal(0, 0.1, 300)
    fit = residuals(zero_fraction, values, *windows(zero_fraction, 0.05, 50))
    np.testing.assert_allclose(fit.residual, values - fit.trend)
    np.testing.assert_allclose(fit.z, fit.residual / sd_by_loop(zero_fraction, fit.residual, 0.05, 50))


def test_constant_zero_fraction_gives_the_mean_and_the_plain_z():
    values = np.array([0.0, 1.0, 2.0, 5.0])
    fit = residuals(np.full(4, 0.5), values, *windows(np.full(4, 0.5), 0.05, 50))
    np.testing.assert_allclose(fit.trend, 2.0)
    np.testing.assert_allclose(fit.z, (values - 2) / np.std(values, ddof=1))


def test_no_spread_gives_no_z():
    zero_fraction = np.linspace(0, 1, 20)
    fit = residuals(zero_fraction, 0.1 + zero_fraction, *windows(zero_fraction, 0.05, 50))
    assert (fit.local_sd == 0).all()
    assert np.isnan(fit.z).all()


def test_one_gene_has_no_sd():
    fit = residuals(np.array([0.3]), np.array([-1.0]), *windows(np.array([0.3]), 0.05, 50))
    assert fit.trend[0] == -1
    assert np.isnan(fit.local_sd[0])
    assert np.isnan(fit.z[0])
