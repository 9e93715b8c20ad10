"""Metrics of predicted against real perturbed cells, one value for each perturbation of a background.

Definitions of the Virtual Cell Challenge 2025 (Roohani et al. 2025, Cell) as cell-eval 0.8 computes them. d is the
effect on the pseudobulk, perturbed minus control, each side with its own controls; S the genes with a real false
discovery rate below alpha, and n their number.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.perturbation.cells import partners
from scfm.perturbation.differential import Profile

if TYPE_CHECKING:
    import pandas as pd

Metric = Callable[[np.ndarray, np.ndarray], float]
HIGHER = ("pds", "des", "pearson_delta", "spearman_lfc", "auprc", "direction", "recall")
"""Metrics of which 1 is best."""
LOWER = ("mae", "mae_delta")
"""Metrics of which 0 is best."""
METRICS = (*HIGHER, *LOWER)
COUNTS = ("significant", "predicted_significant")
"""Numbers of significant genes, real and predicted: they are compared over perturbations."""
ROUNDING = 1e-7
"""Standard deviation below which effects, of float32 cells, are equal but for rounding."""
LEAST_FDR = 1e-10
"""Adjusted p values below it count as it in the ranking behind auprc."""


def compare(real: Profile, predicted: Profile, genes: np.ndarray, alpha: float = 0.05) -> "pd.DataFrame":
    """All metrics of one background.

    Args:
        genes: names [genes], by which the targets of genetic perturbations are found and left out of pds.

    Returns:
        Index perturbation, columns `METRICS` and `COUNTS`. mae: mean over genes of |predicted - real pseudobulk|, and
        mae_delta of the effects. pearson_delta: correlation of the effects over genes, 0 where the predicted effect is
        constant. pds: 1 - r/P, r the number of perturbations whose real effect is nearer (L1) to the predicted one, a
        tie for half; NaN with a single perturbation. des: share of S among the n genes with the largest predicted
        |log2 fold change| of those predicted significant; 0 if S is empty. Over S: spearman_lfc of the fold changes,
        0 where the predicted ones are constant, direction (share of equal signs) and recall (share predicted
        significant); auprc: average precision of S by the predicted adjusted p values. These are NaN if S is empty,
        spearman_lfc if S has one gene, auprc if S is all genes.

    Raises:
        ScfmError: the perturbations or the numbers of genes differ.
    """
    import pandas as pd

    if real.means.shape != predicted.means.shape or (real.perturbations != predicted.perturbations).any():
        raise ScfmError(
            "predicted and real cells are not of the same perturbations and genes; predict what is asked for"
        )
    hits, found = real.fdr < alpha, predicted.fdr < alpha
    d, guess = real.deltas, predicted.deltas
    columns = {
        "pds": discrimination(d, guess, real.perturbations, genes),
        "des": overlap(hits, found, predicted.log_fold),
        "pearson_delta": row_correlation(guess, d),
        "spearman_lfc": _over_hits(_spearman, hits, predicted.log_fold, real.log_fold),
        "auprc": _over_all(_average_precision, hits, -np.log10(np.clip(predicted.fdr, LEAST_FDR, 1))),
        "direction": _over_hits(_same_sign, hits, predicted.log_fold, real.log_fold),
        "recall": _ratio((hits & found).sum(1), hits.sum(1)),
        "mae": np.abs(predicted.means - real.means).mean(1),
        "mae_delta": np.abs(guess - d).mean(1),
        "significant": hits.sum(1),
        "predicted_significant": found.sum(1),
    }
    return pd.DataFrame(columns, index=pd.Index(real.perturbations, name="perturbation"))


def discrimination(d: np.ndarray, guess: np.ndarray, perturbations: np.ndarray, genes: np.ndarray) -> np.ndarray:
    """Perturbation discrimination score [P] of real and predicted effects [P, genes]; see `compare`."""
    from scipy.spatial.distance import cdist

    if len(d) < 2:
        return np.full(len(d), np.nan)
    distances = cdist(guess, d, "cityblock")
    place = {gene: column for column, gene in enumerate(genes)}
    # The targets of a perturbation are left out of its own row of distances.
    for row, name in enumerate(perturbations):
        own = [place[gene] for gene in partners(name) if gene in place]
        distances[row] -= np.abs(guess[row, own] - d[:, own]).sum(1)
    mine = np.diag(distances)[:, None]
    # Differences below rounding are ties.
    tied = np.isclose(distances, mine, rtol=1e-12, atol=1e-12)
    rank = ((distances < mine) & ~tied).sum(1) + (tied.sum(1) - 1) / 2
    return 1 - rank / len(d)


def overlap(hits: np.ndarray, found: np.ndarray, log_fold: np.ndarray) -> np.ndarray:
    """Differential expression score [P] of bool [P, genes] and predicted fold changes [P, genes]; see `compare`."""
    strength = np.where(found, np.abs(log_fold), -1.0)
    rank = np.argsort(np.argsort(-strength, axis=1, kind="stable"), axis=1, kind="stable")
    kept = found & (rank < hits.sum(1, keepdims=True))
    return (kept & hits).sum(1) / np.maximum(hits.sum(1), 1)


def row_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation [rows] of the rows of two arrays; 0 where `a` is constant, NaN where `b` is."""
    a, b = (values - values.mean(1, keepdims=True) for values in (a, b))
    spread_a, spread_b = (np.sqrt((values**2).mean(1)) for values in (a, b))
    varies = (spread_a > ROUNDING) & (spread_b > ROUNDING)
    product = np.divide((a * b).mean(1), spread_a * spread_b, out=np.zeros(len(a)), where=varies)
    return np.where(spread_b > ROUNDING, product, np.nan)


def effect_number_spearman(significant: np.ndarray, predicted: np.ndarray) -> float:
    """Spearman over perturbations of the numbers of significant genes, real and predicted, where there are real ones.

    NaN for fewer than two perturbations or equal real numbers; 0 for equal predicted numbers.
    """
    with_hits = significant > 0
    return _spearman(predicted[with_hits].astype(float), significant[with_hits].astype(float))


def _over_hits(metric: Metric, hits: np.ndarray, predicted: np.ndarray, real: np.ndarray) -> np.ndarray:
    """A metric of (predicted, real) on the significant genes of each perturbation; NaN if there are none."""
    rows = zip(hits, predicted, real, strict=True)
    return np.array([metric(a[own], b[own]) if own.any() else np.nan for own, a, b in rows])


def _over_all(metric: Metric, hits: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """A metric of (labels, scores) for each perturbation; NaN if labels are all equal."""
    rows = zip(hits, scores, strict=True)
    return np.array([metric(own, score) if 0 < own.sum() < len(own) else np.nan for own, score in rows])


def _spearman(predicted: np.ndarray, real: np.ndarray) -> float:
    from scipy.stats import rankdata

    if len(real) < 2:
        return np.nan
    return float(row_correlation(rankdata(predicted)[None], rankdata(real)[None])[0])


def _same_sign(predicted: np.ndarray, real: np.ndarray) -> float:
    return float((np.sign(predicted) == np.sign(real)).mean())


def _average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
