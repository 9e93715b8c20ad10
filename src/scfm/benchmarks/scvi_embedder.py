"""scVI as a baseline: latent variables and expected counts of a model of counts with batches, fit on each dataset."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.settings import Scvi
from scfm.errors import ScfmError

if TYPE_CHECKING:
    from anndata import AnnData
    from scvi.model import SCVI


@dataclass(frozen=True)
class ScviEmbedder:
    """Posterior means of scVI's latent variables; the batch is given to the model, as its users do.

    Source: Lopez et al. 2018, Nature Methods; scvi-tools.
    """

    settings: Scvi
    poolings: Sequence[str] = ("scvi",)

    def embed(self, adata: "AnnData", *, values: str) -> dict[str, np.ndarray]:
        """Pooling "scvi" to float32 [cells, latent].

        Raises:
            ScfmError: scvi-tools is not installed, or the dataset holds no counts.
        """
        name = adata.uns["scfm"]["name"]
        if values != "counts":
            raise ScfmError(
                f"dataset '{name}': holds {values} values, and scVI is a model of counts; score scVI on other datasets"
            )
        _must_be_there()
        model = _fit(_variable(adata, self.settings.genes), self.settings)
        return {"scvi": np.asarray(model.get_latent_representation(), dtype=np.float32)}


def expected_counts(adata: "AnnData", settings: Scvi, block: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Row numbers and expected counts, float32 [rows, genes], of scVI fit on all genes of the cells' counts.

    The mean of the decoder's negative binomial at the depth of the cell itself; genes without any count get 0.

    Raises:
        ScfmError: scvi-tools is not installed.
    """
    _must_be_there()
    data = _variable(adata, adata.n_vars)
    columns, model = adata.var_names.get_indexer(data.var_names), _fit(data, settings)
    for start in range(0, adata.n_obs, block):
        rows = np.arange(start, min(start + block, adata.n_obs))
        table = np.zeros((len(rows), adata.n_vars), np.float32)
        found = model.get_normalized_expression(indices=rows, library_size="latent", return_numpy=True, silent=True)
        table[:, columns] = found
        yield rows, table


def _must_be_there() -> None:
    if find_spec("scvi") is None:
        raise ScfmError("scvi-tools is not installed, which the baseline scVI needs; pip install '.[scvi]'")


def _variable(adata: "AnnData", number: int) -> "AnnData":
    """A copy of the counts of the highly variable genes, chosen on log-normalised values; of all if no more."""
    import anndata
    import scanpy

    data = anndata.AnnData(adata.X.copy(), obs=adata.obs[["batch"]].astype(str), var=adata.var[[]])
    scanpy.pp.filter_genes(data, min_cells=1)
    if data.n_vars > number:
        logged = data.copy()
        scanpy.pp.normalize_total(logged, target_sum=1e4)
        scanpy.pp.log1p(logged)
        scanpy.pp.highly_variable_genes(logged, n_top_genes=number)
        data = data[:, logged.var["highly_variable"]].copy()
    return data


def _fit(data: "AnnData", settings: Scvi) -> "SCVI":
    """Train on the CPU, seeded."""
    import scvi

    scvi.settings.seed = settings.seed
    scvi.model.SCVI.setup_anndata(data, batch_key="batch")
    model = scvi.model.SCVI(data, n_latent=settings.latent, n_layers=settings.layers)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    model.train(max_epochs=settings.epochs, accelerator="cpu", **quiet)
    return model
