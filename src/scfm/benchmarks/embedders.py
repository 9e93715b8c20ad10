"""Everything that turns cells into vectors: trained models, the PCA baseline, and vectors made elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from scfm.benchmarks.settings import Pca
from scfm.deposit import read_h5ad
from scfm.errors import ScfmError
from scfm.files import must_exist

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

TARGET_SUM = 1e4


class Embedder(Protocol):
    """What a task may ask of a model: one vector a cell, in one or more poolings."""

    poolings: Sequence[str]

    def embed(self, adata: "AnnData", *, values: str) -> dict[str, np.ndarray]:
        """Pooling to float32 [cells, width]; `values` says what X holds: counts, tpm or lognorm."""
        ...


def open_embedder(model: str, pca: Pca, device: str = "auto") -> Embedder:
    """`pca`, a model directory, or an h5ad with precomputed vectors in obsm.

    Args:
        device: where a model directory runs, as in `scfm.load`.

    Raises:
        ScfmError: nothing of that name; what `scfm.load` raises.
    """
    if model == "pca":
        return PcaEmbedder(pca)
    path = must_exist(Path(model), "model directory or file of embeddings")
    if path.is_file():
        return Precomputed.read(path)
    import scfm

    return scfm.load(path, device)


@dataclass(frozen=True)
class PcaEmbedder:
    """Principal components of log-normalised highly variable genes, fit on the dataset itself."""

    settings: Pca
    poolings: Sequence[str] = ("pca",)

    def embed(self, adata: "AnnData", *, values: str) -> dict[str, np.ndarray]:
        """Pooling "pca" to float32 [cells, components]; columns fewer than asked for on small data.

        Raises:
            ScfmError: fewer than two cells or two genes with any variation.
        """
        import scanpy

        data = _log_normalised(adata, values)
        genes, cells = data.n_vars, data.n_obs
        components = min(self.settings.components, genes - 1, cells - 1)
        if components < 1:
            raise ScfmError(
                f"dataset '{adata.uns['scfm']['name']}': {cells} cells with {genes} expressed genes have no principal "
                "component; expected two of each or more"
            )
        if genes > self.settings.genes:
            scanpy.pp.highly_variable_genes(data, n_top_genes=self.settings.genes)
            data = data[:, data.var["highly_variable"]].copy()
            components = min(components, data.n_vars - 1)
        vectors = scanpy.pp.pca(data.X, n_comps=components, svd_solver="arpack", random_state=self.settings.seed)
        return {"pca": np.asarray(vectors, dtype=np.float32)}


def _log_normalised(adata: "AnnData", values: str) -> "AnnData":
    """A copy with log1p of values scaled to 10,000 a cell, or as it is if `values` is lognorm; expressed genes only."""
    import scanpy

    expressed = np.asarray((adata.X > 0).sum(0)).ravel() > 0
    data = adata[:, expressed].copy()
    if values != "lognorm":
        scanpy.pp.normalize_total(data, target_sum=TARGET_SUM)
        scanpy.pp.log1p(data)
    return data


@dataclass(frozen=True)
class Precomputed:
    """Vectors made elsewhere, found by the cells' names."""

    path: Path
    tables: dict[str, np.ndarray]
    cells: "pd.Index"
    """Names of the rows, unique."""

    @classmethod
    def read(cls, path: Path) -> "Precomputed":
        """Read every obsm of an h5ad.

        Raises:
            ScfmError: the file is unreadable or holds no obsm, or a cell name occurs twice.
        """
        adata = read_h5ad(path, "file of embeddings")
        if not len(adata.obsm):
            raise ScfmError(f"{path}: no embedding in obsm; expected one array [cells, width] for each pooling")
        if not adata.obs_names.is_unique:
            raise ScfmError(f"{path}: cell names occur more than once; embeddings are found by name, make them unique")
        tables = {name: np.asarray(table, dtype=np.float32) for name, table in adata.obsm.items()}
        return cls(path, tables, adata.obs_names)

    @property
    def poolings(self) -> Sequence[str]:
        return tuple(self.tables)

    def embed(self, adata: "AnnData", *, values: str) -> dict[str, np.ndarray]:
        """Pooling to float32 [cells, width] in the order of `adata`; `values` makes no difference.

        Raises:
            ScfmError: a cell has no vector.
        """
        rows = self.cells.get_indexer(adata.obs_names)
        missing = adata.obs_names[rows < 0]
        if len(missing):
            raise ScfmError(
                f"{self.path}: no embedding for cell '{missing[0]}' of dataset '{adata.uns['scfm']['name']}' "
                f"({len(missing)} missing); the cell names of both files must agree"
            )
        return {pooling: table[rows] for pooling, table in self.tables.items()}
