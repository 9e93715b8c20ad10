"""Everything that turns cells into vectors: trained models, files of vectors made elsewhere, and the PCA baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from scfm.benchmarks.precomputed import Precomputed
from scfm.benchmarks.scvi_embedder import ScviEmbedder
from scfm.benchmarks.settings import Pca, Scvi
from scfm.embeddings import Vectors
from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.settings import parse

if TYPE_CHECKING:
    from anndata import AnnData

TARGET_SUM = 1e4


class Embedder(Protocol):
    """What a task may ask of a model: one vector a cell, in one or more poolings."""

    poolings: Sequence[str]

    def embed(self, adata: "AnnData", *, values: str) -> dict[str, np.ndarray]:
        """Pooling to float32 [cells, width]; `values` says what X holds: counts, tpm or lognorm."""
        ...


def open_embedder(model: str, settings: str | dict = "{}", device: str = "auto") -> Embedder:
    """`pca`, `scvi`, a model directory, or a file of precomputed vectors.

    Args:
        settings: mapping, or JSON text, of `Pca`, `Scvi` or `Vectors`; a model directory has its own.
        device: where a model directory runs, as in `scfm.load`.

    Raises:
        ScfmError: nothing of that name, or wrong settings; what `Precomputed.read` and `scfm.load` raise.
    """
    if model == "pca":
        return PcaEmbedder(parse(Pca, settings, "--settings"))
    if model == "scvi":
        return ScviEmbedder(parse(Scvi, settings, "--settings"))
    path = must_exist(Path(model), "model directory or file of embeddings")
    if path.is_file():
        return Precomputed.read(path, parse(Vectors, settings, "--settings"))
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

        data = log_normalised(adata, values)
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


def log_normalised(adata: "AnnData", values: str) -> "AnnData":
    """A copy with log1p of values scaled to 10,000 a cell, or as it is if `values` is lognorm; expressed genes only."""
    import scanpy

    expressed = np.asarray((adata.X > 0).sum(0)).ravel() > 0
    data = adata[:, expressed].copy()
    if values != "lognorm":
        scanpy.pp.normalize_total(data, target_sum=TARGET_SUM)
        scanpy.pp.log1p(data)
    return data
