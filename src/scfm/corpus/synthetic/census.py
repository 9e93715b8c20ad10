"""Draw the synthetic census and write it down."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack

from scfm.corpus.settings import Synthetic
from scfm.corpus.synthetic import HOLDOUT, corpus_names
from scfm.corpus.synthetic.annotation import non_coding, write_annotation
from scfm.corpus.synthetic.cells import cell_table, cell_types
from scfm.corpus.synthetic.counts import draw_counts
from scfm.corpus.synthetic.genes import DATA, gene_table
from scfm.corpus.synthetic.tissue import PLACES
from scfm.files import whole
from scfm.ontology import Ontology

INCOMPLETE = 2
"""Number of the dataset that misses genes and reports others under previous symbols; there is none among two."""
MISSED = 0.1
"""Share of the background genes that it does not measure."""


def write_census(settings: Synthetic, out: Path) -> dict:
    """Write `<dataset>.h5ad` for each dataset and the held-out one, `annotation/` and `truth.parquet`.

    Returns:
        Counts for a summary line: cells, genes, datasets, holdout.

    Raises:
        ScfmError: too few genes for the planted programs, or the folder cannot be written.
    """
    genes, types, cells = gene_table(settings), cell_types(settings), cell_table(settings)
    counts = draw_counts(cells, types, genes, settings)
    missed = _missed(genes, settings)
    with whole(out) as folder:
        folder.mkdir()
        write_annotation(genes, folder / "annotation")
        for name in [*corpus_names(settings), HOLDOUT]:
            rows = np.flatnonzero(cells["dataset_id"] == name)
            var = genes if name != _incomplete(settings) else _old_names(genes)[~missed]
            adata = _deposit(cells.iloc[rows], counts[rows][:, var.index.to_numpy()], var, types, settings)
            adata.write_h5ad(folder / f"{name}.h5ad")
        _truth(cells, genes, counts, missed, settings).to_parquet(folder / "truth.parquet", index=False)
    return {
        "cells": settings.cells,
        "genes": len(genes),
        "datasets": settings.datasets,
        "holdout": settings.holdout_cells,
    }


def _incomplete(settings: Synthetic) -> str | None:
    return corpus_names(settings)[INCOMPLETE] if settings.datasets > INCOMPLETE else None


def _missed(genes: pd.DataFrame, settings: Synthetic) -> np.ndarray:
    """Bool [genes]: not measured by the incomplete dataset."""
    draw = np.random.default_rng([settings.seed, 6]).random(len(genes))
    return ((genes["planted"] == "background") & (genes["role"] == "plain")).to_numpy() & (draw < MISSED)


def _old_names(genes: pd.DataFrame) -> pd.DataFrame:
    """The genes under their first previous symbol where they have one, without Ensembl ids."""
    previous = genes["previous"].str.split("|").str[0]
    return genes.assign(gene=previous.where(previous != "", genes["gene"]), ensembl="")


def _deposit(
    cells: pd.DataFrame, counts: csr_matrix, genes: pd.DataFrame, types: pd.DataFrame, settings: Synthetic
) -> anndata.AnnData:
    """One dataset as it would be deposited, with some non-coding genes at the end."""
    names = Ontology.read(DATA / "cell_ontology.obo").names
    ids = cells["cell_type_ontology_term_id"]
    obs = cells[["donor_id", "batch", "tissue", "assay", "sex", "cell_type_ontology_term_id"]].assign(
        tissue_general=cells["tissue"],
        cell_type=ids.map(names).fillna("unknown"),
        condition="none",
        disease=cells.get("disease", "normal"),
        planted_type=types["id"].to_numpy()[cells["type"]],
    )
    if "age" in cells:
        obs["age"] = cells["age"]
    dataset = cells["dataset_id"].iloc[0]
    obs.index = [f"{dataset}_{i}" for i in range(len(cells))]
    rng = np.random.default_rng([settings.seed, 7, int(cells.index[0])])
    other = csr_matrix(rng.poisson(0.3 * cells["depth"].to_numpy()[:, None], (len(cells), len(non_coding()))))
    var = pd.DataFrame({"ensembl": [*genes["ensembl"], *[""] * other.shape[1]]}, index=[*genes["gene"], *non_coding()])
    places = {"spatial": cells[list(PLACES)].to_numpy()} if settings.tissue else None
    if settings.tissue:
        obs["planted_layer"] = cells["layer"].to_numpy()
    return anndata.AnnData(csr_matrix(hstack([counts, other]), dtype=np.float32), obs=obs, var=var, obsm=places)


def _truth(
    cells: pd.DataFrame, genes: pd.DataFrame, counts: csr_matrix, missed: np.ndarray, settings: Synthetic
) -> pd.DataFrame:
    """What was planted, and the zero fraction that came out over the good corpus cells that measured the gene."""
    good = ((cells["state"] == "good") & (cells["dataset_id"] != HOLDOUT)).to_numpy()
    blind = good & (cells["dataset_id"] == _incomplete(settings)).to_numpy()
    n = good.sum() - blind.sum() * missed
    nonzero = counts[good].getnnz(axis=0) - counts[blind].getnnz(axis=0) * missed
    return genes[["gene", "ensembl", "planted", "role", "pair", "latent", "target"]].assign(
        zero_fraction=1 - nonzero / n
    )
