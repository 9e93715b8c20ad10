"""Optimisation: rates, weight decay, and updates that do not depend on how a batch is cut up."""

import itertools

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import scfm.models.bmfm.network as module
from scfm.models.bmfm.network import Network
from scfm.models.bmfm.view import make_view
from scfm.pretrain.optimizer import make_optimizer
from scfm.pretrain.train import train


@pytest.fixture
def optimizer(toy_run):
    def make(**training):
        run = toy_run(**training)
        return make_optimizer(Network(run.model, 5, None, seed=0), run.training, updates=100)

    return make


def test_the_rate_rises_stays_and_falls(optimizer):
    _, schedule = optimizer(warmup_steps=10, decay_steps=20)
    rate = schedule.lr_lambdas[0]
    np.testing.assert_allclose([rate(step) for step in range(10)], np.arange(1, 11) / 10)
    assert {rate(step) for step in range(10, 81)} == {1.0}
    np.testing.assert_allclose([rate(step) for step in range(80, 101)], np.arange(20, -1, -1) / 20)
    _, schedule = optimizer(warmup_steps=0)
    assert {schedule.lr_lambdas[0](step) for step in range(100)} == {1.0}


def test_weight_decay_is_on_matrices_only(toy_run):
    run = toy_run(weight_decay=0.3, betas=[0.8, 0.95])
    network = Network(run.model, 5, None, seed=0)
    optimizer, _ = make_optimizer(network, run.training, updates=100)
    for group in optimizer.param_groups:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] == 0.3}
        assert group["betas"] == (0.8, 0.95)
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.3, 0.0}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(network.parameters()))


@pytest.mark.parametrize("heads", [False, True])
def test_two_micro_batches_equal_one_batch_of_all_cells(toy_run, write_toy_shards, toy_obo, tmp_path, heads):
    # The first half of the toy cells carries few labels: a mean of two means would weigh them too much.
    labels = np.array(["unknown"] * 10 + ["CL:0000003", "CL:0000004"] * 15)
    shards = write_toy_shards(tmp_path / "shards", 32, 8, cell_type_ontology_term_id=labels)
    weights = {}
    for cells, pieces in ((8, 4), (16, 2), (32, 1)):
        run = toy_run(
            heads=heads, head_dropout=0.0, epochs=1, batch_cells=cells, accumulate=pieces, warmup_steps=1, clip=100.0
        )
        out = tmp_path / f"model{pieces}"
        train(run, "toy/0", 0, shards, toy_obo if heads else None, tmp_path / f"work{pieces}", out, 0)
        weights[pieces] = load_file(out / "model.safetensors")
    for name, whole in weights[1].items():
        torch.testing.assert_close(weights[2][name], whole, atol=2e-5, rtol=1e-4, msg=name)
        torch.testing.assert_close(weights[4][name], whole, atol=2e-5, rtol=1e-4, msg=name)


@pytest.fixture
def views(monkeypatch):
    """Every view that is made: (mode, cells, view)."""
    made = []

    def keep(cells, settings, measured, generator, mode, gene_error):
        view = make_view(cells, settings, measured, generator, mode, gene_error)
        made.append((mode, cells, view))
        return view

    monkeypatch.setattr(module, "make_view", keep)
    return made


def test_masks_change_with_step_and_seed_and_validation_keeps_its_own(toy_run, write_toy_shards, tmp_path, views):
    shards = write_toy_shards(tmp_path / "shards", 32, 16)  # one update an epoch, of all cells
    run = toy_run("mlm", epochs=3, batch_cells=32, accumulate=1, validation_passes=2)
    for seed in (0, 1):
        train(run, f"toy/{seed}", seed, shards, None, tmp_path / f"work{seed}", tmp_path / f"model{seed}", 0)
    masks = {mode: [v.target_position.tolist() for m, _, v in views if m == mode] for mode in ("train", "validate")}
    assert len(masks["train"]) == 6
    for one, other in itertools.combinations(map(set, masks["train"]), 2):
        assert len(one & other) / len(one) < 0.5  # by chance 0.15
    assert len(masks["validate"]) == 12
    first, second = masks["validate"][:6], masks["validate"][6:]
    assert first[:2] == first[2:4] == first[4:]  # the same question after every epoch
    assert first[0] != first[1]  # but not in each pass
    assert first[0] != second[0]


def test_every_epoch_deals_the_cells_anew(toy_run, toy_shards, tmp_path, views):
    run = toy_run(epochs=3, validate_every=3)
    train(run, "toy/0", 0, toy_shards, None, tmp_path / "work", tmp_path / "model", 0)
    cells = [cells.gene.tolist() for mode, cells, _ in views if mode == "train"]
    assert len(cells) == 3 * 12  # micro-batches
    assert len({tuple(genes) for genes in cells}) == 36


def test_gradients_are_clipped_over_all_parameters(toy_run, toy_shards, tmp_path, monkeypatch):
    norms, step = [], torch.optim.AdamW.step

    def record(optimizer, *args, **keys):
        if isinstance(optimizer, torch.optim.AdamW):
            parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            norms.append(sum(p.grad.double().pow(2).sum() for p in parameters).sqrt().item())
        return step(optimizer, *args, **keys)

    monkeypatch.setattr(torch.optim.AdamW, "step", record)
    for clip in (0.01, 1e6):
        train(
            toy_run(epochs=1, clip=clip), "toy/0", 0, toy_shards, None, tmp_path / f"w{clip}", tmp_path / f"m{clip}", 0
        )
    np.testing.assert_allclose(norms[:6], 0.01, rtol=1e-3)
    assert min(norms[6:]) > 0.05
