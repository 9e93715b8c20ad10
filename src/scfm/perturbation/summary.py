"""From metrics of single perturbations to what is reported: means, intervals, scaled scores, the ceiling."""

from typing import TYPE_CHECKING

import numpy as np

from scfm.perturbation.metrics import HIGHER, METRICS, effect_number_spearman
from scfm.perturbation.settings import Scoring

if TYPE_CHECKING:
    import pandas as pd

REFERENCE = "perturbation_mean"
"""Baseline at which a scaled score is 0."""
SCORED = ("des", "pds", "mae")
"""Metrics of the scaled score."""


def summarise(tables: "dict[str, pd.DataFrame]", scoring: Scoring) -> "pd.DataFrame":
    """Means over perturbations with intervals, for every model and baseline.

    Args:
        tables: of `scfm.perturbation.evaluate.evaluate`, over the same pairs, "ceiling" among them.

    Returns:
        Columns name, metric, value, low, high: every one of `METRICS` and effect_number_spearman; of all but the
        ceiling `<metric>_scaled` for `SCORED` and score, their mean. Intervals are percentiles over perturbations
        drawn with replacement, the same for a model and for the reference. The ceiling's metrics that are best at 1 are
        carried from half the cells to all by Spearman and Brown, 2 r / (1 + r), and NaN below 0; the others, which have
        no such rule, stay as the halves give them.
    """
    import pandas as pd

    first = next(iter(tables.values()))
    rng = np.random.default_rng(scoring.seed)
    drawn = rng.integers(len(first), size=(scoring.resamples, len(first)))
    reference = tables.get(REFERENCE)
    rows = []
    for name, table in tables.items():
        whole = statistics(table, np.arange(len(table))[None])
        every = statistics(table, drawn)
        if name == "ceiling":
            whole, every = _full_depth(whole), _full_depth(every)
        elif reference is not None:
            whole |= scaled(whole, statistics(reference, np.arange(len(table))[None]))
            every |= scaled(every, statistics(reference, drawn))
        tail = (1 - scoring.confidence) / 2
        for metric, value in whole.items():
            low, high = _quantiles(every[metric], tail)
            rows.append({"name": name, "metric": metric, "value": float(value[0]), "low": low, "high": high})
    return pd.DataFrame(rows)


def statistics(table: "pd.DataFrame", drawn: np.ndarray) -> dict[str, np.ndarray]:
    """Means of the metrics over drawn perturbations, those where they are not defined left out: float [draws].

    Args:
        drawn: row numbers [draws, perturbations].
    """
    out = {}
    for metric in METRICS:
        values = table[metric].to_numpy(dtype=np.float64)[drawn]
        defined = ~np.isnan(values)
        sums = np.where(defined, values, 0).sum(1)
        out[metric] = np.divide(sums, defined.sum(1), out=np.full(len(drawn), np.nan), where=defined.any(1))
    numbers = (table[column].to_numpy()[drawn] for column in ("significant", "predicted_significant"))
    out["effect_number_spearman"] = np.array([effect_number_spearman(a, b) for a, b in zip(*numbers, strict=True)])
    return out


def scaled(user: dict[str, np.ndarray], base: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scaled scores of the Virtual Cell Challenge 2025 and their mean.

    (u - b) / (1 - b) where 1 is best, 1 - u / b where 0 is; not below 0, 0 where the model's metric is not defined. NaN
    where the reference's is not: then the data does not allow it, and the mean is over the others.
    """
    out = {}
    for metric in SCORED:
        u, b = user[metric], base[metric]
        best, room = (1, 1 - b) if metric in HIGHER else (0, b)
        gain = np.divide(u - b if best else b - u, room, out=np.zeros_like(b), where=room > 0)
        out[f"{metric}_scaled"] = np.where(np.isnan(b), np.nan, np.clip(np.nan_to_num(gain, nan=0.0), 0, None))
    every = np.stack(list(out.values()))
    defined = ~np.isnan(every)
    sums = np.where(defined, every, 0).sum(0)
    return out | {"score": np.divide(sums, defined.sum(0), out=np.full(every.shape[1], np.nan), where=defined.any(0))}


def _full_depth(half: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    reliable = (*HIGHER, "effect_number_spearman")
    return {
        metric: np.where(values > 0, 2 * values / (1 + np.maximum(values, 0)), np.nan) if metric in reliable else values
        for metric, values in half.items()
    }


def _quantiles(values: np.ndarray, tail: float) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    return tuple(np.quantile(defined, [tail, 1 - tail])) if len(defined) else (np.nan, np.nan)
