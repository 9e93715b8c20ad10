"""How many winners the rule makes by itself.

Three null models, each drawn many times over the reliable genes of a run, with the trend and the local standard
deviations fitted anew for each draw:

- `shuffle`: Z values change places among genes of similar zero fraction. The spread stays as it is, so about as
  many genes win as before: a count of winners alone says nothing about which genes they are.
- `sign`: each residual keeps its size and takes a random sign. An excess of winners over this null is an excess
  of the lower tail over the upper one.
- `normal`: residuals are drawn from a normal distribution with the local standard deviation: what the thresholds
  let through where no gene stands out.

The simulation with planted winners starts from the `normal` null and lowers the error of a known share of genes.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from scfm.learnability.outcomes import by_zero_fraction, is_winner
from scfm.learnability.settings import Learnability
from scfm.learnability.trend import Residuals, residuals, windows

Draw = Callable[[np.random.Generator], np.ndarray]


def null_winners(genes: pd.DataFrame, settings: Learnability) -> dict[str, dict[str, float]]:
    """Winners under each null model, against the winners observed.

    Returns:
        For each null model: observed, mean, low, high (2.5 and 97.5 percentiles over the draws) and share
        (mean / observed; NaN without winners). Empty without a reliable gene.
    """
    fit, zero_fraction, limits = _fit(genes, settings)
    if fit is None:
        return {}
    observed = int(is_winner(fit.z, fit.residual, settings.t, settings.ratio).sum())
    draws: dict[str, Draw] = {
        "shuffle": lambda rng: _shuffled(fit, zero_fraction, settings.half_width, rng),
        "sign": lambda rng: fit.residual * rng.choice([-1.0, 1.0], len(fit.residual)),
        "normal": lambda rng: _normal(fit, rng),
    }
    rng = np.random.default_rng(settings.permutations.seed)
    records = {}
    for name, draw in draws.items():
        winners = [_redo(fit, draw(rng), zero_fraction, limits, settings) for _ in range(settings.permutations.n)]
        counts = [int(chosen.sum()) for chosen in winners]
        low, high = np.percentile(counts, [2.5, 97.5])
        share = np.mean(counts) / observed if observed else np.nan
        records[name] = {
            "observed": observed,
            "mean": float(np.mean(counts)),
            "low": float(low),
            "high": float(high),
            "share": float(share),
        }
    return records


def planted_winners(genes: pd.DataFrame, settings: Learnability) -> dict[str, float]:
    """Plant winners among simulated genes of the run's zero fractions, and see what the rule finds.

    Returns:
        planted and called (mean numbers of genes), recall (found / planted) and false_share (called but not
        planted / called), each over all draws; NaN where undefined.
    """
    fit, zero_fraction, limits = _fit(genes, settings)
    if fit is None:
        return dict.fromkeys(["planted", "called", "recall", "false_share"], np.nan)
    rng = np.random.default_rng(settings.permutations.seed)
    planted = called = found = 0
    for _ in range(settings.permutations.n):
        truth = rng.random(len(zero_fraction)) < settings.planted.share
        residual = _normal(fit, rng) - settings.planted.shift * np.nan_to_num(fit.local_sd) * truth
        winner = _redo(fit, residual, zero_fraction, limits, settings)
        planted, called, found = planted + truth.sum(), called + winner.sum(), found + (winner & truth).sum()
    return {
        "planted": float(planted / settings.permutations.n),
        "called": float(called / settings.permutations.n),
        "recall": float(found / planted) if planted else np.nan,
        "false_share": float((called - found) / called) if called else np.nan,
    }


def _fit(
    genes: pd.DataFrame, settings: Learnability
) -> tuple[Residuals | None, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Residuals of the reliable genes (None without any), their zero fractions and their windows."""
    _, zero_fraction, log_error = by_zero_fraction(genes, settings)
    limits = windows(zero_fraction, settings.half_width, settings.min_window)
    fit = residuals(zero_fraction, log_error, *limits) if len(zero_fraction) else None
    return fit, zero_fraction, limits


def _shuffled(fit: Residuals, zero_fraction: np.ndarray, half_width: float, rng: np.random.Generator) -> np.ndarray:
    """Residuals after Z was permuted within bins as wide as a window; the bins' origin is random."""
    bins = np.floor(zero_fraction / (2 * half_width) + rng.random())
    order = np.lexsort((rng.random(len(bins)), bins))
    return np.nan_to_num(fit.z[order]) * np.nan_to_num(fit.local_sd)


def _normal(fit: Residuals, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(len(fit.residual)) * np.nan_to_num(fit.local_sd)


def _redo(
    fit: Residuals,
    residual: np.ndarray,
    zero_fraction: np.ndarray,
    limits: tuple[np.ndarray, np.ndarray],
    settings: Learnability,
) -> np.ndarray:
    """Winners (bool [genes]) when the genes lie `residual` off the fitted trend."""
    again = residuals(zero_fraction, fit.trend + residual, *limits)
    return is_winner(again.z, again.residual, settings.t, settings.ratio)
