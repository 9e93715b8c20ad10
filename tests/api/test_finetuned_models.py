"""Fine-tuned models: what learns, what stays, and that annotate reads the directory."""

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

import scfm
from scfm.errors import ScfmError
from scfm.finetuning.parts import Parts, merge, restrict

QUICK = {"epochs": 6, "batch_cells": 4, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def model(toy_model):
    return scfm.load(toy_model, "cpu")


@pytest.fixture
def labelled(toy_adata):
    """Labels of one's own, as categories, some missing."""
    toy_adata.obs["state"] = toy_adata.obs["type"].map({"alpha": "on", "beta": "off"}).astype("category")
    toy_adata.obs.loc[toy_adata.obs_names[:3], "state"] = np.nan
    return toy_adata


@pytest.mark.parametrize("trainable", ["all", "last", "lora", "head"])
def test_new_labels_are_learnt_by_what_may_learn(model, labelled, tmp_path, trainable):
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    options = {"trainable": trainable, "training": QUICK, "verbose": False}
    tuned = scfm.finetune(labelled, model, "state", tmp_path / "m", **options)
    scfm.annotate(labelled, tmp_path / "m", verbose=False)
    known = labelled.obs["state"].notna()
    assert (labelled.obs["scfm_name"][known] == labelled.obs["state"][known].astype(str)).mean() > 0.9
    assert (labelled.obs["scfm_lineage"] == labelled.obs["scfm_name"]).all()
    after = tuned.network.state_dict()
    genes = "embedding.gene.weight"  # the new head's CLS begins as a copy of the first
    moved = {genes} if not torch.equal(before[genes][:40], after[genes][:40]) else set()
    moved |= {name for name in before if name.startswith("encoder.") and not torch.equal(before[name], after[name])}
    matrices = {name for name in moved if before[name].ndim > 1}
    blocks = {name for name in before if name.startswith("encoder.blocks.") and before[name].ndim > 1}
    assert matrices - {genes} == (blocks if trainable != "head" else set())
    assert (genes in moved) == (trainable == "all")
    assert (moved == matrices) == (trainable in ("head", "lora"))  # norms learn under the others
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.network.state_dict().items())
    assert not any("parametrizations" in name for name in after)
    assert tuned.about["finetuned"]["parts"]["trainable"] == trainable


def test_low_rank_changes_begin_as_none_and_have_that_rank(toy_model):
    network = scfm.load(toy_model, "cpu").network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    restrict(network, Parts(trainable="lora", rank=2), seed=0)
    assert torch.equal(network.encoder.blocks[0].qkv.weight, before["encoder.blocks.0.qkv.weight"])
    learning = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    assert all("label_heads" in name or name.endswith((".up", ".down")) for name in learning)
    for name, parameter in network.named_parameters():
        if name.endswith(".up"):
            torch.nn.init.normal_(parameter)
    merge(network)
    after = network.state_dict()
    assert after.keys() == before.keys()
    for name, tensor in after.items():
        rank = np.linalg.matrix_rank((tensor - before[name]).detach().numpy(), tol=1e-4) if tensor.ndim > 1 else 0
        assert rank == (2 if name.startswith("encoder.blocks") and tensor.ndim > 1 else 0), name
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_terms_of_the_ontology_keep_their_lineage(model, toy_adata, tmp_path):
    cells = toy_adata[toy_adata.obs["cell_type_ontology_term_id"].isin(["CL:0000003", "CL:0000004"])].copy()
    options = {"trainable": "head", "training": QUICK, "verbose": False}
    scfm.finetune(cells, model, "cell_type_ontology_term_id", tmp_path / "m", **options)
    scfm.annotate(toy_adata, tmp_path / "m", verbose=False)
    assert (toy_adata.obs["scfm_name"] == toy_adata.obs["type"]).mean() > 0.9
    assert toy_adata.obs["scfm_lineage"].str.startswith("cell > blood cell > ").all()


def test_the_directory_works_for_every_verb(model, labelled, tmp_path):
    tuned = scfm.finetune(labelled, model, "state", tmp_path / "m", training={"epochs": 1}, verbose=False)
    scfm.embed(labelled, tuned, verbose=False)
    table = scfm.explain(labelled[:8], tuned, "on", verbose=False)
    assert table.attrs["completeness"] < 0.02
    metrics = pd.read_csv(tmp_path / "m" / "metrics.csv")
    assert metrics["kept"].sum() == 1


def test_the_split_holds_out_some_of_every_label():
    from scfm.api.finetune import _held_out

    labels = np.array(["a"] * 10 + ["b"] * 2 + ["c"])
    held_out = _held_out(labels, 0.2, 0)
    assert [held_out[labels == label].sum() for label in "abc"] == [2, 1, 0]
    np.testing.assert_array_equal(held_out, _held_out(labels, 0.2, 0))


def test_bad_requests_are_sentences_and_leave_nothing(model, labelled, tmp_path):
    labelled.obs["one"], labelled.obs["none"] = "a", "unknown"
    wrong = {
        "states": ({}, "no column 'states'"),
        "one": ({}, "1 labels in the training cells"),
        "none": ({}, "no cell has a label"),
        "state": ({"trainable": "some"}, "trainable"),
    }
    for column, (options, words) in wrong.items():
        with pytest.raises(ScfmError, match=words):
            scfm.finetune(labelled, model, column, tmp_path / "m", **options)
    with pytest.raises(ScfmError, match="epoch"):
        scfm.finetune(labelled, model, "state", tmp_path / "m", training={"epoch": 1})
    assert not (tmp_path / "m").exists()
    (tmp_path / "m").mkdir()
    with pytest.raises(ScfmError, match="exists already"):
        scfm.finetune(labelled, model, "state", tmp_path / "m")


def test_backed_cells_are_read_too(model, labelled, tmp_path):
    labelled.write_h5ad(tmp_path / "x.h5ad")
    backed = anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")
    one, other = (
        scfm.finetune(cells, model, "state", tmp_path / name, training={"epochs": 1}, verbose=False)
        for name, cells in (("memory", labelled), ("backed", backed))
    )
    weights = other.network.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in one.network.state_dict().items())
