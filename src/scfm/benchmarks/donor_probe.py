"""Predicting a target of donors from their vectors: closed-form probes and nearest donors, whole donors held out."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from scfm.benchmarks.results import Measurement
from scfm.benchmarks.task_settings import DonorTask
from scfm.datasets import REGRESSION
from scfm.errors import ScfmError

MIN_TEST = 3
"""Fewest donors of a test fold of a number: below, a correlation says nothing."""
RANGE = {"pearson": (-1, 1), "r2": (-np.inf, 1), "mae": (0, np.inf)}
"""Values that a metric can take, where not between 0 and 1."""
PERMUTED = "_permuted"


@dataclass(frozen=True)
class Target:
    """One target of the samples for which it is known."""

    name: str
    kind: str
    rows: np.ndarray
    """int [samples]: their rows among all samples."""
    donors: np.ndarray
    """Strings [samples]."""
    truth: np.ndarray
    """float64 [samples] for a number, else int [samples], codes of the classes."""
    classes: tuple[str, ...] = ()


def target_of(name: str, kind: str, rows: np.ndarray, donors: np.ndarray, values: np.ndarray, dataset: str) -> Target:
    """A target from its values as text [samples], none of them unknown.

    Raises:
        ScfmError: text where a number is expected; too few donors, of a class or in all.
    """
    where = f"dataset '{dataset}', target '{name}'"
    if kind == REGRESSION:
        return Target(name, kind, rows, donors, _numbers(values, donors, where))
    classes, codes = np.unique(values, return_inverse=True)
    sizes = [len(set(donors[codes == code])) for code in range(len(classes))]
    if len(classes) < 2 or min(sizes) < 2:
        few = ", ".join(f"{size} of '{label}'" for label, size in zip(classes, sizes, strict=True)) or "none"
        raise ScfmError(f"{where}: donors by class: {few}; a classification needs two classes of two donors each")
    return Target(name, kind, rows, donors, codes, tuple(map(str, classes)))


def _numbers(values: np.ndarray, donors: np.ndarray, where: str) -> np.ndarray:
    import pandas as pd

    numbers = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").to_numpy(np.float64)
    if not np.isfinite(numbers).all():
        raise ScfmError(
            f"{where}: '{values[~np.isfinite(numbers)][0]}' where a number is expected; correct the column, or write "
            "classification in donor_targets"
        )
    if len(set(donors)) < 2 * MIN_TEST or np.ptp(numbers) == 0:
        raise ScfmError(
            f"{where}: {len(set(donors))} donors with {len(set(numbers))} values; a regression needs "
            f"{2 * MIN_TEST} donors or more that differ"
        )
    return numbers


def donor_folds(target: Target, settings: DonorTask) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """(repeat, fold, train, test), row numbers: all samples of a donor on one side, classes spread over the folds.

    Raises:
        ScfmError: all donors of a class fell into one fold.
    """
    names, of = np.unique(target.donors, return_inverse=True)
    if target.kind == REGRESSION:
        strata, folds = np.zeros(len(names), int), min(settings.folds, len(names) // MIN_TEST)
    else:
        has = np.zeros((len(names), len(target.classes)), bool)
        has[of, target.truth] = True
        strata, folds = np.unique(has, axis=0, return_inverse=True)[1].ravel(), min(settings.folds, has.sum(0).min())
    for repeat in range(settings.repeats):
        order = np.random.default_rng([settings.seed, 2, repeat]).permutation(len(names))
        order = order[np.argsort(strata[order], kind="stable")]
        fold_of = np.empty(len(names), int)
        fold_of[order] = np.arange(len(names)) % folds
        for fold in range(folds):
            out = fold_of[of] == fold
            train, test = np.flatnonzero(~out), np.flatnonzero(out)
            assert not set(target.donors[train]) & set(target.donors[test])
            if target.kind != REGRESSION and len(set(target.truth[train])) < len(target.classes):
                raise ScfmError(f"target '{target.name}': all donors of a class are in one fold; change its seed")
            yield repeat, fold, train, test


def permuted(target: Target, rng: np.random.Generator) -> Target:
    """The target dealt out anew: among donors where each has one value, else among samples."""
    _, first, of = np.unique(target.donors, return_index=True, return_inverse=True)
    of_donor = target.truth[first]
    if (of_donor[of] == target.truth).all():
        return replace(target, truth=rng.permutation(of_donor)[of])
    return replace(target, truth=rng.permutation(target.truth))


def cross_validate(vectors: np.ndarray, target: Target, settings: DonorTask) -> list[Measurement]:
    """Every metric of every fold, then the means over all folds with their intervals.

    The metrics: of a number pearson, r2, mae; of a class auroc (one against rest, macro), accuracy, weighted_f1. With
    `mapping_` before it (without r2 and auroc) by nearest donors, with `_permuted` after it by the probe on permuted
    labels, another permutation in each repeat.

    Args:
        vectors: float64 [samples, width].
    """
    rows: list[Measurement] = []
    shares = []
    shuffled = [permuted(target, np.random.default_rng([settings.seed, 3, r])) for r in range(settings.repeats)]
    for repeat, fold, train, test in donor_folds(target, settings):
        scaled = _standardised(vectors[train], vectors[test])
        values = probe_scores(*scaled, target, train, test, settings)
        values |= _mapped(vectors[train], vectors[test], target, train, test, settings)
        control = shuffled[repeat]
        if control.kind == REGRESSION or len(set(control.truth[train])) == len(control.classes):
            found = probe_scores(*scaled, control, train, test, settings)
            values |= {f"{name}{PERMUTED}": value for name, value in found.items()}
        rows += [Measurement(name, v, len(test), target.name, f"{repeat}.{fold}") for name, v in values.items()]
        shares.append(len(test) / len(train))
    over = []
    for metric in dict.fromkeys(row.metric for row in rows):
        folds = np.array([row.value for row in rows if row.metric == metric])
        mean, low, high = interval(folds, float(np.mean(shares)), settings.interval.confidence)
        ends = RANGE.get(metric.removeprefix("mapping_").removesuffix(PERMUTED), (0, 1))
        named = {metric: mean, f"{metric}_low": np.clip(low, *ends), f"{metric}_high": np.clip(high, *ends)}
        over += [Measurement(name, float(v), len(vectors), target.name) for name, v in named.items()]
    return rows + over


def interval(folds: np.ndarray, share: float, confidence: float) -> tuple[float, float, float]:
    """Mean over the folds on which a metric is defined, and its interval by the corrected resampled t test.

    The variance of the mean is (1 / folds + test / train) times that of the folds, since their training sets overlap
    (Nadeau and Bengio 2003, Machine Learning 52, 239).

    Args:
        folds: values of all folds and repeats, NaN where not defined.
        share: test samples per training sample.
    """
    from scipy.stats import t

    known = folds[np.isfinite(folds)]
    if not len(known):
        return np.nan, np.nan, np.nan
    if len(known) < 2:
        return float(known[0]), np.nan, np.nan
    half = t.ppf((1 + confidence) / 2, len(known) - 1) * np.sqrt((1 / len(known) + share) * known.var(ddof=1))
    return float(known.mean()), float(known.mean() - half), float(known.mean() + half)


def probe_scores(
    train: np.ndarray, test: np.ndarray, target: Target, rows: np.ndarray, held: np.ndarray, settings: DonorTask
) -> dict[str, float]:
    """Metrics of a ridge or logistic regression on the held-out samples.

    Args:
        train, test: standardised vectors, float64 [samples, width]. rows, held: their row numbers in the target.
    """
    if target.kind == REGRESSION:
        weights, offset = ridge(train, target.truth[rows], settings.penalties)
        return regression_scores(target.truth[held], test @ weights + offset)
    chances = logistic(train, target.truth[rows], test, settings.iterations)
    return classification_scores(target.truth[held], chances)


def ridge(vectors: np.ndarray, truth: np.ndarray, penalties: tuple[float, ...]) -> tuple[np.ndarray, float]:
    """Weights [width] and offset of a ridge regression in closed form, the offset not penalised.

    Of several penalties that with the least squared leave-one-out error, r / (1 - h) with residual r and leverage h.

    Args:
        vectors: float64 [samples, width], columns with mean 0.
        truth: float64 [samples].
    """
    left, sizes, right = np.linalg.svd(vectors, full_matrices=False)
    offset = truth.mean()
    along = left.T @ (truth - offset)
    errors = []
    for penalty in penalties:
        shrunk = sizes**2 / (sizes**2 + penalty)
        leverage = 1 / len(truth) + left**2 @ shrunk
        errors.append(np.mean(((truth - offset - left @ (shrunk * along)) / np.maximum(1 - leverage, 1e-12)) ** 2))
    best = penalties[int(np.argmin(errors))]
    return right.T @ (sizes / (sizes**2 + best) * along), float(offset)


def logistic(vectors: np.ndarray, codes: np.ndarray, test: np.ndarray, iterations: int) -> np.ndarray:
    """Probabilities [test samples, classes] of a logistic regression with classes weighted by 1 / their size."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the limit is a setting
        model = LogisticRegression(class_weight="balanced", max_iter=iterations).fit(vectors, codes)
    return model.predict_proba(test)


