import numpy as np
import pytest
import torch

from scfm.models.bmfm.network import Network
from scfm.models.bmfm.view import MASK, SPECIAL, VALUE, ZERO, make_view, normalise


def log_normalised(dense):
    return np.log1p(1e4 * dense / dense.sum(1, keepdims=True))


def everything(genes):
    return torch.ones(1, genes, dtype=torch.bool)


def test_values_are_normalised_by_the_whole_cell(ragged, dense, bmfm, draw):
    y = log_normalised(dense)
    np.testing.assert_allclose(normalise(ragged(dense)), y[dense > 0], rtol=1e-6)
    for mode, keys in (("train", {"tokens": 3}), ("train", {"dropout": 0.5}), ("embed", {"inference_tokens": 3})):
        view = make_view(ragged(dense), bmfm(**keys), everything(30), draw(), mode)
        numeric = view.kind == VALUE
        np.testing.assert_allclose(view.value[numeric], y[view.cell[numeric], view.gene[numeric]], rtol=1e-6)


def test_each_cell_begins_with_its_special_tokens(ragged, dense, bmfm, draw):
    view = make_view(ragged(dense), bmfm(heads=1, tokens=5), everything(30), draw())
    lengths = 2 + np.minimum((dense > 0).sum(1), 5)
    np.testing.assert_array_equal(view.starts, np.concatenate([[0], lengths.cumsum()]))
    np.testing.assert_array_equal(view.cell, np.repeat(np.arange(12), lengths))
    np.testing.assert_array_equal(view.cls, view.starts[:-1, None] + torch.tensor([0, 1]))
    assert view.gene[view.cls].tolist() == [[30, 31]] * 12
    assert view.longest == lengths.max()
    assert view.starts.dtype == torch.int32
    np.testing.assert_array_equal((view.kind == SPECIAL).nonzero().flatten(), view.cls.flatten())


def test_masking_hides_its_share_of_gene_positions(ragged, bmfm, draw):
    table = np.random.default_rng(0).poisson(2.0, (300, 80))
    table[:, 0] += 1
    settings = bmfm("mlm", tokens=100, zeros={"strategy": "interleave", "plain_cells": 0.0})
    view = make_view(ragged(table), settings, everything(80), draw())
    positions, targets = (view.kind != SPECIAL).sum().item(), view.target_position
    assert len(targets) / positions == pytest.approx(0.15, abs=5 * np.sqrt(0.15 * 0.85 / positions))
    shown = view.kind[targets] != MASK
    assert shown.float().mean().item() == pytest.approx(0.05, abs=5 * np.sqrt(0.05 * 0.95 / len(targets)))
    assert (view.kind == MASK).sum() == (~shown).sum()
    assert not torch.isin(view.cls.flatten(), targets).any()
    truth = torch.from_numpy(log_normalised(table))[view.cell[targets], view.gene[targets]]
    torch.testing.assert_close(view.target_value, truth.float())
    zeros = view.target_value == 0
    assert zeros.any()
    assert set(view.kind[targets][zeros & shown].tolist()) == {ZERO}


def test_a_hidden_value_cannot_be_read(ragged, dense, bmfm, draw):
    settings = bmfm("mlm", objective_keys={"mask": 0.5, "keep": 0.0})
    view = make_view(ragged(dense), settings, everything(30), draw())
    network = Network(settings, 30, None, seed=0)
    before = network.encode(view)
    view.value[view.target_position] = 7.0
    assert torch.equal(network.encode(view), before)


@pytest.mark.parametrize("keys", [{}, {"dropout": 0.9}, {"tokens": 2}], ids=str)
def test_whole_cell_targets_are_every_gene_whatever_the_input(ragged, dense, bmfm, draw, keys):
    measured = torch.from_numpy(np.random.default_rng(1).random((3, 30)) < 0.5)
    dataset = np.arange(12) % 3
    view = make_view(ragged(dense, dataset), bmfm(**keys), measured, draw())
    np.testing.assert_allclose(view.target_value, log_normalised(dense), rtol=1e-6)
    np.testing.assert_array_equal(view.target_mask, measured[dataset])
    assert view.target_position is None


def test_embedding_has_no_target_and_nothing_random(ragged, dense, bmfm):
    for objective in ("mlm", "wced"):
        view = make_view(ragged(dense), bmfm(objective), everything(30), None, "embed")
        assert view.target_value is None
        assert set(view.kind.tolist()) == {VALUE, SPECIAL}


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_a_cell_without_genes_is_a_cls_alone(ragged, dense, bmfm, draw, objective):
    dense[3] = 0
    settings = bmfm(objective)
    view = make_view(ragged(dense), settings, everything(30), draw())
    assert view.starts.diff()[3] == 1
    network = Network(settings, 30, None, seed=0)
    tasks, _ = network.tasks(view)
    hidden = network.encode(view)
    assert hidden.isfinite().all()
    assert all(task.total.isfinite() for task in tasks.values())
    pooled = network.pool(hidden, view)
    torch.testing.assert_close(pooled["mean"][3], torch.zeros(16), atol=1e-6, rtol=0)
    if objective == "wced":
        assert not view.target_value[3].any()
    else:
        assert 3 not in view.cell[view.target_position]


def test_a_batch_of_nothing_but_an_empty_cell(ragged, bmfm, draw):
    for objective in ("mlm", "wced"):
        settings = bmfm(objective, zeros={"strategy": "interleave", "plain_cells": 0.0})
        for mode in ("train", "embed"):
            view = make_view(ragged(np.zeros((1, 5), int)), settings, everything(5), draw(), mode)
            assert Network(settings, 5, None, seed=0).encode(view).isfinite().all()


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_the_order_of_genes_does_not_matter(ragged, dense, bmfm, objective):
    settings = bmfm(objective, heads=1)
    network = Network(settings, 30, torch.eye(2, dtype=torch.bool), seed=0)
    cells = ragged(dense)
    shuffled = ragged(dense)
    rng = np.random.default_rng(0)
    starts = cells.lengths.cumsum(0) - cells.lengths
    order = np.concatenate([a + rng.permutation(int(n)) for a, n in zip(starts, cells.lengths, strict=True)])
    shuffled.gene, shuffled.count = cells.gene[order], cells.count[order]
    views = [make_view(batch, settings, everything(30), None, "embed") for batch in (cells, shuffled)]
    assert not torch.equal(views[0].gene, views[1].gene)
    one, other = (network.pool(network.encode(view), view) for view in views)
    for name in settings.poolings:
        torch.testing.assert_close(one[name], other[name], atol=2e-5, rtol=1e-4)


def test_cells_of_a_batch_never_influence_each_other(ragged, dense, bmfm):
    settings = bmfm(heads=1)
    network = Network(settings, 30, torch.eye(2, dtype=torch.bool), seed=0)
    together = make_view(ragged(dense[:3]), settings, everything(30), None, "embed")
    hidden = network.encode(together)
    alone = [make_view(ragged(dense[i : i + 1]), settings, everything(30), None, "embed") for i in range(3)]
    torch.testing.assert_close(hidden, torch.cat([network.encode(view) for view in alone]), atol=2e-5, rtol=1e-4)
