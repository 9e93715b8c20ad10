"""A trained model of a system that reads sets of cells: what it says depends on which cells are read together."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.matching import match
from scfm.model import Model
from scfm.models.grouping import deal, group_codes

if TYPE_CHECKING:
    import torch
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    from scfm.models.cells import Cells

SEED = (0,)
"""Of the deal of a group's cells into sets."""


class Sample(NamedTuple):
    """What a network of sets reads of cells, before they are dealt into sets."""

    counts: "csr_matrix"
    """[cells, vocabulary], linear values."""
    measured: "torch.Tensor"
    """bool [1, vocabulary], genes that are there."""
    groups: np.ndarray
    """int64 [cells], the group of each."""
    places: dict[str, np.ndarray]
    """`x` and `y`, float32 [cells] each, or nothing."""


class SetModel(Model):
    """Embeds cells together with those of their group, and says what counts it expects of them."""

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

    def expected(
        self,
        adata: "AnnData",
        values: str = "counts",
        group_key: str | Sequence[str] | None = None,
        positions: bool = True,
        genes: Sequence[str] | None = None,
        batch_cells: int = 1024,
    ) -> np.ndarray:
        """Expected counts, float32 [cells, genes], on the linear scale of the input; of lognorm values before the log.

        A gene that is 0 in the input is predicted from the other genes and cells, as if it had not been measured. The
        dataset is one that the training did not know, which the settings say how to take.

        Args:
            adata, values, batch_cells, group_key: as `embed`.
            positions: whether coordinates are read, where there are some.
            genes: names as `find` knows them; None for the columns of `adata` that the model knows, in their order.

        Raises:
            ScfmError: as `embed`; the system gives no expected counts; a gene that the model does not know.
        """
        index = self.gene_index(adata.var_names if genes is None else genes, every=genes is not None)
        table = np.empty((adata.n_obs, len(index)), np.float32)
        for rows, block in self.expected_blocks(adata, index, values, group_key, positions, batch_cells):
            table[rows] = block
        return table

    def gene_index(self, names: Sequence[str], every: bool) -> np.ndarray:
        """int64 [known], genes of the vocabulary that are named, in their order.

        Raises:
            ScfmError: with `every`, one is not known.
        """
        index = self.find(names)
        if every and (index < 0).any():
            unknown = [name for name, place in zip(names, index, strict=True) if place < 0]
            raise ScfmError(f"genes: the model does not know '{unknown[0]}' ({len(unknown):,} unknown); leave them out")
        return index[index >= 0]

    def expected_blocks(
        self,
        adata: "AnnData",
        genes: np.ndarray,
        values: str = "counts",
        group_key: str | Sequence[str] | None = None,
        positions: bool = True,
        batch_cells: int = 1024,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Row numbers and expected counts, float32 [rows, genes], whole sets at a time, so that no table is whole.

        Args:
            genes: int64, of the vocabulary. Others: as `expected`.

        Raises:
            ScfmError: as `expected`.
        """
        self.must_expect_counts("expected")
        import torch

        wanted = torch.from_numpy(genes).to(self.device)
        for rows, cells, measured in self.batches(adata, values, batch_cells, group_key, positions):
            with torch.inference_mode(), self.autocast():
                view = self.network.view(cells.to(self.device), measured.to(self.device), None, "embed")
                block = self.network.expected(view, wanted).float().cpu().numpy()
            yield rows, block

    def batches(
        self,
        adata: "AnnData",
        values: str,
        batch_cells: int,
        group_key: str | Sequence[str] | None,
        positions: bool = True,
    ) -> "Iterator[tuple[np.ndarray, Cells, torch.Tensor]]":
        """Row numbers, cells with the label `set`, and bool [1, genes] the genes that are there; whole sets at a time.

        Raises:
            ScfmError: as `embed`.
        """
        yield from self.dealt(self.sample(adata, values, group_key, positions), batch_cells)

    def sample(
        self, adata: "AnnData", values: str, group_key: str | Sequence[str] | None = None, positions: bool = True
    ) -> Sample:
        """What the network reads of cells.

        Raises:
            ScfmError: as `embed`.
        """
        import torch

        index = self.find(adata.var_names)
        counts = match(adata, index, self.genes, values)
        measured = torch.from_numpy(np.isin(np.arange(len(self.gene_table)), index))[None]
        groups = groups_of(adata.obs, self.network.settings.sets.by, group_key)
        return Sample(counts, measured, groups, coordinates(adata) if positions else {})

    def dealt(
        self, sample: Sample, batch_cells: int, seed: tuple[int, ...] = SEED
    ) -> "Iterator[tuple[np.ndarray, Cells, torch.Tensor]]":
        """As `batches`, of a sample that was read; `seed` is that of the deal of its groups into sets."""
        import torch

        from scfm.models.cells import ragged

        most = self.network.settings.sets.cells
        order, number = deal(np.arange(sample.counts.shape[0]), sample.groups, most, seed)
        edges = np.flatnonzero(np.diff(number, prepend=-1, append=number[-1] + 1))
        start = 0
        while start < len(edges) - 1:
            fitting = int(np.searchsorted(edges, edges[start] + batch_cells, "right")) - 1
            stop = max(fitting, start + 1)
            rows = order[edges[start] : edges[stop]]
            own = number[edges[start] : edges[stop]] - number[edges[start]]
            places = {name: place[rows] for name, place in sample.places.items()}
            cells = ragged(sample.counts[rows], places | {"set": own})
            cells.dataset = torch.full_like(cells.dataset, -1)
            yield rows, cells, sample.measured
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
