"""A training on cells with perturbed genes, and embeddings of others."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scfm.errors import ScfmError
from scfm.model import load
from scfm.pretrain.train import train

INPUTS = {"perturbation": {"column": "condition"}}


@pytest.fixture
def fit(toy_run, write_toy_shards, tmp_path):
    """Function from the column of the corpus to a model trained on it."""

    def run(condition, **training):
        shards = write_toy_shards(tmp_path / "shards", condition=condition)
        settings = toy_run(inputs=INPUTS, epochs=1, **training)
        train(settings, "toy/0", 0, shards, None, tmp_path / "work", tmp_path / "m", 0)
        return load(tmp_path / "m", "cpu")

    return run


@pytest.mark.parametrize("training", [{}, {"batch_tokens": 512}], ids=str)
def test_perturbed_genes_are_learnt_and_read_in_inference(fit, training):
    model = fit(["G1+G39", "control", "G30", "unknown"] * 60, **training)
    assert model.network.embedding.perturbed.any()
    counts = np.random.default_rng(0).poisson(1.0, (4, 39)) + np.eye(4, 39, dtype=int)
    cells = anndata.AnnData(counts.astype(np.float32), var=pd.DataFrame(index=[f"G{i}" for i in range(39)]))
    plain = model.embed(cells)
    cells.obs["condition"] = ["control", "G5", "G39", "G30+G2"]
    for name, vectors in model.embed(cells).items():
        moved = np.abs(vectors - plain[name]).max(1) > 1e-5
        assert moved.tolist() == [False, True, False, True]  # the cells have no gene G39


def test_a_column_without_any_gene_stops_the_training_with_a_sentence(fit):
    with pytest.raises(ScfmError, match=r"'condition' .* is missing or names no gene") as error:
        fit(["control"] * 240)
    assert "\n" not in str(error.value)
