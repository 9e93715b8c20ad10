"""Percentile intervals from resampling datasets and, within each drawn dataset, seeds."""

import numpy as np
import pandas as pd


def dataset_seed_interval(
    values: pd.DataFrame, resamples: int, confidence: float, seed: int
) -> tuple[float, float, float]:
    """Mean over datasets of the mean over seeds, with its two-stage bootstrap interval.

    Args:
        values: columns dataset, seed and value; at least one row; datasets may have different numbers of seeds.

    Returns:
        Estimate, lower and upper end. With one dataset and one seed all three are equal.
    """
    groups = [group.to_numpy(dtype=float) for _, group in values.groupby("dataset", sort=True).value]
    counts = np.array([len(group) for group in groups])
    padded = np.zeros((len(groups), counts.max()))
    for row, group in zip(padded, groups, strict=True):
        row[: len(group)] = group
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(groups), size=(resamples, len(groups)))
    size = counts[drawn]
    picks = (rng.random((*drawn.shape, counts.max())) * size[..., None]).astype(np.int64)
    used = np.arange(counts.max()) < size[..., None]
    sums = np.where(used, padded[drawn[..., None], picks], 0.0).sum(axis=-1)
    means = (sums / size).mean(axis=-1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(np.mean([group.mean() for group in groups])), float(low), float(high)
