"""Differential expression of a perturbation against the controls: Mann-Whitney U, Benjamini-Hochberg, fold changes.

Definitions of cell-eval 0.8 (pdex 0.3 with epsilon 0), on log-normalised values.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.perturbation.cells import CONTROL

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Profile:
    """What the metrics read of the cells of one background."""

    perturbations: np.ndarray
    """Strings [P], sorted, the control left out."""
    means: np.ndarray
    """Pseudobulks: mean log-normalised expression, float64 [P, genes]."""
    control: np.ndarray
    """The same of the controls, float64 [genes]."""
    fdr: np.ndarray
    """Adjusted p values against the controls, float64 [P, genes]."""
    log_fold: np.ndarray
    """log2 fold changes against the controls, float64 [P, genes]; infinite where one side has none of a gene."""

    @property
    def deltas(self) -> np.ndarray:
        """Effects on the pseudobulk, float64 [P, genes]."""
        return self.means - self.control


def profile(expression: "csr_matrix", perturbation: np.ndarray) -> Profile:
    """Pseudobulks and tests of all perturbations of one background against its controls.

    Args:
        expression: log-normalised [cells, genes].
        perturbation: strings [cells], `CONTROL` among them.

    Raises:
        ScfmError: no control, no perturbed cell, or a group of a single cell.
    """
    names, codes, sizes = np.unique(perturbation.astype(str), return_inverse=True, return_counts=True)
    if CONTROL not in names or len(names) < 2:
        raise ScfmError(
            f"perturbation data: {', '.join(names)}: expected perturbed cells and controls to compare them with"
        )
    if sizes.min() < 2:
        raise ScfmError(f"perturbation '{names[sizes.argmin()]}': one cell where two are needed; give more cells")
    by_group = [expression[np.flatnonzero(codes == code)] for code in range(len(names))]
    means = np.stack([np.asarray(cells.astype(np.float64).mean(0)).ravel() for cells in by_group])
    place = int(np.flatnonzero(names == CONTROL)[0])
    others = np.flatnonzero(names != CONTROL)
    fdr = [benjamini_hochberg(rank_sum_test(by_group[i], by_group[place])) for i in others]
    log_fold = log2_fold_change(means[others], means[place])
    return Profile(names[others], means[others], means[place], np.stack(fdr), log_fold)


def rank_sum_test(perturbed: "csr_matrix", control: "csr_matrix") -> np.ndarray:
    """Two-sided p values [genes] of the Mann-Whitney U test: normal approximation, corrected for ties and continuity.

    Values above 0 of all genes are sorted at once, and the zeros, which are tied below them, only counted; so time and
    memory go with what is expressed.

    Args:
        perturbed, control: [cells, genes], non-negative. A gene without any value has p = 1.
    """
    from scipy.sparse import vstack
    from scipy.stats import norm

    n, m = perturbed.shape[0], control.shape[0]
    both = vstack([perturbed, control]).tocsc()
    both.eliminate_zeros()
    stored = np.diff(both.indptr)
    genes, zeros = len(stored), (n + m - stored).astype(np.float64)
    gene = np.repeat(np.arange(genes), stored)
    order = np.lexsort((both.data, gene))
    values, treated = both.data[order], both.indices[order] < n
    first = np.flatnonzero(np.diff(values, prepend=np.nan).astype(bool) | (np.diff(gene, prepend=-1) > 0))
    size = np.diff(np.append(first, len(values))).astype(np.float64)
    rank = zeros[gene[first]] + first - both.indptr[gene[first]] + (size + 1) / 2
    sums = np.bincount(gene, np.repeat(rank, size.astype(np.int64)) * treated, genes)
    sums += (n - np.bincount(gene, treated, genes)) * (zeros + 1) / 2
    ties = np.bincount(gene[first], size**3 - size, genes) + zeros**3 - zeros
    spread = np.sqrt(n * m / 12 * ((n + m + 1) - ties / ((n + m) * (n + m - 1))))
    distance = np.abs(sums - n * (n + 1) / 2 - n * m / 2) - 0.5
    z = np.divide(distance, spread, out=np.full(genes, -np.inf), where=spread > 0)
    return np.minimum(2 * norm.sf(z), 1)


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """p values [genes] adjusted for the false discovery rate (Benjamini & Hochberg 1995), monotone in p."""
    order = np.argsort(p)[::-1]
    scaled = p[order] * len(p) / np.arange(len(p), 0, -1)
    out = np.empty_like(p)
    out[order] = np.minimum(np.minimum.accumulate(scaled), 1)
    return out


def log2_fold_change(perturbed: np.ndarray, control: np.ndarray) -> np.ndarray:
    """log2 of the ratio of back-transformed means, expm1 of mean log1p; 0 where both are 0.

    Args:
        perturbed: [..., genes]. control: [genes].
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log2(np.expm1(perturbed) / np.expm1(control))
    return np.where((perturbed == 0) & (control == 0), 0.0, ratio)
