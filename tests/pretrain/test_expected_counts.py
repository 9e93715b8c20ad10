"""Expected counts of a CellPLM model: those of its network, cell by cell and gene by gene as asked, or a refusal."""

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

from scfm.errors import ScfmError
from scfm.models.cellplm.network import Network
from scfm.models.cellplm.settings import Cellplm
from scfm.models.cells import ragged
from scfm.set_model import SetModel

GENES = 30
SETTINGS = {
    "encoder": {"layers": 1, "hidden": 16, "heads": 2, "ffn": 16, "gene_std": 0.3},
    "latent": {"width": 8, "components": 4},
    "decoder": {"hidden": 16, "bottleneck": 8},
    "sets": {"by": ["donor"], "cells": 50},
}


def model(**keys):
    network = Network(Cellplm.model_validate(SETTINGS | keys), GENES, 2, 0).eval()
    table = pd.DataFrame({"gene": [f"G{i}" for i in range(GENES)], "ensembl": ""})
    about = {"run": "r", "settings": {"system": "cellplm", "training": {"precision": "32-true"}}}
    return SetModel(network, table, None, about, {})


def cells(number=120, genes=GENES):
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"donor": np.array(["a", "b", "c"])[np.arange(number) % 3]}, [f"c{i}" for i in range(number)])
    obs["x"], obs["y"] = rng.random((2, number)) * 100
    counts = csr_matrix(rng.poisson(1.0, (number, genes)).astype(np.float32) + np.eye(1, genes, dtype=np.float32))
    return anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"G{i}" for i in range(genes)]))


def explicit(own, adata, rows, places):
    """The network's expectation of some cells as one set of an unknown dataset."""
    labels = {"set": np.zeros(len(rows), np.int64)}
    if places:
        labels |= {name: adata.obs[name].to_numpy(np.float32)[rows] for name in ("x", "y")}
    batch = ragged(csr_matrix(adata.X)[rows], labels)
    batch.dataset = torch.full_like(batch.dataset, -1)
    view = own.network.view(batch, torch.ones(1, GENES, dtype=torch.bool), None, "embed")
    with torch.no_grad():
        return own.network.expected(view).numpy()


@pytest.mark.parametrize("places", [True, False])
def test_each_group_is_read_as_a_set_of_an_unknown_dataset(places):
    own, adata = model(), cells()
    found = own.expected(adata, group_key="donor", positions=places)
    assert found.dtype == np.float32
    assert found.shape == (120, GENES)
    for donor in "abc":
        rows = np.flatnonzero(adata.obs["donor"] == donor)
        np.testing.assert_allclose(found[rows], explicit(own, adata, rows, places), rtol=1e-4, atol=1e-5)


def test_positions_matter_only_where_they_are_read():
    own, adata = model(), cells()
    moved = adata.copy()
    moved.obs["x"] = moved.obs["x"].to_numpy()[::-1].copy()
    assert not np.allclose(own.expected(adata), own.expected(moved), rtol=1e-4)
    assert np.array_equal(own.expected(adata, positions=False), own.expected(moved, positions=False))
    blind, none = model(positions=None), adata.copy()
    none.obs = none.obs[["donor"]]
    assert np.array_equal(blind.expected(adata), blind.expected(none))


def test_genes_are_those_asked_in_their_order_and_blocks_change_nothing():
    own, adata = model(), cells()
    whole = own.expected(adata)
    some = own.expected(adata, genes=["G7", "G2"])
    np.testing.assert_allclose(some, whole[:, [7, 2]], rtol=1e-5)
    np.testing.assert_allclose(own.expected(adata, batch_cells=40), whole, rtol=1e-4)
    mixed = adata.copy()
    mixed.var_names = ["unknown", *[f"G{i}" for i in range(1, GENES)]]
    assert own.expected(mixed).shape == (120, GENES - 1)


def test_what_cannot_be_predicted_is_one_sentence():
    own, adata = model(), cells()
    with pytest.raises(ScfmError, match=r"genes: the model does not know 'X' \(1 unknown\)"):
        own.expected(adata, genes=["G1", "X"])
    with pytest.raises(ScfmError, match="no column 'section'"):
        own.expected(adata, group_key="section")
    empty = adata.copy()
    empty.X = csr_matrix((120, GENES), dtype=np.float32)
    with pytest.raises(ScfmError, match="no known gene is expressed"):
        own.expected(empty)
