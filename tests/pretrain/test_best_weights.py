"""Which weights a model gets: the last, or those of the best validation, whatever interrupts the training."""

import json
import signal

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import scfm.pretrain.trainer as trained
from scfm.models.tasks import Task
from scfm.pretrain.best import better, weighted_loss
from scfm.pretrain.stop import Stopped
from scfm.pretrain.train import train

WEIGHTS = {"value": 1.0, "is_zero": 1.0, "cell_type_hce": 1.0}


@pytest.fixture
def fit(toy_shards, toy_obo, tmp_path, monkeypatch):
    """Function that trains and returns the weights of the model, those after each validation, its facts and losses."""
    validate, after = trained.Trainer.validate, {}

    def watched(trainer, validation, epoch, stop=None):
        validate(trainer, validation, epoch, stop)
        after[epoch] = {name: x.clone() for name, x in trainer.network.state_dict().items()}

    monkeypatch.setattr(trained.Trainer, "validate", watched)

    def run(settings, name):
        out = tmp_path / name
        train(settings, "toy/0", 0, toy_shards, toy_obo, tmp_path / f"{name}-work", out, 0)
        about = json.loads((out / "config.json").read_text())
        return load_file(out / "model.safetensors"), after, about, pd.read_csv(out / "metrics.csv")

    return run


def assert_equal(weights, others):
    assert all(torch.equal(weights[name], others[name]) for name in others)


def short(toy_run, keep):
    return toy_run(heads=True, epochs=4, keep=keep)


@pytest.fixture
def third_is_best(monkeypatch):
    """The third validation counts as one of loss 0, so that it is the best of any training."""

    def judged(best, loss, epoch, network):
        return better(best, 0.0 if epoch == 3 else loss, epoch, network)

    monkeypatch.setattr(trained, "better", judged)


def test_the_model_gets_the_weights_of_the_best_validation_or_the_last(toy_run, fit, third_is_best):
    best, after, about, metrics = fit(short(toy_run, "best"), "best")
    assert about["weights_of_epoch"] == 3
    assert_equal(best, after[3])
    last, after, about, metrics_of_last = fit(short(toy_run, "last"), "last")
    assert about["weights_of_epoch"] == 4
    assert_equal(last, after[4])
    losses = [column for column in metrics if column.startswith(("train_", "validate_"))]
    pd.testing.assert_frame_equal(metrics[losses], metrics_of_last[losses])


def test_the_loss_of_a_validation_is_that_of_its_metrics(toy_run, fit, monkeypatch):
    seen = []
    monkeypatch.setattr(trained, "weighted_loss", lambda *given: seen.append(weighted_loss(*given)) or seen[-1])
    _, _, about, metrics = fit(short(toy_run, "best"), "best")
    losses = sum(metrics[f"validate_{name}"] * weight for name, weight in WEIGHTS.items()) / sum(WEIGHTS.values())
    assert seen == pytest.approx(losses.tolist())
    assert about["weights_of_epoch"] == metrics["epoch"][losses.argmin()]


@pytest.fixture
def terminated_at(monkeypatch):
    """Steps before which a training is sent SIGTERM, each once, in ascending order."""
    steps, update, before = [], trained.Trainer.update, signal.getsignal(signal.SIGTERM)

    def terminated(trainer, *arguments):
        if steps and trainer.step == steps[0]:
            signal.raise_signal(signal.SIGTERM)
            del steps[0]
        return update(trainer, *arguments)

    monkeypatch.setattr(trained.Trainer, "update", terminated)
    yield steps
    signal.signal(signal.SIGTERM, before)


def test_the_best_weights_survive_stops_and_a_second_start(toy_run, fit, third_is_best, terminated_at):
    best, _, about, _ = fit(short(toy_run, "best"), "undisturbed")
    assert about["weights_of_epoch"] == 3
    # Of 24 updates, 18 come before the best validation: stopped before it, and twice between it and the last one.
    terminated_at += [3, 18, 21]
    for step in (4, 19, 22):
        with pytest.raises(Stopped, match=f"at step {step} of 24"):
            fit(short(toy_run, "best"), "stopped")
    resumed, _, again, _ = fit(short(toy_run, "best"), "stopped")
    assert again["weights_of_epoch"] == 3
    assert_equal(resumed, best)
    finished, _, again, _ = fit(short(toy_run, "best"), "stopped")
    assert again["weights_of_epoch"] == 3
    assert_equal(finished, best)


def test_of_equal_losses_the_earlier_one_stays():
    network, best = nn.Linear(1, 1), None
    for epoch, loss in enumerate([3.0, 2.0, 2.0, 2.5], 1):
        nn.init.constant_(network.weight, epoch)
        best = better(best, loss, epoch, network)
    assert (best["epoch"], best["loss"], best["network"]["weight"].item()) == (2, 2.0, 2.0)


def test_the_loss_weighs_the_objectives_that_had_a_target():
    tasks = {name: Task(torch.zeros(()), torch.zeros(()), weight) for name, weight in (("a", 1.0), ("b", 3.0))}
    assert weighted_loss({"validate_a": 2.0, "validate_b": 4.0}, tasks) == 3.5
    assert weighted_loss({"validate_a": 2.0, "validate_b": float("nan")}, tasks) == 2
    assert weighted_loss({"validate_a": float("nan"), "validate_b": float("nan")}, tasks) == float("inf")
