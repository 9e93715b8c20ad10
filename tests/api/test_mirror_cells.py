"""Every dataset of the mirror is read as what it is, and embedded by a model that knows all protein-coding genes."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

import scfm
from scfm.errors import ScfmError
from scfm.genes import read_hgnc
from scfm.model import Model
from scfm.models.bmfm.network import Network

SHEET = pd.read_csv(Path(__file__).parents[2] / "config/datasets.tsv", sep="\t", keep_default_na=False)
DATASETS = SHEET[~SHEET["resource"].str.contains(":") & (SHEET["resource"] != "") & (SHEET["url"] == "")]
DATASETS = DATASETS.drop_duplicates("resource").set_index("resource")


@pytest.fixture(scope="module")
def model(mirror_folder, toy_run):
    """Random weights, one block, 16 wide."""
    genes = read_hgnc(mirror_folder / "annotation/hgnc_complete_set_2024-10.txt.gz")[["gene", "ensembl"]]
    settings = toy_run(trained=False)
    network = Network(settings.model, len(genes), None, seed=0).eval()
    return Model(network, genes, None, {"run": "r", "seed": 0, "settings": settings.model_dump(mode="json")}, {})


@pytest.mark.parametrize("name", [name for name in DATASETS.index if name != "pbmc68k_reduced"])
def test_what_a_dataset_holds_is_told_from_it(mirror_folder, model, name):
    adata = anndata.read_h5ad(mirror_folder / "datasets" / f"{name}.h5ad", backed="r")
    reading = {}
    if DATASETS.loc[name, "organism"] == "Mus musculus":
        with pytest.raises(ScfmError, match="written as mouse genes"):
            scfm.embed(adata[:10].to_memory(), model)
        reading["orthologs"] = mirror_folder / "annotation/mgi_HOM_MouseHumanSequence_2024-11.rpt.gz"
    some = adata[np.sort(np.random.default_rng(0).permutation(adata.n_obs)[:150])].to_memory()
    scfm.embed(some, model, verbose=False, **reading)
    facts, vectors = some.uns["X_scfm"], some.obsm["X_scfm"]
    assert facts["values"] == DATASETS.loc[name, "values"]
    assert np.isfinite(vectors).all(1).sum() == len(vectors) - facts["cells_without_known_gene"]
    assert facts["cells_without_known_gene"] < 10
    assert facts["known_share"] > 0.4
    assert (facts["genes_of"] == "human orthologs") == bool(reading)
