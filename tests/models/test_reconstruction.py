"""Objectives of reconstruction beyond the plain ones: hidden genes, masking by error, zero-inflated squared error."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from scfm.models.bmfm.network import Network, Reconstruction, reconstruction_tasks
from scfm.models.bmfm.view import MASK, SPECIAL, VALUE, make_view

ALL = torch.ones(1, 30, dtype=torch.bool)


@pytest.fixture
def many():
    """Counts int64 [400, 30], at least one a cell."""
    table = np.random.default_rng(0).poisson(0.8, (400, 30))
    table[:, 0] += 1
    return table


def test_hidden_genes_are_a_share_of_the_shown_values_and_no_targets(ragged, many, bmfm, draw):
    settings = bmfm("mlm", objective_keys={"mask": 0.3, "gene_mask": 0.2}, zeros={"strategy": "all"})
    view = make_view(ragged(many), settings, ALL, draw())
    assert (view.kind[view.gene_position] == VALUE).all()
    assert not torch.isin(view.gene_position, view.target_position).any()
    assert torch.equal(view.gene_target, view.gene[view.gene_position])
    n = int((view.kind == VALUE).sum() - (view.kind[view.target_position] == VALUE).sum())
    assert len(view.gene_position) / n == pytest.approx(0.2, abs=5 * np.sqrt(0.16 / n))
    plain = make_view(ragged(many), bmfm("mlm", objective_keys={"mask": 0.3}, zeros={"strategy": "all"}), ALL, draw())
    assert plain.gene_position is None
    assert torch.equal(plain.target_position, view.target_position)
    assert torch.equal(plain.kind, view.kind)


def test_the_encoder_sees_the_value_and_not_the_hidden_gene(ragged, dense, bmfm, draw):
    settings = bmfm("mlm", objective_keys={"gene_mask": 0.5})
    network = Network(settings, 30, None, seed=0)
    view = make_view(ragged(dense), settings, ALL, draw())
    before = network.encode(view)
    view.gene[view.gene_position] = (view.gene[view.gene_position] + 7) % 30
    torch.testing.assert_close(network.encode(view), before, atol=0, rtol=0)
    view.value[view.gene_position] += 1
    assert not torch.allclose(network.encode(view), before)


def test_loss_of_hidden_genes_is_the_cross_entropy_over_the_vocabulary(ragged, dense, bmfm, draw):
    settings = bmfm("mlm", objective_keys={"gene_mask": 0.5, "gene_weight": 0.3})
    network = Network(settings, 30, None, seed=0)
    view = make_view(ragged(dense), settings, ALL, draw())
    task = network.tasks(view)[0]["gene"]
    logits = network.gene_decoder(network.encode(view)[view.gene_position])
    expected = -logits.log_softmax(1)[range(len(logits)), view.gene_target].sum()
    torch.testing.assert_close(task.total, expected, rtol=1e-4, atol=1e-4)
    assert (task.count, task.weight) == (len(view.gene_position), 0.3)
    assert len(logits) > 0


def test_no_weights_are_added_where_no_gene_is_hidden(bmfm):
    plain, hiding = (
        Network(bmfm("mlm", objective_keys={"gene_mask": share}), 30, None, seed=0).state_dict() for share in (0.0, 0.1)
    )
    new = set(hiding) - set(plain)
    assert {name.split(".")[0] for name in new} == {"gene_decoder", "embedding"}
    assert all(torch.equal(tensor, hiding[name]) for name, tensor in plain.items())


def test_hidden_genes_need_a_backbone_that_does_not_order_by_them(bmfm):
    with pytest.raises(ValidationError, match="gene_mask needs another backbone"):
        bmfm("mlm", encoder={"backbone": "nystromformer"}, objective_keys={"gene_mask": 0.1})


def test_targets_are_drawn_in_proportion_to_the_error_of_their_gene(ragged, bmfm, draw):
    cells, keys = 4000, {"mask": 0.2, "keep": 0.25}
    settings = bmfm("mlm", objective_keys=keys)
    error = torch.linspace(0.5, 2.0, 30)
    view = make_view(ragged(np.ones((cells, 30), int)), settings, ALL, draw(), gene_error=error)
    share = torch.bincount(view.gene[view.target_position], minlength=30) / cells
    expected = 0.2 * error / error.mean()
    assert ((share - expected).abs() < 5 * (expected * (1 - expected) / cells).sqrt()).all()
    kept = (view.kind[view.target_position] != MASK).float().mean().item()
    assert kept == pytest.approx(0.25, abs=5 * np.sqrt(0.1875 / len(view.target_position)))
    assert (view.kind[view.cls] == SPECIAL).all()


def test_equal_errors_are_uniform_masking(ragged, dense, bmfm, draw):
    settings = bmfm("mlm")
    plain = make_view(ragged(dense), settings, ALL, draw())
    equal = make_view(ragged(dense), settings, ALL, draw(), gene_error=torch.full((30,), 4.0))
    assert torch.equal(plain.target_position, equal.target_position)
    assert torch.equal(plain.kind, equal.kind)


def test_a_gene_of_all_the_error_is_always_a_target(ragged, bmfm, draw):
    error = torch.zeros(30)
    error[3] = 1.0
    view = make_view(ragged(np.ones((50, 30), int)), bmfm("mlm"), ALL, draw(), gene_error=error)
    assert view.gene[view.target_position].tolist() == [3] * 50


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_zero_inflated_error_is_that_of_the_expected_value(ragged, dense, bmfm, draw, objective):
    measured = torch.ones(2, 30, dtype=torch.bool)
    measured[1, 20:] = False
    dataset = np.arange(12) % 2
    dense[dataset == 1, 20:] = 0
    keys = {"zero_inflated_weight": 0.7}
    settings = bmfm(objective, objective_keys=keys, zeros={"strategy": "all"})
    view = make_view(ragged(dense, dataset), settings, measured, draw())
    shape = view.target_value.shape
    predicted = Reconstruction(torch.randn(shape, generator=draw(1)), torch.randn(shape, generator=draw(2)) * 3)
    task = reconstruction_tasks(predicted, view, settings.objective)["zero_inflated"]
    expected, n = 0.0, 0
    for where in np.ndindex(*shape):
        if view.target_mask is not None and not view.target_mask[where]:
            continue
        chance = 1 - torch.sigmoid(predicted.zero_logit[where]).item()
        expected += (chance * predicted.value[where].item() - view.target_value[where].item()) ** 2
        n += 1
    assert task.total.item() == pytest.approx(expected, rel=1e-4)
    assert (task.count.item(), task.weight) == (n, 0.7)
    assert (view.target_value == 0).any()
    assert "zero_inflated" not in reconstruction_tasks(predicted, view, bmfm(objective).objective)
