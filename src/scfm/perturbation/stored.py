"""Perturbed or reference cells that stay in their file until they are asked for, in the genes of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


BLOCK = 4096
"""Cells looked at together."""


@dataclass(frozen=True)
class Stored:
    """Cells of one file."""

    what: str
    """What they are, for messages: screen or reference."""
    cells: "AnnData"
    """Of the file, its matrix not read."""
    obs: "pd.DataFrame"
    """perturbation and background of every cell, in the common form."""
    genes: tuple[str, ...]
    """Of the model."""
    columns: np.ndarray
    """Column of the file of each of them, int64; -1 where it holds none."""
    alive: np.ndarray
    """bool [cells]: whether a cell has a count in any of them; no other is read."""

    @property
    def empty(self) -> int:
        """Cells without a count in the model's genes."""
        return int((~self.alive).sum())

    @property
    def missing(self) -> int:
        """Genes of the model that the file does not hold."""
        return int((self.columns < 0).sum())

    def rows(self, perturbation: str, background: str | None = None) -> np.ndarray:
        """Row numbers of the cells under a perturbation, in one background if named: int64, ascending."""
        own = self.alive & (self.obs["perturbation"] == perturbation).to_numpy()
        if background is not None:
            own &= (self.obs["background"] == background).to_numpy()
        return np.flatnonzero(own)

    def read(self, rows: np.ndarray) -> "AnnData":
        """Some cells, genes in the order of the model's and 0 where the file holds none.

        Args:
            rows: int64, ascending.

        Returns:
            AnnData: X CSR float32 [rows, genes], values as in the file; uns as in the file.
        """
        import anndata
        import pandas as pd
        from scipy.sparse import csr_matrix

        here = np.flatnonzero(self.columns >= 0)
        found = csr_matrix(self.cells.X[rows], dtype=np.float32)[:, self.columns[here]]
        matrix = csr_matrix((found.data, here[found.indices], found.indptr), shape=(len(rows), len(self.genes)))
        matrix.sort_indices()
        var = pd.DataFrame(index=list(self.genes))
        return anndata.AnnData(matrix, obs=self.obs.iloc[rows].copy(), var=var, uns=dict(self.cells.uns))


def stored(cells: "AnnData", obs: "pd.DataFrame", genes: Sequence[str], least: float, what: str) -> Stored:
    """Cells of an open file, which is read once, a block of cells at a time, for those without a count.

    Args:
        obs: of each cell perturbation and background. genes: of the model. least: share of them that must be there.

    Raises:
        ScfmError: fewer of the genes are there, or one of them twice.
    """
    if not cells.var_names.is_unique:
        twice = cells.var_names[cells.var_names.duplicated()][0]
        raise ScfmError(f"{what}: gene '{twice}' occurs more than once; prepare the file again")
    columns = cells.var_names.get_indexer(list(genes))
    there = int((columns >= 0).sum())
    if there < least * len(genes):
        raise ScfmError(
            f"{what}: {there} of the model's {len(genes)} genes are there, where {least:.0%} are needed; give cells of "
            "the same genes, or lower min_genes"
        )
    return Stored(what, cells, obs, tuple(genes), columns, _alive(cells, columns[columns >= 0]))


def _alive(cells: "AnnData", columns: np.ndarray) -> np.ndarray:
    """bool [cells]: whether a cell has a value in any of the columns."""
    parts = (cells.X[start : start + BLOCK][:, columns] for start in range(0, cells.n_obs, BLOCK))
    return np.concatenate([np.asarray(abs(part).sum(1)).ravel() > 0 for part in parts])
