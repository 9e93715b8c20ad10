"""The trend of the error on the zero fraction, and the spread of genes around it.

All functions take the genes in ascending order of their zero fraction; errors are natural logarithms of the
rescaled MAE (dimensionless: sum of |y - prediction| over sum of y, nonzero observations only).
"""

from typing import NamedTuple

import numpy as np


class Residuals(NamedTuple):
    """Each float64 [genes], on the log scale: isotonic trend, residual, local SD of residuals, residual / SD."""

    trend: np.ndarray
    residual: np.ndarray
    local_sd: np.ndarray
    z: np.ndarray


def isotonic_trend(zero_fraction: np.ndarray, log_error: np.ndarray) -> np.ndarray:
    """Least-squares non-decreasing function of `zero_fraction`, at each gene (float64 [genes])."""
    from sklearn.isotonic import IsotonicRegression

    return IsotonicRegression(increasing=True).fit_transform(zero_fraction, log_error)


def windows(zero_fraction: np.ndarray, half_width: float, min_window: int) -> tuple[np.ndarray, np.ndarray]:
    """First and one-past-last position of each gene's window of zero fraction (int64 [genes] each).

    A window holds the genes within `half_width` (both ends included); where these are fewer than `min_window`,
    the `min_window` nearest genes, or all genes if there are no more.
    """
    start = np.searchsorted(zero_fraction, zero_fraction - half_width, side="left")
    stop = np.searchsorted(zero_fraction, zero_fraction + half_width, side="right")
    size = min(min_window, len(zero_fraction))
    few = stop - start < size
    nearest = _nearest(zero_fraction, size)
    return np.where(few, nearest, start), np.where(few, nearest + size, stop)


def _nearest(sorted_values: np.ndarray, size: int) -> np.ndarray:
    """Start of the run of `size` values nearest to each value: a binary search for all genes at once."""
    low = np.zeros(len(sorted_values), dtype=np.int64)
    high = np.full(len(sorted_values), len(sorted_values) - size, dtype=np.int64)
    while (open_ := low < high).any():
        middle = (low + high) // 2
        after = np.minimum(middle + size, len(sorted_values) - 1)
        right = sorted_values - sorted_values[middle] > sorted_values[after] - sorted_values
        low = np.where(open_ & right, middle + 1, low)
        high = np.where(open_ & ~right, middle, high)
    return low


def window_sd(values: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Standard deviation (ddof 1, about the window's own mean) of `values` in each window.

    Returns:
        float64 [windows]; NaN for a window of one gene, exactly 0 where the values do not vary.
    """
    centred = values - values.mean()
    total = np.concatenate([[0.0], np.cumsum(centred)])
    squares = np.concatenate([[0.0], np.cumsum(centred**2)])
    size = (stop - start).astype(float)
    deviation = squares[stop] - squares[start] - (total[stop] - total[start]) ** 2 / size
    # The difference of two running sums leaves rounding noise of this order where the truth is 0.
    deviation[deviation < 1e-12 * max(squares[-1], np.finfo(float).tiny)] = 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(np.where(size > 1, deviation / (size - 1), np.nan))


def z_scores(residual: np.ndarray, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local standard deviation and residual / local SD (NaN where that is 0 or unknown), float64 [genes] each."""
    local_sd = window_sd(residual, start, stop)
    z = np.full(len(residual), np.nan)
    np.divide(residual, local_sd, out=z, where=local_sd > 0)
    return local_sd, z


def residuals(zero_fraction: np.ndarray, log_error: np.ndarray, start: np.ndarray, stop: np.ndarray) -> Residuals:
    """Fit the trend and express each gene's distance from it in local standard deviations.

    Z is NaN where the local standard deviation is 0 or unknown.
    """
    trend = isotonic_trend(zero_fraction, log_error)
    residual = log_error - trend
    return Residuals(trend, residual, *z_scores(residual, start, stop))
