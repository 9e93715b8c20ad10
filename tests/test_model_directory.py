"""A model directory: what is written, what loading checks, and embeddings that depend on the cell alone."""

import json
import shutil

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

from scfm.errors import ScfmError
from scfm.model import load
from scfm.model_directory import write_model
from scfm.models.bmfm import batches
from scfm.models.bmfm.network import Network
from scfm.ontology import LabelTree, Ontology


@pytest.fixture(scope="module")
def model(toy_model):
    return load(toy_model, "cpu")


@pytest.fixture
def damaged(toy_model, tmp_path):
    """A copy of the model directory to spoil."""
    return shutil.copytree(toy_model, tmp_path / "model")


def without(adata, cells, genes):
    """The same cells with no count at some cells and genes."""
    counts = adata.X.toarray()
    counts[cells, genes] = 0
    changed = adata.copy()
    changed.X = csr_matrix(counts)
    return changed


def same(one, other, names=None):
    assert one.keys() == other.keys()
    for name in names or one:
        np.testing.assert_allclose(one[name], other[name], atol=3e-5, rtol=1e-4)


def test_a_loaded_model_is_the_network_that_was_written(toy_run, toy_obo, tmp_path):
    settings = toy_run(heads=True)
    tree = LabelTree.prune(Ontology.read(toy_obo), ["CL:0000003", "CL:0000005"])
    network = Network(settings.model, 7, torch.from_numpy(tree.membership), seed=5)
    genes = pd.DataFrame({"gene": list("abcdefg"), "ensembl": [f"ENSG{i}" for i in range(7)]})
    about = {"run": "toy", "seed": 5, "settings": settings.model_dump(mode="json")}
    write_model(
        tmp_path / "m", network, about, genes, tree, pd.DataFrame({"epoch": [1]}), pd.DataFrame({"gene": ["a"]})
    )
    loaded = load(tmp_path / "m", "cpu")
    written = network.state_dict()
    assert written.keys() == loaded.network.state_dict().keys()
    assert all(torch.equal(tensor, written[name]) for name, tensor in loaded.network.state_dict().items())
    assert loaded.network.settings == settings.model
    assert not loaded.network.training
    assert loaded.tree == tree
    assert (loaded.genes, loaded.ensembl) == (genes["gene"].tolist(), genes["ensembl"].tolist())
    assert loaded.about == about
    assert loaded.poolings == ("cls", "cls_0", "mean", "concat_cls")


def test_nothing_in_the_directory_can_carry_code(toy_model):
    assert {path.suffix for path in toy_model.iterdir()} == {".safetensors", ".json", ".parquet", ".csv"}
    for path in toy_model.iterdir():
        content = path.read_bytes()
        assert content[:1] != b"\x80", path  # how a pickle begins
        assert content[:2] != b"PK", path  # how a zip begins, PyTorch's own format


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "genes.parquet", "labels.json"])
def test_a_missing_or_damaged_file_is_a_sentence(damaged, name):
    path = damaged / name
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ScfmError, match="damaged") as error:
        load(damaged)
    assert "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(ScfmError, match=f"{name}: part of a model directory not found"):
        load(damaged)


def test_weights_of_another_configuration_are_refused(damaged):
    about = json.loads((damaged / "config.json").read_text())
    about["settings"]["model"]["encoder"]["layers"] = 2
    (damaged / "config.json").write_text(json.dumps(about))
    with pytest.raises(ScfmError, match=r"weights do not fit config\.json"):
        load(damaged)
    about["settings"]["model"]["encoder"]["layrs"] = 2
    (damaged / "config.json").write_text(json.dumps(about))
    with pytest.raises(ScfmError, match=r"unknown key 'encoder\.layrs'"):
        load(damaged)


def test_all_poolings_come_from_one_pass(model, toy_adata):
    together = model.embed(toy_adata)
    assert tuple(together) == model.poolings
    assert all(table.dtype == np.float32 for table in together.values())
    assert {name: table.shape for name, table in together.items()} == {
        name: (40, 32 if name == "concat_cls" else 16) for name in model.poolings
    }
    assert np.array_equal(together["concat_cls"], np.hstack([together["cls"], together["cls_0"]]))
    same(model.embed(toy_adata, "mean"), {"mean": together["mean"]})
    # Without the mean, the last block works for these tokens alone.
    chosen = ["cls_0", "concat_cls", "cls"]
    same(model.embed(toy_adata, chosen), {name: together[name] for name in chosen})


