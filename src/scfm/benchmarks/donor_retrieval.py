"""Whether two halves of a sample's cells find each other among all samples."""

from collections.abc import Sequence

import numpy as np

from scfm.benchmarks.donor_probe import nearest
from scfm.benchmarks.interval import Interval
from scfm.benchmarks.results import Measurement

METRIC = "retrieval_top1"


def retrieval(halves: Sequence[tuple[np.ndarray, np.ndarray]], interval: Interval) -> list[Measurement]:
    """`retrieval_top1` of each pair of halves, its mean with the bootstrap interval over samples, retrieval_chance.

    A half is right if the nearest of all opposite halves, by cosine around their mean, is that of its own sample.

    Args:
        halves: pairs of float64 [samples, width] from two disjoint halves of each sample's cells; none: no rows.
    """
    if not halves:
        return []
    right = np.array([np.mean([_found(one, other), _found(other, one)], axis=0) for one, other in halves])
    count = right.shape[1]
    rows = [Measurement(METRIC, float(own.mean()), count, fold=str(i)) for i, own in enumerate(right)]
    drawn = np.random.default_rng(interval.seed).integers(count, size=(interval.resamples, count))
    tail = (1 - interval.confidence) / 2
    low, high = np.quantile(right.mean(0)[drawn].mean(1), [tail, 1 - tail])
    values = {METRIC: right.mean(), f"{METRIC}_low": low, f"{METRIC}_high": high, "retrieval_chance": 1 / count}
    return rows + [Measurement(name, float(value), count) for name, value in values.items()]


def _found(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Bool [samples]: the nearest of the gallery is the query's own row."""
    return nearest(gallery, queries, 1)[:, 0] == np.arange(len(queries))
