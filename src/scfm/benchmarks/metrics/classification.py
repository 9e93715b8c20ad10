"""Accuracy and macro F1 on held-out cells, with their bootstrap intervals."""

import numpy as np

from scfm.benchmarks.interval import Interval
from scfm.benchmarks.results import Measurement

METRICS = ("macro_f1", "accuracy")


def held_out_scores(truth: np.ndarray, predicted: np.ndarray, trained: set[str], interval: Interval) -> list:
    """`METRICS`, each with `_low` and `_high`, and unseen: the share of cells whose class training did not have.

    Macro F1 is over the classes of `truth`; a class that training did not have cannot be named and counts as wrong.

    Args:
        truth, predicted: strings [cells], at least one cell.
        trained: classes of the training cells.

    Returns:
        Measurements of the part "test".
    """
    values = dict(zip(METRICS, scores(*_pairs(truth, predicted)), strict=True))
    low, high = bootstrap(truth, predicted, interval)
    for name, *ends in zip(METRICS, low, high, strict=True):
        values |= dict(zip((f"{name}_low", f"{name}_high"), ends, strict=True))
    values["unseen"] = float(np.mean(~np.isin(truth, sorted(trained))))
    return [Measurement(name, float(value), len(truth), split="test") for name, value in values.items()]


def scores(counts: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """`METRICS` [2, ...] of cells counted by (true, predicted) pair.

    Args:
        counts: cells [..., pairs], at least one.
        true, predicted: int [pairs], codes of the classes.
    """
    classes = np.arange(max(true.max(), predicted.max()) + 1)
    is_true, is_predicted = (codes[:, None] == classes for codes in (true, predicted))
    right = counts @ (is_true & is_predicted)
    truths, predictions = counts @ is_true, counts @ is_predicted
    f1 = 2 * right / np.maximum(truths + predictions, 1)
    present = truths > 0
    return np.stack([(f1 * present).sum(-1) / present.sum(-1), right.sum(-1) / counts.sum(-1)])


def bootstrap(truth: np.ndarray, predicted: np.ndarray, interval: Interval) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends of the percentile interval of `METRICS`, cells drawn with replacement.

    Cells of one (true, predicted) pair are alike, so drawing cells is drawing the pairs' counts.
    """
    counts, *pairs = _pairs(truth, predicted)
    rng = np.random.default_rng(interval.seed)
    drawn = rng.multinomial(len(truth), counts / counts.sum(), size=interval.resamples)
    tail = (1 - interval.confidence) / 2
    low, high = np.quantile(scores(drawn, *pairs), [tail, 1 - tail], axis=1)
    return low, high


def _pairs(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(cells, true code, predicted code) of every pair that occurs."""
    classes, codes = np.unique(np.concatenate([truth, predicted]), return_inverse=True)
    pairs, counts = np.unique(codes[: len(truth)] * len(classes) + codes[len(truth) :], return_counts=True)
    return counts, *np.divmod(pairs, len(classes))
