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
from typing import NamedTuple

import numpy as np
import pandas as pd

from scfm.learnability.outcomes import by_zero_fraction, is_winner
from scfm.learnability.settings import Learnability
from scfm.learnability.trend import Residuals, residuals, windows

Draw = Callable[[np.random.Generator], np.ndarray]
NULLS = ("shuffle", "sign", "normal")


class NullDraws(NamedTuple):
    """Winners of every draw (bool [draws, reliable genes]) by null model, and those observed (bool [reliable genes]).

    `rows` are the row numbers of the reliable genes; `winners` is empty without any.
    """

    rows: np.ndarray
    observed: np.ndarray
    winners: dict[str, np.ndarray]


def draw_nulls(genes: pd.DataFrame, settings: Learnability) -> NullDraws:
    """Draw each null model over the reliable genes of a run, as often as `settings.permutations` asks."""
    rows = by_zero_fraction(genes, settings)[0]
    fit, zero_fraction, limits = _fit(genes, settings)
    if fit is None:
        return NullDraws(rows, np.zeros(0, bool), {})
    draws: dict[str, Draw] = {
        "shuffle": lambda rng: _shuffled(fit, zero_fraction, settings.half_width, rng),
        "sign": lambda rng: random_signs(fit.residual, rng),
        "normal": lambda rng: _normal(fit, rng),
    }
    rng = np.random.default_rng(settings.permutations.seed)
    winners = {
        name: np.array(
            [_redo(fit, draws[name](rng), zero_fraction, limits, settings) for _ in range(settings.permutations.n)]
        )
        for name in NULLS
    }
    return NullDraws(rows, is_winner(fit.z, fit.residual, settings.t, settings.ratio), winners)


def null_winners(null: NullDraws) -> dict[str, dict[str, float]]:
    """Winners under each null model, against the winners observed.

    Returns:
        For each null model: observed, mean, low, high (2.5 and 97.5 percentiles over the draws), share
        (mean / observed; NaN without winners) and rate (mean / reliable genes, to stand beside the winner rate).
        Empty without a reliable gene.
    """
    observed = int(null.observed.sum())
    records = {}
    for name, winners in null.winners.items():
        counts = winners.sum(axis=1)
        low, high = np.percentile(counts, [2.5, 97.5])
        records[name] = {
            "observed": observed,
            "mean": float(np.mean(counts)),
            "low": float(low),
            "high": float(high),
            "share": float(np.mean(counts) / observed) if observed else np.nan,
            "rate": float(np.mean(counts) / len(null.rows)),
        }
    return records


def null_rates(genes: pd.DataFrame, null: NullDraws) -> pd.DataFrame:
    """Share of the draws in which each gene wins: null_shuffle, null_sign, null_normal (NaN: not reliable).

    Under `shuffle` it is the winner rate of the genes of similar zero fraction.
    """
    rates = np.full((len(genes), len(NULLS)), np.nan)
    for column, name in enumerate(null.winners):
        rates[null.rows, column] = null.winners[name].mean(axis=0)
    return pd.DataFrame(rates, genes.index, [f"null_{name}" for name in NULLS])


def null_of_groups(scored: pd.DataFrame, annotated: pd.Series, by: str) -> pd.DataFrame:
    """What the null models `shuffle` and `sign` give in place of the winners of each group.

    Args:
        scored: genes with reliable, null_shuffle, null_sign (see `null_rates`) and the column `by`.
        annotated: genes of the vocabulary in each group.

    Returns:
        Indexed by group, for each of the two: null_winners_<null> (mean over the draws), null_rate_annotated_<null>
        and null_rate_evaluated_<null>, over the same denominators as the winner rates; NaN without a reliable gene.
    """
    genes = scored[scored.reliable].groupby(by, sort=False)
    columns = {}
    for name in ("shuffle", "sign"):
        wins = genes[f"null_{name}"].sum()
        columns[f"null_winners_{name}"] = wins
        columns[f"null_rate_annotated_{name}"] = wins / annotated.reindex(wins.index)
        columns[f"null_rate_evaluated_{name}"] = genes[f"null_{name}"].mean()
    return pd.DataFrame(columns).rename_axis(by)


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


def random_signs(residual: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Residuals that keep their size and take a random sign."""
    return residual * rng.choice([-1.0, 1.0], len(residual))


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
