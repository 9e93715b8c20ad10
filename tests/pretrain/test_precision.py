"""Float16 with gradient scaling: it trains as float32 does, leaves out what overflows, and goes on exactly."""

import itertools
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import scfm.pretrain.trainer as trained
from scfm.pretrain.stop import Stopped
from scfm.pretrain.train import train


@pytest.fixture
def fit(toy_shards, toy_obo, tmp_path):
    def run(settings, name):
        train(settings, "toy/0", 0, toy_shards, toy_obo, tmp_path / f"{name}-work", tmp_path / name, 0)
        return load_file(tmp_path / name / "model.safetensors"), pd.read_csv(tmp_path / name / "metrics.csv")

    return run


@pytest.fixture
def scales(monkeypatch):
    """Scale and parameters before each update; `start` sets the scale of a training that begins."""
    seen = {"start": None, "scale": [], "weights": []}
    update = trained.Trainer.update

    def watched(trainer, *arguments):
        if seen["start"] and trainer.step == 0:
            trainer.scaler = torch.amp.GradScaler("cpu", init_scale=seen["start"], growth_interval=4)
        seen["scale"].append(trainer.scaler.get_scale())
        seen["weights"].append(torch.cat([p.detach().flatten() for p in trainer.network.parameters()]))
        return update(trainer, *arguments)

    monkeypatch.setattr(trained.Trainer, "update", watched)
    return seen


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_scaled_half_precision_trains_as_single_precision(toy_run, fit, objective, scales):
    _, single = fit(toy_run(objective, heads=True, epochs=4, precision="32-true"), "single")
    assert set(scales["scale"]) == {1.0}
    scales["start"] = 2.0**6
    _, half = fit(toy_run(objective, heads=True, epochs=4, precision="16-mixed"), "half")
    assert scales["scale"][24:] == [2.0 ** (6 + step // 4) for step in range(24)]  # nothing overflows
    losses = [column for column in single if column.startswith(("train_", "validate_"))]
    np.testing.assert_allclose(half[losses], single[losses], rtol=0.02, atol=2e-3)
    assert not np.array_equal(half[losses], single[losses])


def test_an_update_that_overflows_is_left_out_and_the_scale_halved(toy_run, fit, scales):
    scales["start"] = 2.0**33
    fit(toy_run(epochs=4, precision="16-mixed"), "half")
    scale, weights = np.array(scales["scale"]), scales["weights"]
    dropped = np.flatnonzero(scale[1:] < scale[:-1])
    assert len(dropped) >= 2
    np.testing.assert_array_equal(scale[dropped + 1], scale[dropped] / 2)
    for step in range(len(weights) - 1):
        assert torch.equal(weights[step], weights[step + 1]) == (step in dropped), step
    assert torch.isfinite(weights[-1]).all()


def test_the_scale_and_its_growth_survive_a_stop(toy_run, fit, scales, monkeypatch):
    scales["start"] = 2.0**33
    run = toy_run(heads=True, epochs=4, precision="16-mixed")
    weights, metrics = fit(run, "undisturbed")
    expected, scales["scale"] = scales["scale"], []
    assert any(late > soon for soon, late in itertools.pairwise(expected))  # it grew, and shrank before
    update, stops = trained.Trainer.update, [2, 7, 15]

    def stopped(trainer, *arguments):
        if trainer.step in stops:
            stops.remove(trainer.step)
            signal.raise_signal(signal.SIGTERM)
        return update(trainer, *arguments)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(trained.Trainer, "update", stopped)
    for _ in range(3):
        with pytest.raises(Stopped):
            fit(run, "resumed")
    resumed, again = fit(run, "resumed")
    signal.signal(signal.SIGTERM, before)
    assert scales["scale"] == expected
    for name, tensor in weights.items():
        assert torch.equal(resumed[name], tensor), name
    losses = [column for column in metrics if column.startswith(("train_", "validate_"))]
    np.testing.assert_allclose(again[losses], metrics[losses], rtol=1e-9)
