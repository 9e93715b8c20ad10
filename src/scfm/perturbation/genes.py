"""The genes in which perturbed cells are compared, where not all are."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData

OVERDISPERSION = 0.01
"""1/θ of the null model (Lause et al. 2021)."""
CHUNK = 1000
"""Cells whose residuals are held at once."""


def most_variable(adata: "AnnData", number: int) -> np.ndarray:
    """bool [genes]: those of the largest variance of analytic Pearson residuals, over all cells.

    (x - μ) / √(μ + μ²/θ), clipped at ±√cells, with μ the cell's depth times the gene's share of all counts (Lause et
    al. 2021). They say in what is scored, for the baselines as for the models, so cells that are held out count too.

    Args:
        adata: X counts [cells, genes]; cells without any are not read.
        number: of genes; all of them where there are no more.
    """
    from scipy.sparse import csr_matrix

    if number >= adata.n_vars:
        return np.ones(adata.n_vars, dtype=bool)
    counts = csr_matrix(adata.X, dtype=np.float64)
    depth, total = np.asarray(counts.sum(1)).ravel(), np.asarray(counts.sum(0)).ravel()
    rows = np.flatnonzero(depth > 0)
    share, clip = total / max(total.sum(), 1), len(rows) ** 0.5
    first, second = np.zeros(adata.n_vars), np.zeros(adata.n_vars)
    for part in np.split(rows, range(CHUNK, len(rows), CHUNK)):
        mean = depth[part, None] * share
        scale = np.sqrt(np.maximum(mean + OVERDISPERSION * mean**2, np.finfo(float).tiny))
        residual = ((counts[part].toarray() - mean) / scale).clip(-clip, clip)
        first += residual.sum(0)
        second += (residual**2).sum(0)
    variance = second - first**2 / max(len(rows), 1)
    out = np.zeros(adata.n_vars, dtype=bool)
    out[np.argsort(-variance, kind="stable")[:number]] = True
    return out
