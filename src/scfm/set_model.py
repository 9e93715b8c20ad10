"""A trained model of a system that reads sets of cells: its vectors depend on which cells are read together."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.matching import match
from scfm.model import Model
from scfm.models.grouping import deal, group_codes

if TYPE_CHECKING:
    import torch
    from anndata import AnnData

    from scfm.models.cells import Cells

SEED = (0,)
"""Of the deal of a group's cells into sets."""


class SetModel(Model):
    """Embeds cells together with those of their group."""

    def embed(
        self,
        adata: "AnnData",
        pooling: str | Sequence[str] | None = None,
        values: str = "counts",
        batch_cells: int = 4096,
        group_key: str | Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Cell embeddings by pooling name, float32 [cells, width].

        Args:
            adata: genes named as `find` knows them, all cells in memory. Numbers `x` and `y` in obs, or the first two
                columns of `obsm["spatial"]`, are coordinates, where the system knows positions.
            pooling: names among `poolings`; all of them if None.
            values: what `adata.X` holds: `counts`, `tpm` (linear) or `lognorm` (natural log of 1 + linear).
            batch_cells: most cells at once, but at least a set.
            group_key: columns of obs whose cells are read together, e.g. a sample; None for those of the training
                that obs has, and all cells as one group without any. Groups larger than a set are dealt into several.

        Raises:
            ScfmError: as `Model.embed`; no such column.
        """
        names = self.poolings if pooling is None else (pooling,) if isinstance(pooling, str) else tuple(pooling)
        self.must_offer(names)
        import torch

        tables: dict[str, np.ndarray] = {}
        with torch.inference_mode():
            for rows, cells, measured in self.batches(adata, values, batch_cells, group_key):
                with self.autocast():
                    view = self.network.view(cells.to(self.device), measured.to(self.device), None, "embed")
                    vectors = self.network.embed(view)
                for name in names:
                    part = vectors[name].float().cpu().numpy()
                    tables.setdefault(name, np.empty((adata.n_obs, part.shape[1]), np.float32))[rows] = part
        return {name: tables[name] for name in names}

    def batches(
        self, adata: "AnnData", values: str, batch_cells: int, group_key: str | Sequence[str] | None
    ) -> "Iterator[tuple[np.ndarray, Cells, torch.Tensor]]":
        """Row numbers, cells with the label `set`, and bool [1, genes] the genes that are there; whole sets at a time.

        Raises:
            ScfmError: as `embed`.
        """
        import torch

        from scfm.models.cells import ragged

        index, sets = self.find(adata.var_names), self.network.settings.sets
        counts = match(adata, index, self.genes, values)
        measured = torch.from_numpy(np.isin(np.arange(len(self.gene_table)), index))[None]
        order, number = deal(np.arange(adata.n_obs), groups_of(adata.obs, sets.by, group_key), sets.cells, SEED)
        places = coordinates(adata)
        edges = np.flatnonzero(np.diff(number, prepend=-1, append=number[-1] + 1))
        start = 0
        while start < len(edges) - 1:
            fitting = int(np.searchsorted(edges, edges[start] + batch_cells, "right")) - 1
            stop = max(fitting, start + 1)
            rows = order[edges[start] : edges[stop]]
            own = number[edges[start] : edges[stop]] - number[edges[start]]
            cells = ragged(counts[rows], {name: place[rows] for name, place in places.items()} | {"set": own})
            cells.dataset = torch.full_like(cells.dataset, -1)
            yield rows, cells, measured
            start = stop


def groups_of(obs: pd.DataFrame, by: Sequence[str], key: str | Sequence[str] | None) -> np.ndarray:
    """int64 [cells], the group of each cell.

    Raises:
        ScfmError: no such column.
    """
    columns = [key] if isinstance(key, str) else list(key or ())
    for name in columns:
        if name not in obs:
            raise ScfmError(f"obs: there is no column '{name}' (group_key); choose among {', '.join(map(str, obs))}")
    known = columns or [name for name in by if name in obs or f"{name}_id" in obs]
    return group_codes(obs, known) if known else np.zeros(len(obs), np.int64)


def coordinates(adata: "AnnData") -> dict[str, np.ndarray]:
    """`x` and `y`, float32 [cells], of obs or of `obsm["spatial"]`; nothing where there are none."""
    if {"x", "y"} <= set(adata.obs):
        return {name: adata.obs[name].to_numpy(np.float32) for name in ("x", "y")}
    if "spatial" in adata.obsm:
        table = np.asarray(adata.obsm["spatial"], np.float32)
        return {"x": table[:, 0].copy(), "y": table[:, 1].copy()}
    return {}
