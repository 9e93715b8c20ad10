"""A training with metadata tokens: the model directory holds their values, and inference reads them from obs."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scfm.errors import ScfmError
from scfm.model import load
from scfm.pretrain.train import train


@pytest.fixture
def model(toy_run, toy_shards, toy_obo, tmp_path):
    """Function that trains with some columns, beside an HCE head, and loads the model."""

    def run(columns, objective="wced"):
        settings = toy_run(objective, heads=True, inputs={"metadata": columns}, epochs=1)
        train(settings, "toy/0", 0, toy_shards, toy_obo, tmp_path / "work", tmp_path / "m", 0)
        return load(tmp_path / "m", "cpu")

    return run


@pytest.fixture
def cells():
    counts = np.random.default_rng(0).poisson(1.0, (6, 40)) + np.eye(6, 40, dtype=int)
    return anndata.AnnData(counts.astype(np.float32), var=pd.DataFrame(index=[f"G{i}" for i in range(40)]))


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_values_of_training_are_kept_and_read_in_inference(model, cells, objective):
    loaded = model(["type", "dataset_id"], objective)
    assert loaded.about["metadata"] == {"type": ["alpha", "beta"], "dataset_id": ["d0", "d1"]}
    unknown = loaded.embed(cells)
    cells.obs["type"] = "gamma"  # which no training cell was
    strange = loaded.embed(cells)
    cells.obs["type"] = pd.Categorical(["alpha", "beta", "alpha", None, "gamma", "beta"])
    known, part = loaded.embed(cells), loaded.embed(cells[[1, 4]].copy(), batch_cells=1)
    for name, vectors in known.items():
        np.testing.assert_allclose(strange[name], unknown[name], atol=1e-6)
        moved = np.abs(vectors - unknown[name]).max(1) > 1e-5
        assert moved.tolist() == [True, True, True, False, False, True]
        np.testing.assert_allclose(part[name], vectors[[1, 4]], atol=3e-5, rtol=1e-4)
    assert np.isfinite(loaded.node_probabilities(cells)).all()


def test_a_column_that_the_corpus_lacks_stops_the_training_with_a_sentence(model):
    with pytest.raises(ScfmError, match="no text column 'assay'"):
        model(["assay"])
