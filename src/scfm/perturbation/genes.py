"""The genes in which perturbed cells are compared, where not all are."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData


def most_variable(adata: "AnnData", number: int) -> np.ndarray:
    """bool [genes]: those of the largest variance of analytic Pearson residuals (Lause et al. 2021), over all cells.

    They say in what is scored, for the baselines as for the models, so cells that are held out count too.

    Args:
        adata: X counts [cells, genes]; cells without any are not read.
        number: of genes; all of them where there are no more.
    """
    import anndata
    import scanpy
    from scipy.sparse import csr_matrix

    if number >= adata.n_vars:
        return np.ones(adata.n_vars, dtype=bool)
    counts = csr_matrix(adata.X, dtype=np.float32)
    counts = counts[np.asarray(counts.sum(1)).ravel() > 0]
    found = np.asarray(counts.sum(0)).ravel() > 0
    table = scanpy.experimental.pp.highly_variable_genes(
        anndata.AnnData(counts[:, found]), n_top_genes=min(number, int(found.sum())), inplace=False
    )
    out = np.zeros(adata.n_vars, dtype=bool)
    out[found] = table["highly_variable"].to_numpy()
    return out