def test_batch_size_does_not_matter(model, toy_adata, monkeypatch):
    together = model.embed(toy_adata)
    for size in (1, 7, 1000):
        same(model.embed(toy_adata, batch_cells=size), together)
    monkeypatch.setattr(batches, "MOST_TOKENS", 50)
    same(model.embed(toy_adata), together)


def test_a_gpu_embeds_in_the_precision_of_training(model, toy_adata, monkeypatch):
    assert (model.precision("cuda"), model.precision("cpu")) == ("32-true", "32-true")
    monkeypatch.setitem(model.about["settings"]["training"], "precision", "bf16-mixed")
    assert (model.precision("cuda"), model.precision("cpu")) == ("bf16-mixed", "32-true")
    single, chances = model.embed(toy_adata), model.node_probabilities(toy_adata)
    monkeypatch.setattr(model, "precision", lambda device: "bf16-mixed")
    for name, half in model.embed(toy_adata).items():
        assert half.dtype == np.float32
        assert 0 < np.abs(half - single[name]).max() < 0.05 * np.abs(single[name]).max()
    np.testing.assert_allclose(model.node_probabilities(toy_adata), chances, atol=0.02)


def test_the_precision_that_is_asked_for(toy_model, toy_adata):
    single = load(toy_model, "cpu").embed(toy_adata)["cls"]
    half = load(toy_model, "cpu", "bf16-mixed").embed(toy_adata)["cls"]
    assert 0 < np.abs(half - single).max() < 0.05 * np.abs(single).max()
    with pytest.raises(ScfmError, match="precision: 'bf16' is not known; choose 32-true, bf16-mixed, 16-mixed"):
        load(toy_model, "cpu", "bf16")


def test_batches_keep_like_lengths_together_within_both_limits(monkeypatch):
    monkeypatch.setattr(batches, "MOST_TOKENS", 10)
    genes = np.array([9, 2, 40, 3, 3, 1, 30])
    # Lengths 1, 2, 3, 3 together, which are 9 tokens; then 9; then cells above the limit, which are 12 each.
    found = [rows.tolist() for rows in batches.batches(genes, 12, 100)]
    assert found == [[5, 1, 3, 4], [0], [6], [2]]
    assert [rows.tolist() for rows in batches.batches(genes, 5, 100)] == [[5, 1, 3, 4], [0, 6], [2]]
    assert [rows.tolist() for rows in batches.batches(genes, 12, 3)] == [[5, 1, 3], [4], [0], [6], [2]]


def test_neither_the_order_of_cells_nor_of_genes_matters(model, toy_adata):
    rng = np.random.default_rng(0)
    cells, genes = rng.permutation(40), rng.permutation(40)
    moved = model.embed(toy_adata[cells, genes].copy())
    same(moved, {name: table[cells] for name, table in model.embed(toy_adata).items()})


def test_symbols_and_ensembl_ids_name_the_same_genes(model, toy_adata):
    expected = model.embed(toy_adata)
    ids = [f"ENSG{i:011d}" for i in range(40)]
    mixed = [name if i % 2 else f"G{i}" for i, name in enumerate(ids)]
    for names in (ids, [f"{name}.{i + 1}" for i, name in enumerate(ids)], mixed):
        renamed = toy_adata.copy()
        renamed.var_names = names
        same(model.embed(renamed), expected)
    assert model.find(["G3", "ENSG00000000003.7", "G3.1", "", "nan", "ENSG9"]).tolist() == [3, 3, -1, -1, -1, -1]


def test_unknown_genes_change_nothing_and_any_subset_will_do(model, toy_adata):
    expected = model.embed(toy_adata)
    strange = anndata.AnnData(csr_matrix(np.full((40, 3), 9, np.float32)), toy_adata.obs)
    strange.var_names = ["A", "B", "C"]
    same(model.embed(anndata.concat([toy_adata, strange], axis=1, merge="same")), expected)
    same(model.embed(toy_adata[:, :25].copy()), model.embed(without(toy_adata, slice(None), slice(25, None))))


