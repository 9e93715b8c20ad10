import math

import numpy as np
import pytest
import torch

from scfm.errors import ScfmError
from scfm.models.bmfm.network import Network
from scfm.models.bmfm.settings import BinnedValue, Input, MlpValue, PeriodicValue
from scfm.models.bmfm.values import Periodic, quantile_bins, value_encoder
from scfm.models.bmfm.view import MASK, VALUE, make_view
from scfm.models.cells import cell_of
from scfm.settings import parse

RELEASE = {"frequencies": 48, "lowest": 0.01, "octaves": 47}
KINDS = [{}, {"trainable": True}, {"kind": "mlp"}, {"kind": "mlp", "activation": "relu"}, {"kind": "bins", "bins": 4}]


def everything(genes):
    return torch.ones(1, genes, dtype=torch.bool)


def read(**keys):
    return parse(Input, {"value_encoder": keys}, "x").value_encoder


def near_ten(settings):
    """501 values near 10, their features in float32, the same in float64, and the features of values 0.01 above.

    The frequencies of float64 are those that float32 holds, so that only the arithmetic differs.
    """
    x = torch.linspace(9.5, 10.5, 501)
    encoder = Periodic(settings, 8)
    angle = x.double()[:, None] * encoder.phase.double()
    seen, above = (encoder.features(value).double().numpy() for value in (x, x + 0.01))
    return seen, torch.cat([angle.sin(), angle.cos()], dim=1).numpy(), above


def by_frequency(features):
    return features.reshape(len(features), 2, -1)


def test_our_ladder_tells_values_apart_where_float32_still_holds():
    settings = PeriodicValue()
    ladder = Periodic(settings, 8).phase / (2 * math.pi)
    assert ladder[0].item() == pytest.approx(0.01)
    assert ladder[-1].item() == pytest.approx(0.01 * 2**20, rel=1e-5)
    np.testing.assert_allclose(np.diff(np.log2(ladder)), 20 / 47, rtol=1e-3)
    seen, truth, above = near_ten(settings)
    error = np.abs(seen - truth).max()
    assert error < 0.05
    # At every value some frequency moves by many times the error that any of them has.
    assert np.linalg.norm(by_frequency(above - seen), axis=1).max(1).min() > 20 * error


def test_the_releases_ladder_is_noise_in_its_top_octaves():
    settings = read(**RELEASE)
    ladder = Periodic(settings, 8).phase.double().numpy() / (2 * math.pi)
    np.testing.assert_allclose(ladder, 0.01 * 2.0 ** np.arange(48), rtol=1e-5)
    seen, truth, above = near_ten(settings)
    error = by_frequency(np.abs(seen - truth)).max((0, 1))
    assert (error[:18] < 0.05).all()
    assert (error[27:] > 1).all()  # of features that lie in [-1, 1]
    # A sine has a mean product of 0.5 with itself; with its float32 version, of 0, as two sines of unlike phase.
    product = (seen * truth)[:, 28:48].mean(0)
    assert np.abs(product).max() < 5 * 0.5 / math.sqrt(501)
    # So no distance that these octaves show is more than the error of what they show.
    distance = np.linalg.norm(by_frequency(above - seen), axis=1).max(0)
    assert (distance[28:] < 2 * error[28:]).all()


def test_a_missing_kind_is_periodic_and_another_is_an_error():
    assert Input().value_encoder == read() == read(kind="periodic") == PeriodicValue()
    assert read(octaves=8) == PeriodicValue(octaves=8)
    assert read(kind="mlp", activation="relu") == MlpValue(kind="mlp", activation="relu")
    for keys, message in (
        ({"kind": "fourier"}, "'periodic', 'mlp', 'bins'"),
        ({"kind": "mlp", "octaves": 8}, "octaves"),
    ):
        with pytest.raises(ScfmError, match=message):
            read(**keys)


def test_trainable_frequencies_start_at_the_ladder_and_learn():
    fixed, learnt = (Periodic(read(trainable=t, octaves=8), 8) for t in (False, True))
    x = torch.linspace(0, 10, 7)
    torch.testing.assert_close(learnt.features(x), fixed.features(x), atol=1e-3, rtol=0)
    learnt(x).square().sum().backward()
    assert (learnt.log_phase.grad != 0).all()
    assert "phase" not in fixed.state_dict()
    assert "log_phase" in learnt.state_dict()


@pytest.mark.parametrize(("activation", "function"), [("relu", lambda z: max(z, 0.0)), ("gelu", None)])
def test_an_mlp_against_a_loop(activation, function):
    torch.manual_seed(0)
    module = value_encoder(MlpValue(kind="mlp", hidden=5, activation=activation), 3)
    function = function or (lambda z: z * 0.5 * (1 + math.erf(z / math.sqrt(2))))
    weights = {name: w.detach().double().numpy() for name, w in module.state_dict().items()}
    for x in (0.5, 7.0):
        hidden = [
            function(w * x + b) for w, b in zip(weights["hidden.weight"][:, 0], weights["hidden.bias"], strict=True)
        ]
        expected = weights["out.weight"] @ np.array(hidden) + weights["out.bias"]
        np.testing.assert_allclose(module(torch.tensor([x]))[0].detach(), expected, rtol=1e-4)


