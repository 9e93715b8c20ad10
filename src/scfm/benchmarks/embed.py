"""Embed all datasets of a study with one model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.embedders import Embedder
from scfm.benchmarks.read import read_prepared
from scfm.benchmarks.seen import mark_seen
from scfm.datasets import TARGET, UNKNOWN
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

OBS = ["dataset", "cell_type", "cell_type_ontology_term_id", "batch", "donor", "split", "contaminated"]
SOME_HAVE = ("drug", "mechanism", "sample")
"""Columns that datasets of perturbed cells or of samples have, as those of donor targets; "unknown" for the cells of
others."""


def embed(
    embedder: Embedder, paths: Sequence[Path], run: str, seed: int, seen: "pd.DataFrame | None" = None
) -> "AnnData":
    """Vectors of every cell of every prepared dataset, in the order given.

    Args:
        seen: what `scfm.benchmarks.contamination.contamination` returns, to mark datasets that the run has seen.

    Returns:
        AnnData without X: obs `OBS` and, if a dataset has them, `SOME_HAVE` and `target_<column>` (strings,
        contaminated bool), cell names `<dataset>/<cell>`; obsm one float32 [cells, width] for each pooling, columns
        that a dataset does not have filled with NaN; uns run, seed, and datasets (name -> uns["scfm"] of the prepared
        dataset).

    Raises:
        ScfmError: what `read_prepared` and `mark_seen` raise; two files of one dataset; another number of vectors
            than of cells.
    """
    import anndata
    import pandas as pd

    observations, tables, facts = [], [], {}
    for path in paths:
        adata = read_prepared(path)
        name = str(adata.uns["scfm"]["name"])
        if name in facts:
            raise ScfmError(f"{path}: dataset '{name}' is given twice; give each dataset once")
        if seen is not None:
            mark_seen(adata, seen, run)
        vectors = embedder.embed(adata, values=str(adata.uns["scfm"]["values"]))
        wrong = {pooling: table.shape for pooling, table in vectors.items() if len(table) != adata.n_obs}
        if wrong:
            raise ScfmError(f"run '{run}': embedding {wrong} of dataset '{name}' does not fit its {adata.n_obs} cells")
        facts[name] = dict(adata.uns["scfm"])
        tables.append(vectors)
        own = [*OBS, *(name for name in adata.obs if name in SOME_HAVE or name.startswith(TARGET))]
        observations.append(adata.obs[own].set_index(name + "/" + adata.obs_names.astype(str)))
    obs = pd.concat(observations)
    text = [column for column in obs if column != "contaminated"]
    obs[text] = obs[text].astype(object).fillna(UNKNOWN).astype(str)
    obsm = {pooling: _stacked([table[pooling] for table in tables]) for pooling in tables[0]}
    return anndata.AnnData(obs=obs, obsm=obsm, uns={"run": run, "seed": seed, "datasets": facts})


def _stacked(tables: list[np.ndarray]) -> np.ndarray:
    """float32 [all cells, widest], narrower tables filled up with NaN."""
    width = max(table.shape[1] for table in tables)
    return np.concatenate(
        [
            np.pad(table.astype(np.float32), ((0, 0), (0, width - table.shape[1])), constant_values=np.nan)
            for table in tables
        ]
    )
