"""Reference cells near a cell, by its visible genes or in its tissue, and what their counts say of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

from scfm.benchmarks.count_settings import Imputation

if TYPE_CHECKING:
    from anndata import AnnData

Neighbors = Callable[[np.ndarray, np.ndarray], csr_matrix]
"""Rows of cells and of reference cells to a matrix [cells, reference], 1 for each neighbour."""


def counts_of_neighbors(near: csr_matrix, counts: csr_matrix, depth: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Counts of the neighbours together, at the depth of the cell, float64 [cells, genes].

    Args:
        near: [cells, reference], 1 for each neighbour. counts: [reference, genes]. depth: float [reference], the sum of
            visible counts. own: float [cells], the same of the cells.
    """
    return (near @ counts).toarray() * (own / (near @ depth))[:, None]


def everyone(own: np.ndarray, other: np.ndarray) -> csr_matrix:
    """All reference cells, in one row that stands for every cell."""
    return csr_matrix(np.ones((1, len(other)), np.float32))


def by_genes(visible: "AnnData", settings: Imputation) -> Neighbors:
    """The nearest by principal components of visible genes, whatever their tissue.

    Raises:
        ScfmError: fewer than two cells or two genes.
    """
    from scfm.benchmarks.embedders import PcaEmbedder
    from scfm.benchmarks.settings import Pca

    vectors = PcaEmbedder(Pca(components=settings.components)).embed(visible, values="counts")["pca"]
    return lambda own, other: _nearest(vectors[own], vectors[other], settings.neighbors)


def by_place(places: np.ndarray, groups: np.ndarray, settings: Imputation) -> Neighbors:
    """The nearest in the same tissue.

    Args:
        places: float [cells, 2]. groups: int64 [cells], tissue of each; each has a reference cell for each cell.
    """

    def near(own: np.ndarray, other: np.ndarray) -> csr_matrix:
        rows, columns = [], []
        for tissue in np.unique(groups[own]):  # a few
            mine, theirs = (np.flatnonzero(groups[part] == tissue) for part in (own, other))
            found = _nearest(places[own[mine]], places[other[theirs]], settings.neighbors).tocoo()
            rows.append(mine[found.row])
            columns.append(theirs[found.col])
        rows, columns = np.concatenate(rows), np.concatenate(columns)
        return csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(own), len(other)))

    return near


def _nearest(own: np.ndarray, other: np.ndarray, number: int) -> csr_matrix:
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(number, len(other))).fit(other)
    return search.kneighbors_graph(own, mode="connectivity")
