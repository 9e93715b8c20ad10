"""RMSE and Pearson correlation of predicted entries on log1p, with a bootstrap over cells; correlation over cells."""

import numpy as np

from scfm.benchmarks.interval import Interval
from scfm.benchmarks.results import Measurement

METRICS = ("rmse", "rmse_nonzero", "pearson")
DRAWS = 2**24
"""Numbers of a block of resamples."""


def entry_scores(row: np.ndarray, truth: np.ndarray, predicted: np.ndarray, interval: Interval) -> list[Measurement]:
    """`rmse`, `pearson` of all entries and `rmse_nonzero` of those above 0, each with `_low` and `_high`; entries.

    On log1p of counts. Cells are drawn with replacement, with all their entries.

    Args:
        row: int64 [entries], cell of each. truth, predicted: counts at least 0.
    """
    sums = cell_sums(row, truth, predicted)
    values = scores_of(sums.sum(0))
    low, high = bootstrap(sums, interval)
    cells = len(sums)
    rows = []
    for name, *found in zip(METRICS, values, low, high, strict=True):
        ends = zip((name, f"{name}_low", f"{name}_high"), found, strict=True)
        rows += [Measurement(key, float(value), cells) for key, value in ends]
    return [*rows, Measurement("entries", len(row), cells)]


def cell_sums(row: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """float64 [cells that have entries, 8]: what `scores_of` adds up."""
    t, p = np.log1p(np.asarray(truth, float)), np.log1p(np.asarray(predicted, float))
    error, above = (t - p) ** 2, (t > 0).astype(float)
    cell = np.unique(row, return_inverse=True)[1]
    parts = (np.ones_like(t), t, p, t * t, p * p, t * p, above, above * error)
    return np.stack([np.bincount(cell, part) for part in parts], axis=1)


def scores_of(sums: np.ndarray) -> np.ndarray:
    """`METRICS` [..., 3] of sums [..., 8]; NaN where not defined."""
    n, t, p, tt, pp, tp, above, error = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        rmse = np.sqrt(np.maximum(tt - 2 * tp + pp, 0) / n)
        variances = np.maximum(tt - t * t / n, 0), np.maximum(pp - p * p / n, 0)
        flat = np.minimum(variances[0] / (tt + 1e-300), variances[1] / (pp + 1e-300)) < 1e-12
        pearson = np.where(flat, np.nan, (tp - t * p / n) / np.sqrt(variances[0] * variances[1]))
        return np.stack([rmse, np.sqrt(error / above), pearson], axis=-1)


def bootstrap(sums: np.ndarray, interval: Interval) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends of the percentile interval of `METRICS`."""
    rng, cells = np.random.default_rng(interval.seed), len(sums)
    most = max(DRAWS // cells, 1)
    blocks = [min(most, interval.resamples - start) for start in range(0, interval.resamples, most)]
    chance = np.full(cells, 1 / cells)
    drawn = np.concatenate([scores_of(rng.multinomial(cells, chance, size=block) @ sums) for block in blocks])
    tail = (1 - interval.confidence) / 2
    ends = np.full((2, len(METRICS)), np.nan)
    known = np.isfinite(drawn).any(0)
    ends[:, known] = np.nanquantile(drawn[:, known], [tail, 1 - tail], axis=0)
    return ends[0], ends[1]


def correlations(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """float64 [genes], Pearson over the cells; 0 for a prediction that is the same in all, NaN for such a truth.

    Args:
        truth, predicted: [cells, genes].
    """
    t, p = (np.asarray(table, float) for table in (truth, predicted))
    t, p = t - t.mean(0), p - p.mean(0)
    spread = np.sqrt((t * t).sum(0)), np.sqrt((p * p).sum(0))
    scale = np.abs(np.asarray(predicted)).max(0, initial=0) * np.sqrt(len(p))
    constant = spread[1] <= 1e-9 * scale
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (t * p).sum(0) / (spread[0] * spread[1])
    return np.where(spread[0] == 0, np.nan, np.where(constant, 0.0, found))
