"""Masking by running errors: what they are, and trainings that use every objective of reconstruction."""

import signal

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from scfm.model import load
from scfm.models.tasks import GeneTargets
from scfm.pretrain.masking import RunningErrors
from scfm.pretrain.train import train
from scfm.pretrain.trainer import Stopped, Trainer


@pytest.fixture
def run(toy_run):
    """Function that gives the settings of an MLM run with some keys of the objective."""

    def make(objective="mlm", keys=None, **training):
        settings = toy_run(objective, inputs={"tokens": 20, "zeros": {"strategy": "interleave"}}, **training)
        model = settings.model.model_dump()
        model["objective"] |= keys or {}
        return type(settings).model_validate(settings.model_dump() | {"model": model})

    return make


def batch(genes, truth, value, logit):
    return GeneTargets(torch.tensor(genes), torch.tensor(truth), torch.tensor(value), torch.tensor(logit))


def test_running_errors_against_a_hand_made_example():
    errors = RunningErrors(4, 0.5, torch.device("cpu"))
    torch.testing.assert_close(errors.error, torch.ones(4))
    errors.add(batch([0, 0, 1], [2.0, 1.0, 3.0], [1.5, 9.0, 1.0], [-1.0, 1.0, -1.0]))
    torch.testing.assert_close(errors.error, torch.ones(4))  # until the update ends
    errors.end_update(1)
    errors.add(batch([2], [0.0], [0.25], [-1.0]))
    errors.end_update(1)
    total, n = torch.tensor([0.75, 1.0, 0.25, 0.0]), torch.tensor([1.0, 0.5, 1.0, 0.0])
    mean = total.sum() / n.sum()
    torch.testing.assert_close(errors.error, (total + mean) / (n + 1))


ADAPTIVE = {"masking": "error", "memory": 0.9, "gene_mask": 0.2, "zero_inflated_weight": 0.5}


def test_a_resumed_training_masks_as_an_undisturbed_one(run, toy_shards, tmp_path, monkeypatch):
    settings = run(keys=ADAPTIVE, epochs=3)
    train(settings, "toy/0", 0, toy_shards, None, tmp_path / "w1", tmp_path / "whole", 0)
    update = Trainer.update

    def stopping(trainer, batch, stop):
        if trainer.step in (4, 8):
            signal.raise_signal(signal.SIGTERM)
        return update(trainer, batch, stop)

    monkeypatch.setattr(Trainer, "update", stopping)
    handler = signal.getsignal(signal.SIGTERM)
    for step in (5, 9):
        with pytest.raises(Stopped, match=f"at step {step} of 18"):
            train(settings, "toy/0", 0, toy_shards, None, tmp_path / "w2", tmp_path / "parts", 0)
        signal.signal(signal.SIGTERM, handler)
    train(settings, "toy/0", 0, toy_shards, None, tmp_path / "w2", tmp_path / "parts", 0)
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())
    assert load(tmp_path / "parts", "cpu").network.settings == settings.model


def test_genes_of_larger_errors_are_masked_more_often(run, toy_shards, tmp_path):
    for masking in ("uniform", "error"):
        settings = run(keys={"masking": masking}, epochs=6, validate_every=6)
        train(settings, "toy/0", 0, toy_shards, None, tmp_path / f"w{masking}", tmp_path / masking, 0)
    uniform, error = (pd.read_parquet(tmp_path / name / "gene_errors.parquet") for name in ("uniform", "error"))
    total = error["n_train_targets"].sum() / uniform["n_train_targets"].sum()
    assert total == pytest.approx(1, abs=0.1)  # the share of targets stays
    ratio = (error["n_train_targets"] / uniform["n_train_targets"]).to_numpy()
    missed = (uniform["abs_error_gated"] / uniform["n"]).to_numpy()
    order = np.argsort(missed[:39])
    assert ratio[order[-10:]].mean() > ratio[order[:10]].mean() * 1.1


@pytest.mark.parametrize(("objective", "keys"), [("mlm", ADAPTIVE), ("wced", {"zero_inflated_weight": 1.0})])
def test_losses_of_all_objectives_fall(run, toy_shards, tmp_path, objective, keys):
    settings = run(objective, keys, epochs=8, accumulate=1, learning_rate=1e-2)
    train(settings, "toy/0", 0, toy_shards, None, tmp_path / "w", tmp_path / "m", 0)
    metrics = pd.read_csv(tmp_path / "m" / "metrics.csv")
    for name in {"zero_inflated", *(["gene"] if objective == "mlm" else [])}:
        assert metrics[f"validate_{name}"].iloc[-1] < metrics[f"validate_{name}"].iloc[0]
