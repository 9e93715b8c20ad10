"""The moving average of the weights: its formula, what reads it, and what survives an interruption."""

import json
import math
import signal

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from scfm.errors import ScfmError
from scfm.pretrain.average import Average
from scfm.pretrain.stop import Stopped
from scfm.pretrain.train import train
from scfm.pretrain.trainer import Trainer


def recursion(weights, decay):
    """The average of weights, each a tensor, by its formula."""
    average = weights[0]
    for n, own in enumerate(weights[1:], 1):
        d = min(decay, (1 + n) / (10 + n))
        average = d * average + (1 - d) * own
    return average


def averaged(trajectory, decay):
    """The average of a network of one weight that takes the values of a trajectory, with float64 weights."""
    network = nn.Linear(1, 1, bias=False).double()
    average = Average(network, decay)
    for value in trajectory:
        nn.init.constant_(network.weight, value)
        average.update(network)
    return average.network.weight.item()


@pytest.mark.parametrize("updates", [1, 2, 10, 100])
def test_early_on_it_lags_a_tenth_of_the_updates_behind(updates):
    # wₙ = n: the lag e grows by eₙ₊₁ = dₙ (eₙ + 1), with dₙ = (1 + n) / (10 + n) a sum of binomials.
    lag = updates / 10 - 1 / math.comb(updates + 9, 9)
    assert averaged(range(1, updates + 1), 0.9999) == pytest.approx(updates - lag)


def test_later_on_it_lags_by_what_the_decay_says():
    assert averaged(range(1, 501), 0.9) == pytest.approx(500 - 0.9 / (1 - 0.9))


def test_weights_are_averaged_and_buffers_copied():
    network, draw = nn.BatchNorm1d(3), torch.Generator().manual_seed(0)
    average, weights = Average(network, 0.8), []
    for _ in range(60):
        nn.init.normal_(network.weight, generator=draw)
        weights.append(network.weight.detach().clone())
        network(torch.randn(5, 3, generator=draw))
        average.update(network)
    torch.testing.assert_close(average.network.weight.data, recursion(weights, 0.8))
    assert torch.equal(average.network.running_mean, network.running_mean)
    assert average.network.num_batches_tracked == 60
    assert torch.equal(network.weight, weights[-1])


def test_without_a_decay_it_is_the_network_itself():
    network = nn.Linear(2, 2)
    average = Average(network, 0.0)
    average.update(network)
    assert average.network is network
    assert average.state_dict() == {}


@pytest.fixture
def fit(toy_shards, toy_obo, tmp_path):
    """Function that trains and returns the weights of the model, its facts and its losses."""

    def run(settings, name):
        out = tmp_path / name
        train(settings, "toy/0", 0, toy_shards, toy_obo, tmp_path / f"{name}-work", out, 0)
        losses = pd.read_csv(out / "metrics.csv").filter(regex="^(train|validate)_")
        return load_file(out / "model.safetensors"), json.loads((out / "config.json").read_text()), losses

    return run


@pytest.fixture
def watched(monkeypatch):
    """Weights after each update, and the validation losses of the model's weights, measured again at the end."""
    seen, update, fit = {"weights": [], "again": None}, Trainer.update, Trainer.fit

    def noted(trainer, *arguments):
        asked = update(trainer, *arguments)
        seen["weights"].append({name: x.detach().clone() for name, x in trainer.network.named_parameters()})
        return asked

    def measured(trainer, updates, validation, *arguments):
        fit(trainer, updates, validation, *arguments)
        rows, own = len(trainer.metrics), {name: x.clone() for name, x in trainer.network.state_dict().items()}
        trainer.network.load_state_dict(trainer.average.network.state_dict())
        trainer.average = Average(trainer.network, 0.0)
        trainer.validate(validation, epoch=0)
        seen["again"] = {name: x for name, x in trainer.metrics.pop().items() if name.startswith("validate_")}
        assert len(trainer.metrics) == rows
        assert any(not torch.equal(own[name], x) for name, x in trainer.network.state_dict().items())

    monkeypatch.setattr(Trainer, "update", noted)
    monkeypatch.setattr(Trainer, "fit", measured)
    return seen


def test_the_average_is_validated_and_written_and_trains_nothing(toy_run, fit, watched):
    weights, about, losses = fit(toy_run(heads=True, epochs=4, average=0.9), "averaged")
    assert about["settings"]["training"]["average"] == 0.9
    steps = watched["weights"]
    for name in steps[0]:
        expected = recursion([step[name] for step in steps], 0.9)
        torch.testing.assert_close(weights[name], expected, atol=1e-6, rtol=1e-5, msg=name)
    assert losses.iloc[-1].filter(like="validate_").to_dict() == pytest.approx(watched["again"], rel=1e-6)


def test_the_average_changes_no_update(toy_run, fit):
    plain, _, losses = fit(toy_run(heads=True, epochs=4), "plain")
    weights, _, averaged = fit(toy_run(heads=True, epochs=4, average=0.9), "averaged")
    train_losses = [column for column in losses if column.startswith("train_")]
    pd.testing.assert_frame_equal(averaged[train_losses], losses[train_losses], check_exact=True)
    assert (averaged["validate_value"] != losses["validate_value"]).all()
    assert any(not torch.equal(weights[name], plain[name]) for name in plain)


@pytest.mark.parametrize("keep", ["last", "best"])
def test_an_interrupted_average_is_that_of_an_undisturbed_training(toy_run, fit, monkeypatch, keep):
    run = toy_run("mlm", heads=True, epochs=4, average=0.9, keep=keep)
    whole, about, losses = fit(run, "whole")
    update, before, kills = Trainer.update, signal.getsignal(signal.SIGTERM), [3, 15]

    def disturbed(trainer, *arguments):
        if kills and trainer.step == kills[0]:
            del kills[0]
            signal.raise_signal(signal.SIGTERM)
        elif not kills and trainer.step == 20:
            kills.append(-1)
            raise MemoryError("like SIGKILL: nothing is written")
        return update(trainer, *arguments)

    monkeypatch.setattr(Trainer, "update", disturbed)
    for error in (Stopped, Stopped, MemoryError):
        with pytest.raises(error):
            fit(run, "parts")
    parts, again, losses_of_parts = fit(run, "parts")
    signal.signal(signal.SIGTERM, before)
    assert parts.keys() == whole.keys()
    assert all(torch.equal(parts[name], whole[name]) for name in whole)
    assert again["weights_of_epoch"] == about["weights_of_epoch"]
    pd.testing.assert_frame_equal(losses_of_parts, losses)


@pytest.mark.parametrize("decay", [1.0, -0.1])
def test_a_decay_that_averages_nothing_is_a_sentence(toy_run, decay):
    with pytest.raises(ScfmError, match=r"training\.average': Input should be"):
        toy_run(average=decay)
