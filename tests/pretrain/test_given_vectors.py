"""A training that reads gene vectors from a file: its checkpoint minds them, and its model does without the file."""

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from scfm.errors import ScfmError
from scfm.model import load
from scfm.pretrain.train import train

GIVEN = ["G3", "G0", "G21"]


@pytest.fixture
def run(toy_run, toy_shards, tmp_path):
    """Function that trains on vectors drawn from a seed, and gives the model directory."""

    def trained(name, seed=0, precision="32-true", **keys):
        vectors = np.random.default_rng(seed).normal(size=(3, 5))
        table = pd.DataFrame(vectors, columns=list("abcde")).assign(gene=GIVEN)
        table.to_csv(tmp_path / "v.csv", index=False)
        inputs = {"gene_vectors": {"file": str(tmp_path / "v.csv"), **keys}}
        settings = toy_run(inputs=inputs, precision=precision, epochs=1)
        train(settings, "toy/0", 0, toy_shards, None, tmp_path / "work", tmp_path / name, 0)
        return tmp_path / name

    return trained


@pytest.fixture
def cells():
    counts = np.random.default_rng(0).poisson(1.0, (6, 40)) + np.eye(6, 40, dtype=int)
    return anndata.AnnData(counts.astype(np.float32), var=pd.DataFrame(index=[f"G{i}" for i in range(40)]))


def test_given_vectors_are_kept_or_learnt_and_the_model_does_without_the_file(run, cells, tmp_path, capsys):
    fixed = load_file(run("fixed") / "model.safetensors")
    assert "toy/0: 3 of 40 genes have given vectors" in capsys.readouterr().err
    learnt = load_file(run("learnt", trainable=True) / "model.safetensors")
    own = pd.read_csv(tmp_path / "v.csv").set_index("gene").loc[["G0", "G3", "G21"]].to_numpy()
    own = torch.from_numpy(own / np.sqrt((own**2).sum(1).mean())).float()
    assert fixed["embedding.gene.given"].tolist() == [0, 3, 21]
    torch.testing.assert_close(fixed["embedding.gene.vector"], own, atol=1e-6, rtol=1e-6)
    assert not torch.allclose(learnt["embedding.gene.vector"], own, atol=1e-4)
    before = load(tmp_path / "fixed", "cpu").embed(cells)
    (tmp_path / "v.csv").unlink()
    after = load(tmp_path / "fixed", "cpu").embed(cells)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_other_vectors_are_trained_on_from_the_start(run, capsys):
    run("one")
    run("same")
    assert "going on from step" in capsys.readouterr().err
    run("other", seed=1)
    assert "going on from step" not in capsys.readouterr().err


def test_mixed_precision(run, cells):
    embedded = load(run("mixed", precision="bf16-mixed"), "cpu").embed(cells)
    assert all(np.isfinite(x).all() for x in embedded.values())


def test_a_directory_whose_weights_lack_the_vectors_is_a_sentence(run):
    path = run("spoilt")
    weights = load_file(path / "model.safetensors")
    for drop in (["embedding.gene.vector"], ["embedding.gene.given", "embedding.gene.vector"]):
        save_file({k: v for k, v in weights.items() if k not in drop}, path / "model.safetensors")
        with pytest.raises(ScfmError, match=r"weights do not fit config\.json"):
            load(path)


def test_a_missing_file_stops_the_training_with_a_sentence(toy_run, toy_shards, tmp_path):
    settings = toy_run(inputs={"gene_vectors": {"file": str(tmp_path / "none.npz")}})
    with pytest.raises(ScfmError, match=r"none\.npz: file of gene vectors .* not found"):
        train(settings, "toy/0", 0, toy_shards, None, tmp_path / "work", tmp_path / "m", 0)
