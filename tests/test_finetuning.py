"""Fine-tuning of toy models, whose cells of two types are easy to tell apart."""

import numpy as np
import pandas as pd
import pytest
import torch

import scfm
from scfm.errors import ScfmError
from scfm.finetuning import Finetuning
from scfm.finetuning.head import with_fresh_head
from scfm.finetuning.train import class_logits, finetune, predict
from scfm.model import Model
from scfm.models.bmfm.network import Network

QUICK = Finetuning(epochs=4, learning_rate=1e-2, dropout=0.0)


@pytest.fixture(params=["toy_model", "toy_plain_model"])
def model(request):
    """A trained WCED model with a head, and an untrained MLM model without."""
    return scfm.load(request.getfixturevalue(request.param), "cpu")


@pytest.fixture
def parts(toy_adata):
    return toy_adata[:24], toy_adata[24:32], toy_adata[32:]


def state(model):
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_new_head_learns_and_the_encoder_with_it(model, parts):
    train, dev, test = parts
    before = state(model)
    tuned, metrics = finetune(model, train, dev, "type", QUICK.model_copy(update={"epochs": 15}), seed=0)
    assert (predict(tuned, test) == test.obs["type"]).mean() > 0.8
    assert metrics["train_loss"].iloc[-1] < metrics["train_loss"].iloc[0]
    assert same(before, state(model))
    after = state(tuned)
    changed = [name for name in before if name.startswith("encoder.") and not torch.equal(before[name], after[name])]
    assert any("0" in name for name in changed)
    assert not torch.equal(before["embedding.gene.weight"][:36], after["embedding.gene.weight"][:36])


def test_the_seed_decides(model, parts):
    train, dev, _ = parts
    settings = QUICK.model_copy(update={"epochs": 1, "dropout": 0.1})
    one, again, other = (state(finetune(model, train, dev, "type", settings, seed)[0]) for seed in (0, 0, 1))
    assert same(one, again)
    assert not same(one, other)


def test_dev_cells_teach_nothing(model, parts):
    train, dev, test = parts
    settings = QUICK.model_copy(update={"epochs": 1})  # no epoch to choose
    swapped = dev.copy()
    swapped.obs["type"] = swapped.obs["type"].map({"alpha": "beta", "beta": "alpha"})
    weights = [state(finetune(model, train, cells, "type", settings, 0)[0]) for cells in (dev, swapped, test)]
    assert same(weights[0], weights[1])
    assert same(weights[0], weights[2])


def focal(logits, truth, gamma):
    """By the definition, cell by cell."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    p = (p / p.sum(1, keepdims=True))[np.arange(len(truth)), truth].astype(np.float64)
    return float(np.mean(-((1 - p) ** gamma) * np.log(p)))


def test_the_weights_kept_are_those_of_the_lowest_dev_loss(model, parts):
    train, dev, _ = parts
    settings = QUICK.model_copy(update={"epochs": 6, "learning_rate": 0.1})
    tuned, metrics = finetune(model, train, dev, "type", settings, seed=0)
    kept = metrics[metrics["kept"]]
    assert len(kept) == 1
    assert kept["dev_loss"].item() == metrics["dev_loss"].min()
    truth = (dev.obs["type"] == "beta").to_numpy(int)
    assert focal(class_logits(tuned, dev), truth, 3) == pytest.approx(kept["dev_loss"].item(), rel=1e-4)


def test_the_loss_is_focal_with_gamma_3(model, parts):
    train, dev, _ = parts
    still = Finetuning(epochs=3, patience=1, learning_rate=1e-30, dropout=0.0)
    tuned, metrics = finetune(model, train, dev, "type", still, seed=0)
    truth = (train.obs["type"] == "beta").to_numpy(int)
    assert metrics["train_loss"].iloc[0] == pytest.approx(focal(class_logits(tuned, train), truth, 3), rel=1e-4)
    assert metrics["epoch"].tolist() == [1, 2]  # nothing learnt: patience ends it, and of equals the first is kept
    assert metrics["kept"].tolist() == [True, False]


def test_the_new_heads_token_starts_as_the_cell_embedding(toy_model, toy_adata):
    model = scfm.load(toy_model, "cpu")
    fresh = with_fresh_head(model, ["a", "b", "c"], Finetuning(), seed=0)
    vectors = fresh.embed(toy_adata)
    np.testing.assert_allclose(vectors["cls_0"], vectors["cls"], atol=1e-5)
    assert class_logits(fresh, toy_adata).shape == (40, 3)
    assert fresh.tree is None
    assert fresh.about["settings"]["model"]["heads"][0]["loss"] == "focal"


def test_tokens_of_metadata_keep_their_vectors(toy_run):
    settings = toy_run(inputs={"metadata": ["assay", "tissue"]}).model
    genes = pd.DataFrame({"gene": [f"G{i}" for i in range(5)], "ensembl": ""})
    network = Network(settings, 5, None, seed=0, metadata_values=3)
    torch.nn.init.normal_(network.embedding.gene.weight)
    torch.nn.init.normal_(network.embedding.special.weight)
    about = {"metadata": {"assay": ["x", "y"], "tissue": ["z"]}, "settings": {}}
    fresh = with_fresh_head(Model(network, genes, None, about, {}), ["a", "b"], Finetuning(), seed=0).network
    old, new = network.embedding.gene.weight, fresh.embedding.gene.weight
    assert torch.equal(new[[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]], old[[0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10]])
    old, new = network.embedding.special.weight, fresh.embedding.special.weight
    assert torch.equal(new, old[[0, 1, 2, 2, 3]])


def test_tokens_are_limited_in_training_and_after(toy_model, parts):
    train, dev, test = parts
    settings = QUICK.model_copy(update={"epochs": 1, "tokens": 3})
    tuned, _ = finetune(scfm.load(toy_model, "cpu"), train, dev, "type", settings, seed=0)
    assert tuned.network.settings.input.inference_tokens == 3
    assert predict(tuned, test).shape == (8,)


def test_bad_labels_are_one_sentence(toy_model, parts):
    model, (train, dev, _) = scfm.load(toy_model, "cpu"), parts
    alpha = train[train.obs["type"] == "alpha"]
    with pytest.raises(ScfmError, match="obs column 'type': 1 labels in the training cells"):
        finetune(model, alpha, dev, "type", QUICK, 0)
    strange = dev.copy()
    strange.obs["type"] = "gamma"
    with pytest.raises(ScfmError, match="2 labels in the training cells, of which dev cells have 0"):
        finetune(model, train, strange, "type", QUICK, 0)


def test_a_diverging_rate_is_one_sentence(toy_model, parts):
    train, dev, _ = parts
    settings = QUICK.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(ScfmError, match="loss of epoch 1 is not finite; lower the learning_rate"):
        finetune(scfm.load(toy_model, "cpu"), train, dev, "type", settings, 0)
