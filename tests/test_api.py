import anndata
import numpy as np
import pytest

import scfm
from scfm.errors import ScfmError


def test_embed_writes_vectors_and_says_where_they_come_from(toy_model, toy_adata):
    model = scfm.load(toy_model, "cpu")
    toy_adata.var_names = ["alien", "ENSG00000000001.2", *toy_adata.var_names[2:]]
    returned = scfm.embed(toy_adata, model, "mean", key_added="X_mean")
    assert returned is toy_adata
    np.testing.assert_array_equal(toy_adata.obsm["X_mean"], model.embed(toy_adata, "mean")["mean"])
    assert toy_adata.uns["X_mean"] == {
        "run": "toy_hce",
        "seed": 0,
        "matrix": "X",
        "values": "counts",
        "values_sign": "whole numbers",
        "genes_known": 39,
        "genes_given": 40,
        "known_share": 0.975,
        "names": "symbols and Ensembl ids",
        "genes_of": "human",
        "cells_without_known_gene": 0,
        "pooling": "mean",
    }


def test_a_model_may_be_given_by_its_directory(toy_model, toy_adata):
    by_path = scfm.embed(toy_adata.copy(), str(toy_model)).obsm["X_scfm"]
    by_model = scfm.embed(toy_adata, scfm.load(toy_model)).obsm["X_scfm"]
    np.testing.assert_array_equal(by_path, by_model)


@pytest.mark.parametrize("decode", ["leaf", "greedy"])
def test_annotate_names_the_planted_types(toy_model, toy_adata, decode):
    scfm.annotate(toy_adata, toy_model, decode=decode)
    obs = toy_adata.obs
    assert (obs["scfm_name"] == obs["type"]).mean() > 0.95
    ids = obs["scfm_name"].map({"alpha": "CL:0000003", "beta": "CL:0000004"})
    np.testing.assert_array_equal(obs["scfm_id"], ids)
    np.testing.assert_array_equal(obs["scfm_lineage"], "cell > blood cell > " + obs["scfm_name"].astype(str))
    leaves = scfm.load(toy_model).node_probabilities(toy_adata)
    np.testing.assert_allclose(obs["scfm_probability"], leaves.max(1), rtol=1e-5)  # two leaves: both ways agree
    assert toy_adata.uns["scfm"]["decode"] == decode


def test_what_annotate_writes_survives_a_file(toy_model, toy_adata, tmp_path):
    scfm.annotate(scfm.embed(toy_adata, toy_model), toy_model, key_added="type_by_scfm").write_h5ad(tmp_path / "x.h5ad")
    read = anndata.read_h5ad(tmp_path / "x.h5ad")
    assert read.obs["type_by_scfm_id"].astype(str).tolist() == toy_adata.obs["type_by_scfm_id"].tolist()
    assert read.uns["X_scfm"]["pooling"] == "cls"
    np.testing.assert_array_equal(read.obsm["X_scfm"], toy_adata.obsm["X_scfm"])


def test_bad_requests_are_sentences(toy_model, toy_plain_model, toy_adata, tmp_path):
    with pytest.raises(ScfmError, match="decode: 'best' is not known"):
        scfm.annotate(toy_adata, toy_model, decode="best")
    with pytest.raises(ScfmError, match="no label head"):
        scfm.annotate(toy_adata, toy_plain_model)
    with pytest.raises(ScfmError, match="pooling: 'cls_1'"):
        scfm.embed(toy_adata, toy_model, "cls_1")
    with pytest.raises(ScfmError, match="not found"):
        scfm.embed(toy_adata, tmp_path / "nothing")
    assert "X_scfm" not in toy_adata.obsm
    assert not any(column.startswith("scfm") for column in toy_adata.obs)


def test_only_the_public_names_are_there():
    assert all(callable(getattr(scfm, name)) for name in scfm.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = scfm.nothing
