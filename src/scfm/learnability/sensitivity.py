"""Winners under other values of the parameters that the paper leaves open."""

from itertools import product

import numpy as np
import pandas as pd

from scfm.learnability.null import random_signs
from scfm.learnability.outcomes import by_zero_fraction, is_loser, is_winner
from scfm.learnability.settings import Learnability
from scfm.learnability.trend import isotonic_trend, residuals, windows, z_scores

COLUMNS = [
    "half_width",
    "t",
    "sparse_cut",
    "winners",
    "losers",
    "sparse_winners",
    "jaccard",
    "default",
    "winner_rate",
    "null_rate_sign",
]


def sensitivity(genes: pd.DataFrame, settings: Learnability) -> pd.DataFrame:
    """Count winners and losers for each combination of window, threshold and sparse cut.

    Returns:
        One row a combination: half_width, t, sparse_cut, winners, losers, sparse_winners (winners above the cut),
        jaccard (overlap with the winners of the settings themselves; NaN where neither has any), default (bool:
        these are the settings' own values), winner_rate (of the reliable genes) and null_rate_sign (the same with
        residuals of random sign, see `scfm.learnability.null`).
    """
    _, zero_fraction, log_error = by_zero_fraction(genes, settings)
    if not len(zero_fraction):
        return pd.DataFrame(columns=COLUMNS)
    grid = settings.sensitivity
    usual = _calls(zero_fraction, log_error, settings, settings.half_width, settings.t)[0]
    null = _null_rates(zero_fraction, log_error, settings)
    rows = []
    for half_width, t in product(grid.half_width, grid.t):
        winner, loser = _calls(zero_fraction, log_error, settings, half_width, t)
        either = (winner | usual).sum()
        jaccard = (winner & usual).sum() / either if either else np.nan
        for cut in grid.sparse_cut:
            same = (half_width, t, cut) == (settings.half_width, settings.t, settings.sparse_cut)
            sparse = (winner & (zero_fraction > cut)).sum()
            counts = winner.sum(), loser.sum(), sparse, jaccard, same, winner.mean(), null[half_width, t]
            rows.append((half_width, t, cut, *counts))
    return pd.DataFrame(rows, columns=COLUMNS)


def _calls(
    zero_fraction: np.ndarray, log_error: np.ndarray, settings: Learnability, half_width: float, t: float
) -> tuple[np.ndarray, np.ndarray]:
    """Winners and losers (bool [genes]) for one window and one threshold."""
    fit = residuals(zero_fraction, log_error, *windows(zero_fraction, half_width, settings.min_window))
    rule = fit.z, fit.residual, t, settings.ratio
    return is_winner(*rule), is_loser(*rule)


def _null_rates(
    zero_fraction: np.ndarray, log_error: np.ndarray, settings: Learnability
) -> dict[tuple[float, float], float]:
    """Mean winner rate with residuals of random sign, by half width and threshold; all share one fit a draw."""
    grid, draws = settings.sensitivity, settings.permutations
    limits = {width: windows(zero_fraction, width, settings.min_window) for width in grid.half_width}
    trend = isotonic_trend(zero_fraction, log_error)
    rng = np.random.default_rng(draws.seed)
    rates = dict.fromkeys(product(grid.half_width, grid.t), 0.0)
    for _ in range(draws.n):
        drawn = trend + random_signs(log_error - trend, rng)
        residual = drawn - isotonic_trend(zero_fraction, drawn)
        for width in grid.half_width:
            z = z_scores(residual, *limits[width])[1]
            for t in grid.t:
                rates[width, t] += is_winner(z, residual, t, settings.ratio).mean() / draws.n
    return rates