def test_an_mlp_sees_whole_values_under_mixed_precision():
    torch.manual_seed(0)
    module = value_encoder(MlpValue(kind="mlp", hidden=5), 3)
    x = torch.tensor([10.0, 10.01])
    seen = []
    module.activation.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    with torch.autocast("cpu", torch.bfloat16):
        assert module(x).dtype == torch.bfloat16
    torch.testing.assert_close(seen[0][1] - seen[0][0], 0.01 * module.hidden.weight[:, 0], atol=1e-5, rtol=1e-2)


@pytest.mark.parametrize("bins", [2, 3, 10, 50])
def test_bins_are_those_of_numpy_quantiles_cell_by_cell(dense, bins):
    dense[4], dense[5, 1:] = 0, 0  # a cell without genes, and one of a single gene
    dense[6], dense[7] = 3, np.arange(1, 31)  # all equal, and all different
    cell, gene = np.nonzero(dense)
    y = dense[cell, gene]
    lengths = torch.from_numpy((dense > 0).sum(1))
    binned = quantile_bins(torch.from_numpy(cell), torch.from_numpy(y).float(), lengths, bins).numpy()
    for i in range(len(dense)):
        own = y[cell == i]
        if len(own):
            edges = np.quantile(own, np.arange(1, bins) / bins, method="inverted_cdf")
            np.testing.assert_array_equal(binned[cell == i], np.digitize(own, edges, right=True))
    assert set(binned[cell == 5]) == set(binned[cell == 6]) == {0}
    assert len(set(binned[cell == 7])) == min(bins, 30)


def test_bins_of_no_cell_and_of_empty_cells():
    none = torch.zeros(0, dtype=torch.int64)
    for lengths in (none, torch.zeros(2, dtype=torch.int64)):
        assert quantile_bins(none, torch.zeros(0), lengths, 5).tolist() == []


def test_bins_depend_on_the_whole_cell_not_on_what_is_shown(ragged, dense, bmfm, draw):
    keys = {"value_encoder": {"kind": "bins", "bins": 5}}
    cells = ragged(dense)
    y = torch.from_numpy(dense[dense > 0]).float()
    table = np.full(dense.shape, -1)
    table[dense > 0] = quantile_bins(cell_of(cells.lengths), y, cells.lengths, 5).numpy()
    zeros = {"strategy": "interleave", "plain_cells": 0.0}
    for objective, more in (("wced", {"tokens": 4}), ("wced", {"dropout": 0.5}), ("mlm", {"zeros": zeros})):
        view = make_view(ragged(dense), bmfm(objective, **keys, **more), everything(30), draw())
        numeric = view.kind == VALUE
        np.testing.assert_array_equal(view.bin[numeric], table[view.cell[numeric], view.gene[numeric]])
        assert (view.kind == MASK).any() == (objective == "mlm")
    assert make_view(ragged(dense), bmfm(), everything(30), draw()).bin is None


def test_bins_do_not_depend_on_depth(ragged, dense, bmfm):
    settings = bmfm(value_encoder={"kind": "bins", "bins": 5})
    network = Network(settings, 30, None, seed=0)
    views = [make_view(ragged(dense * k), settings, everything(30), None, "embed") for k in (1, 7)]
    assert torch.equal(network.encode(views[0]), network.encode(views[1]))


@pytest.mark.parametrize("keys", KINDS, ids=str)
def test_every_encoder_reads_values_and_learns(ragged, dense, bmfm, draw, keys):
    settings = bmfm("mlm", value_encoder=keys, objective_keys={"keep": 0.0})
    network = Network(settings, 30, None, seed=0)
    again = Network(settings, 30, None, seed=0).state_dict()
    assert all(torch.equal(again[name], value) for name, value in network.state_dict().items())
    view = make_view(ragged(dense), settings, everything(30), draw())
    before = network.encode(view)
    tasks, _ = network.tasks(view)
    sum(task.total for task in tasks.values()).backward()
    assert all(p.grad is not None and p.grad.any() for p in network.embedding.value.parameters())
    read = view.value if view.bin is None else view.bin
    read[view.target_position] = 3
    assert torch.equal(network.encode(view), before)  # what is hidden cannot be read
    read[view.kind == VALUE] = 3
    assert not torch.equal(network.encode(view), before)


def test_bins_are_as_many_vectors():
    assert value_encoder(BinnedValue(kind="bins", bins=7), 3).weight.shape == (7, 3)
