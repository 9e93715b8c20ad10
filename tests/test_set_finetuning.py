"""Fine-tuning a system that reads sets of cells, on the toy corpus with two types."""

import numpy as np
import pytest
import torch
from anndata import concat

import scfm
from scfm.benchmarks.finetune import finetune as task
from scfm.benchmarks.task_settings import FinetuneTask
from scfm.errors import ScfmError
from scfm.finetuning import SetFinetuning
from scfm.finetuning.sets import finetune, predict
from scfm.pretrain.settings import parse_run
from scfm.pretrain.train import train

CELLPLM = {
    "encoder": {"layers": 1, "hidden": 16, "heads": 2, "ffn": 16, "gene_std": 0.3},
    "latent": {"kind": "mixture", "width": 8, "components": 4},
    "decoder": {"hidden": 16, "bottleneck": 8},
    "sets": {"by": ["donor"], "cells": 6},
}
STACK = {
    "transformer": {"modules": 4, "width": 4, "layers": 1, "heads": 2, "set_heads": 2, "ffn": 8},
    "sets": {"by": ["donor"], "cells": 6},
}
SETTINGS = SetFinetuning(epochs=20, learning_rate=3e-2, batch_cells=12, dropout=0.1)


@pytest.fixture(scope="module")
def models(tmp_path_factory, write_toy_shards):
    """Untrained models of two systems."""
    folder = tmp_path_factory.mktemp("sets")
    shards = write_toy_shards(folder / "shards", donor_id=[f"d{i % 12}" for i in range(240)])
    training = {"precision": "32-true", "workers": 0, "epochs": 1}
    for system, model in (("cellplm", CELLPLM), ("stack", STACK)):
        run = parse_run({"system": system, "trained": False, "model": model, "training": training}, system)
        train(run, f"{system}/0", 0, shards, None, folder / "work" / system, folder / system, 0)
    return {system: scfm.load(folder / system, "cpu") for system in ("cellplm", "stack")}


@pytest.fixture
def cells(toy_adata):
    """Training, dev and test cells."""
    toy_adata.obs["donor"] = [f"d{i // 4}" for i in range(40)]
    return toy_adata[:24].copy(), toy_adata[24:32].copy(), toy_adata[32:].copy()


def test_types_are_learnt_and_the_model_stays_as_it_is(models, cells):
    learn, dev, test = cells
    before = {name: tensor.clone() for name, tensor in models["cellplm"].network.state_dict().items()}
    tuned, metrics = finetune(models["cellplm"], learn, dev, "type", SETTINGS, seed=0)
    assert (predict(tuned, test) == test.obs["type"]).all()
    after = models["cellplm"].network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    moved = tuned.network.state_dict()
    assert not torch.equal(moved["encoder.embedder.gene.weight"], before["encoder.embedder.gene.weight"])  # end to end
    assert metrics["kept"].sum() == 1
    assert metrics.loc[metrics["kept"], "dev_loss"].item() == metrics["dev_loss"].min()
    assert metrics["train_loss"].iloc[-1] < metrics["train_loss"].iloc[0]


def test_the_same_seed_gives_the_same_weights(models, cells):
    learn, dev, _ = cells
    short = SETTINGS.model_copy(update={"epochs": 2})
    one, two, other = (finetune(models["cellplm"], learn, dev, "type", short, seed)[0] for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.head.weight, other.head.weight)


def test_only_cells_of_the_same_group_are_read_together(models, cells):
    learn, dev, test = cells
    tuned, _ = finetune(models["cellplm"], learn, dev, "type", SETTINGS.model_copy(update={"epochs": 1}), seed=0)

    def logits(adata):
        return tuned.logits(tuned.model.sample(adata, "counts"), 12)

    both = concat([test, learn])
    torch.testing.assert_close(logits(both)[: len(test)], logits(test), atol=1e-5, rtol=1e-5)
    together = both.copy()
    together.obs["donor"] = "one"
    assert (logits(together)[: len(test)] - logits(test)).abs().max() > 1e-4
    del together.obs["donor"]  # no column of the training: all cells are one group
    assert logits(together).shape == (len(together), 2)


def test_a_training_without_progress_ends_early(models, cells):
    learn, dev, _ = cells
    still = SETTINGS.model_copy(update={"epochs": 50, "learning_rate": 1e-30, "patience": 3})
    _, metrics = finetune(models["cellplm"], learn, dev, "type", still, seed=0)
    assert len(metrics) == 4
    assert metrics["kept"].tolist() == [True, False, False, False]


def test_bad_input_is_one_sentence(models, cells):
    learn, dev, _ = cells
    with pytest.raises(ScfmError, match="the system 'stack' is not fine-tuned"):
        finetune(models["stack"], learn, dev, "type", SETTINGS, seed=0)
    with pytest.raises(ScfmError, match="1 labels in the training cells"):
        finetune(models["cellplm"], learn[::2].copy(), dev, "type", SETTINGS, seed=0)
    with pytest.raises(ScfmError, match="of which dev cells have 0"):
        finetune(models["cellplm"], learn, dev[:0].copy(), "type", SETTINGS, seed=0)
    wild = SETTINGS.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(ScfmError, match=r"epoch \d+ is not finite; lower the learning_rate"):
        finetune(models["cellplm"], learn, dev, "type", wild, seed=0)


def test_the_task_scores_the_held_out_cells_of_a_set_model(models, cells, tmp_path):
    adata = concat(cells)
    side = np.repeat(["train", "dev", "test"], [24, 8, 8])
    adata.obs = adata.obs.assign(cell_type=adata.obs["type"], split=side, dataset="d", batch=side, contaminated=False)
    facts = {"name": "d", "study": "", "organism": "Homo sapiens", "values": "counts", "panel": False}
    adata.uns["scfm"] = facts | {"tasks": "finetune", "single_batch": False, "contaminated": "false"}
    adata.uns["scfm"] |= {"contaminated_reason": "", "note": ""}
    adata.write_h5ad(tmp_path / "d.h5ad")
    whose = {"study": "s", "run": "r", "seed": 0}
    table = task(models["cellplm"], [tmp_path / "d.h5ad"], FinetuneTask(sets=SETTINGS), **whose).set_index("metric")
    assert table.loc[["macro_f1", "accuracy"], "value"].tolist() == [1, 1]
    assert table.loc["macro_f1", ["n", "split", "pooling"]].tolist() == [8, "test", "finetuned"]
    assert 1 <= table.loc["epoch", "value"] <= 20
