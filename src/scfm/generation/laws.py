"""Laws of single genes, pairs of genes and depths: generated against real cells."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

LEAST_SHARE = 0.01
"""Share of the real cells that express a gene whose correlations are compared."""


def correlation(one: np.ndarray, other: np.ndarray, ranks: bool = False) -> float:
    """Pearson's, or with `ranks` Spearman's; NaN where a side is constant."""
    from scipy.stats import rankdata

    if ranks:
        one, other = rankdata(one), rankdata(other)
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def mean_of_genes(table: "csr_matrix") -> np.ndarray:
    """float64 [genes]."""
    return np.asarray(table.astype(np.float64).mean(0)).ravel()


def pair_correlations(real: "csr_matrix", made: "csr_matrix", most: int) -> tuple[float, float]:
    """Pearson's r between the correlations of all pairs of genes on both sides, and the slope of made on real.

    Args:
        real, made: log-normalised [cells, genes].
        most: genes that are compared, those that vary most in the real cells among the expressed ones. A gene that is
            constant in the made cells is taken as uncorrelated.
    """
    from scipy.stats import linregress

    mean, square = mean_of_genes(real), mean_of_genes(real.multiply(real).tocsr())
    expressed = mean_of_genes((real > 0).tocsr()) >= LEAST_SHARE
    variance = np.where(expressed, square - mean**2, -1)
    genes = np.sort(np.argsort(-variance, kind="stable")[: min(most, int((variance > 0).sum()))])
    pairs = np.triu_indices(len(genes), 1)
    a, b = (_correlations(table[:, genes].toarray())[pairs] for table in (real, made))
    if len(a) < 2 or np.ptp(a) == 0:
        return float("nan"), float("nan")
    return correlation(a, b), float(linregress(a, b).slope)


def wasserstein(real: "csr_matrix", made: "csr_matrix") -> float:
    """Mean over genes of the 1-Wasserstein distance of their values on both sides.

    The distance is the area between the quantile functions; both are steps, read between all their edges.
    """
    n, m = real.shape[0], made.shape[0]
    edges = np.union1d(np.arange(n + 1) / n, np.arange(m + 1) / m)
    width, middle = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    rows = [np.minimum((middle * size).astype(np.int64), size - 1) for size in (n, m)]
    total, block = 0.0, 256
    for start in range(0, real.shape[1], block):
        a, b = (np.sort(table[:, start : start + block].toarray(), axis=0) for table in (real, made))
        total += float((np.abs(a[rows[0]] - b[rows[1]]) * width[:, None]).sum())
    return total / real.shape[1]


def depth_spread(real: np.ndarray, made: np.ndarray) -> float:
    """Standard deviation of the log of counts per cell, made over real; cells [n] and [m] of totals above 0."""
    return float(np.log(made).std() / np.log(real).std())


def _correlations(table: np.ndarray) -> np.ndarray:
    """float64 [genes, genes], 0 where one is constant."""
    centred = table.astype(np.float64) - table.mean(0, dtype=np.float64)
    length = np.linalg.norm(centred, axis=0)
    scaled = np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-9)
    return scaled.T @ scaled
