"""A trained model of a system that turns the cell vectors of a donor into one vector."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.model import Model

if TYPE_CHECKING:
    from anndata import AnnData

    from scfm.models.cells import Cells


class DonorModel(Model):
    """Embeds donors, given the vectors of their cells."""

    def embed(self, *args, **keys) -> NoReturn:
        """There are no vectors of cells.

        Raises:
            ScfmError: always.
        """
        raise ScfmError(f"run '{self.about['run']}': it embeds donors, not cells; see embed_donors")

    def embed_donors(
        self, adata: "AnnData", donor_key: str | Sequence[str], vectors: str, batch_donors: int = 16
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Vectors of donors, float32 [donors, width], and the table of their names, sorted.

        Args:
            donor_key: columns of obs that tell donors, or samples, apart.
            vectors: key of obsm with the cell vectors, of the kind that the model was trained on.
            batch_donors: donors at once, which changes memory alone.

        Raises:
            ScfmError: no such column or key, or vectors of another width or with NaN.
        """
        names, where = donor_table(adata, donor_key)
        cells = self._cells_of(adata, vectors)
        parts = [
            self._read(cells, where, range(start, min(start + batch_donors, len(names))), "embed")
            for start in range(0, len(names), batch_donors)
        ]
        return names, np.concatenate(parts)

    def importance(self, adata: "AnnData", donor_key: str | Sequence[str], vectors: str) -> np.ndarray:
        """Share of the donor vector's attention that each cell receives, float32 [cells]; NaN for cells not drawn.

        Raises:
            ScfmError: as `embed_donors`.
        """
        names, where = donor_table(adata, donor_key)
        cells, shares = self._cells_of(adata, vectors), np.empty(adata.n_obs, np.float32)
        for donor in range(len(names)):
            shares[where == donor] = self._read(cells, where, range(donor, donor + 1), "importance")
        return shares

    def _cells_of(self, adata: "AnnData", vectors: str) -> np.ndarray:
        if vectors not in adata.obsm:
            raise ScfmError(f"obsm: there is no '{vectors}'; choose among {', '.join(adata.obsm) or 'none'}")
        return np.asarray(adata.obsm[vectors], np.float32)

    def _read(self, vectors: np.ndarray, where: np.ndarray, donors: range, what: str) -> np.ndarray:
        import torch

        rows = np.flatnonzero((where >= donors.start) & (where < donors.stop))
        rows = rows[np.argsort(where[rows], kind="stable")]
        with torch.inference_mode(), self.autocast():
            view = self.network.view(
                _cells(vectors[rows], where[rows] - donors.start).to(self.device), None, None, "embed"
            )
            found = self.network.embed(view)["donor"] if what == "embed" else self.network.importance(view)
        return found.float().cpu().numpy()


def donor_table(adata: "AnnData", key: str | Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Names of the donors, sorted, one row each, and the row of each cell, int64 [cells].

    Raises:
        ScfmError: no such column, or a cell without donor.
    """
    columns = [key] if isinstance(key, str) else list(key)
    for name in columns:
        if name not in adata.obs:
            raise ScfmError(
                f"obs: there is no column '{name}' of donors; choose among {', '.join(map(str, adata.obs))}"
            )
        if adata.obs[name].isna().any():
            raise ScfmError(f"obs: '{name}' is missing for some cells; name the donor of each, or leave these out")
    grouped = adata.obs[columns].astype(str).groupby(columns, sort=True, observed=True)
    where = grouped.ngroup().to_numpy(np.int64)
    return grouped.size().reset_index(name="cells"), where


def _cells(vectors: np.ndarray, which: np.ndarray) -> "Cells":
    import torch

    from scfm.models.cells import Cells

    nothing = torch.zeros(0, dtype=torch.int64)
    labels = {"vector": torch.from_numpy(np.ascontiguousarray(vectors)), "set": torch.from_numpy(which)}
    return Cells(
        nothing, nothing.float(), torch.zeros(len(vectors), dtype=torch.int64), torch.zeros_like(labels["set"]), labels
    )