def test_counts_tpm_and_log_normalised_values_of_a_cell_agree(model, toy_adata):
    expected = model.embed(toy_adata)
    counts = toy_adata.X.toarray()
    linear = counts / counts.sum(1, keepdims=True)
    tpm, lognorm, dense = (toy_adata.copy() for _ in range(3))
    tpm.X, lognorm.X, dense.X = csr_matrix(linear * 1e6), csr_matrix(np.log1p(linear * 1e4)), counts
    same(model.embed(tpm, values="tpm"), expected)
    same(model.embed(lognorm, values="lognorm"), expected)
    same(model.embed(dense), expected)
    before = lognorm.X.copy()
    model.embed(lognorm, values="lognorm")
    assert (before != lognorm.X).nnz == 0  # the input is left as it was


def refuse(call, *words):
    with pytest.raises(ScfmError) as error:
        call()
    text = str(error.value)
    assert "\n" not in text
    assert all(word in text for word in words), text


def test_bad_cells_are_a_sentence(model, toy_adata):
    refuse(lambda: model.embed(toy_adata, "clss"), "pooling: 'clss'", "cls, cls_0, mean")
    refuse(lambda: model.embed(toy_adata, values="raw"), "values: 'raw'", "counts, tpm, lognorm")
    refuse(lambda: model.embed(toy_adata[:0].copy()), "no cell")
    refuse(lambda: model.embed(without(toy_adata, [4, 9], slice(None))), "cell 'cell4' and 1 more", "no known gene")
    named = toy_adata.copy()
    named.var_names = [f"Gnai{i}" for i in range(40)]
    refuse(lambda: model.embed(named), "none of 40 genes", "Gnai0", "Ensembl")
    refuse(lambda: model.embed(toy_adata[:, :0].copy()), "none of 0 genes")


@pytest.mark.parametrize("name", ["G0", "ENSG00000000000.3"])
def test_one_gene_twice_is_a_sentence(model, toy_adata, name):
    twice = toy_adata.copy()
    twice.var_names = ["G0", name, *toy_adata.var_names[2:]]
    refuse(lambda: model.embed(twice), f"'G0' and '{name}' are both gene 'G0'", "1 of 40")
    refuse(lambda: model.node_probabilities(twice), "both gene 'G0'")
    unknown = toy_adata.copy()
    unknown.var_names = ["other", "other", *toy_adata.var_names[2:]]
    assert len(model.embed(unknown, "cls")["cls"]) == 40  # of no concern to the model


def test_cells_without_a_matrix_are_a_sentence(model, toy_adata):
    bare = anndata.AnnData(obs=toy_adata.obs, var=toy_adata.var)
    refuse(lambda: model.embed(bare), "X: the cells have no expression matrix")


@pytest.mark.parametrize(("device", "message"), [("gpu", "none is visible"), ("tpu", "'tpu' is not known")])
def test_a_device_that_is_not_there_is_a_sentence(toy_model, monkeypatch, device, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refuse(lambda: load(toy_model, device), "device", message)


def test_values_that_are_not_what_was_said_are_a_sentence(model, toy_adata):
    scaled, logged, missing = (toy_adata.copy() for _ in range(3))
    scaled.X = toy_adata.X.toarray() - 1
    logged.X = toy_adata.X.log1p()
    missing.X = toy_adata.X.toarray()
    missing.X[0, 0] = np.nan
    for values in ("counts", "tpm", "lognorm"):
        refuse(lambda values=values: model.embed(scaled, values=values), "negative", values)
        refuse(lambda values=values: model.embed(missing, values=values), "missing", values)
    refuse(lambda: model.embed(logged), "not a count", "lognorm")
    many = toy_adata.copy()
    many.X = many.X * 100
    refuse(lambda: model.embed(many, values="lognorm"), "no log-normalised value", "counts or tpm")


def test_label_probabilities_need_a_label_head(model, toy_plain_model, toy_adata):
    plain = load(toy_plain_model, "cpu")
    assert plain.tree is None
    assert plain.poolings == ("cls", "mean")
    refuse(lambda: plain.node_probabilities(toy_adata), "run 'toy_plain'", "no label head")
    probabilities = model.node_probabilities(toy_adata, batch_cells=7)
    assert probabilities.shape == (40, len(model.tree.leaves))
    np.testing.assert_allclose(probabilities, model.node_probabilities(toy_adata), atol=1e-5)