def nearest(train: np.ndarray, test: np.ndarray, neighbors: int) -> np.ndarray:
    """Row numbers of the nearest training vectors, int [test, neighbors], by cosine around the training mean."""
    around = train.mean(0)
    similar = _unit(test - around) @ _unit(train - around).T
    return np.argsort(-similar, axis=1, kind="stable")[:, :neighbors]


def _mapped(
    train: np.ndarray, test: np.ndarray, target: Target, rows: np.ndarray, held: np.ndarray, settings: DonorTask
) -> dict[str, float]:
    """Metrics of the mean, or the commonest class, of the nearest training samples; of a tie the nearer class."""
    near = target.truth[rows][nearest(train, test, settings.neighbors)]
    if target.kind == REGRESSION:
        values = regression_scores(target.truth[held], near.mean(1))
        return {f"mapping_{name}": values[name] for name in ("pearson", "mae")}
    weights = 1 + 1e-6 * np.arange(near.shape[1], 0, -1)
    votes = ((near[..., None] == np.arange(len(target.classes))) * weights[:, None]).sum(1)
    values = classification_scores(target.truth[held], votes)
    return {f"mapping_{name}": values[name] for name in ("accuracy", "weighted_f1")}


def regression_scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """pearson (NaN where one side is constant), r2 around the mean of `truth`, mae; of float64 [samples]."""
    around, off = truth - truth.mean(), predicted - predicted.mean()
    product = np.sqrt((around**2).sum() * (off**2).sum())
    error = truth - predicted
    return {
        "pearson": float(around @ off / product) if product > 0 else np.nan,
        "r2": float(1 - error @ error / (around @ around)) if around.any() else np.nan,
        "mae": float(np.abs(error).mean()),
    }


def classification_scores(truth: np.ndarray, chances: np.ndarray) -> dict[str, float]:
    """auroc (macro over classes that some samples have and some have not; NaN without one), accuracy, weighted_f1.

    Args:
        truth: int [samples], columns of `chances` [samples, classes].
    """
    from sklearn.metrics import f1_score, roc_auc_score

    predicted = chances.argmax(1)
    partly = [code for code in range(chances.shape[1]) if 0 < (truth == code).sum() < len(truth)]
    each = [roc_auc_score(truth == code, chances[:, code]) for code in partly]
    return {
        "auroc": float(np.mean(each)) if each else np.nan,
        "accuracy": float(np.mean(predicted == truth)),
        "weighted_f1": float(f1_score(truth, predicted, average="weighted", zero_division=0)),
    }


def _standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with the mean and standard deviation of the training side; constant columns become 0 there."""
    mean, sd = train.mean(0), train.std(0)
    sd = np.where(sd > 1e-12 * np.maximum(np.abs(mean), 1), sd, 1)
    return (train - mean) / sd, (test - mean) / sd


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
