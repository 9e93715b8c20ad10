"""Losses, embeddings and expected counts of a CellPLM network, and batches at the edge."""

import numpy as np
import pytest
import torch
from tissues import batch
from torch.nn import functional as F

from scfm.errors import ScfmError
from scfm.models.cellplm.network import Network
from scfm.models.cellplm.settings import Cellplm
from scfm.models.negative_binomial import negative_binomial_nll
from scfm.models.sets import Sets
from scfm.models.tasks import combine
from scfm.settings import parse

GENES = 40


def network(datasets=1, seed=0, **keys):
    settings = {
        "encoder": {"layers": 2, "hidden": 16, "heads": 2, "ffn": 24, "gene_std": 0.3},
        "latent": {"width": 6, "components": 4},
        "decoder": {"hidden": 12, "bottleneck": 8},
    }
    return Network(Cellplm.model_validate(settings | keys), GENES, datasets, seed)


def counts(cells=60, seed=0):
    return np.random.default_rng(seed).poisson(0.8, (cells, GENES)).astype(np.float32)


def everything(datasets=1):
    return torch.ones(datasets, GENES, dtype=torch.bool)


def finite(model, cells, draw):
    """All three modes of a batch, with a backward pass."""
    view = model.view(cells, everything(), draw(), "train")
    tasks, _ = model.tasks(view, draw())
    combine(tasks, model.counts(view)).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)
    tasks, _ = model.tasks(model.view(cells, everything(), draw(), "validate"))
    assert all(task.total.isfinite() for task in tasks.values())
    view = model.view(cells, everything(), None, "embed")
    found = model.embed(view)
    assert all(vector.isfinite().all() for vector in found.values())
    assert model.expected(view).isfinite().all()
    return found


FREE = {"width": 6, "components": 4, "hinge": 0.0, "component_hinge": 0.0}


@pytest.mark.parametrize("latent", [FREE, {"kind": "plain", "width": 6}], ids=["mixture", "plain"])
def test_counts_are_those_of_the_tasks_and_every_weight_learns(draw, latent):
    model = network(latent=latent)
    view = model.view(batch(counts(), [0] * 30 + [1] * 30), everything(), draw(), "train")
    tasks, tracked = model.tasks(view, draw())
    assert tracked is None
    assert (
        set(tasks)
        == set(model.counts(view))
        == {"masked", "cell"} | ({"latent", "component"} if "components" in latent else set())
    )
    assert all(torch.equal(tasks[name].count, count) for name, count in model.counts(view).items())
    assert tasks["masked"].count == view.hidden.sum() < tasks["cell"].count
    combine(tasks, model.counts(view)).backward()
    idle = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert not idle


def test_losses_of_batches_of_whole_sets_add_up(draw):
    model, table, set_of = network(), counts(), np.arange(60) // 20
    view = model.view(batch(table, set_of), everything(), draw(), "validate")
    whole = model.tasks(view)[0]
    parts = [model.tasks(_part(view, number))[0] for number in range(3)]
    for name, task in whole.items():
        torch.testing.assert_close(task.total, sum(part[name].total for part in parts), rtol=1e-5, atol=1e-4)
        assert task.count == sum(part[name].count for part in parts)


def _part(view, number):
    """The view of one of its sets."""
    inside = (view.set_of == number).nonzero().squeeze(1)
    first, last = int(inside[0]), int(inside[-1]) + 1
    starts = torch.cat([view.starts, torch.tensor([len(view.gene)])])
    rows = (view.chosen >= first) & (view.chosen < last)
    a, b = int(starts[first]), int(starts[last])
    return type(view)(
        view.gene[a:b],
        view.value[a:b],
        view.starts[first:last] - a,
        torch.zeros(last - first, dtype=torch.int64),
        view.dataset[first:last],
        None,
        view.chosen[rows] - first,
        view.decoded,
        view.target[rows],
        view.measured[rows],
        view.hidden[rows],
    )


def test_unmeasured_genes_add_exactly_nothing(draw):
    model, measured = network(2), everything(2)
    measured[0, :15] = False
    measured[1, 25:] = False
    cells = batch(counts() * measured.numpy()[np.arange(60) % 2], [0] * 60)
    cells.dataset = torch.arange(60) % 2
    view = model.view(cells, measured, draw(), "validate")
    before = model.tasks(view)[0]
    view.target = view.target.masked_fill(~view.measured, 1000.0)
    after = model.tasks(view)[0]
    for name in ("masked", "cell"):
        assert torch.equal(before[name].total, after[name].total)
        assert torch.equal(before[name].count, after[name].count)
    only_first = model.view(_first_dataset(cells), measured, draw(), "validate")
    combine(model.tasks(only_first)[0], model.counts(only_first)).backward()
    gradient = model.decoder.out.bias.grad
    assert torch.equal(gradient[:15], torch.zeros(15))
    assert (gradient[15:] != 0).all()


def _first_dataset(cells):
    cells.dataset = torch.zeros_like(cells.dataset)
    return cells


def test_the_likelihood_has_no_gradient_at_cells_that_hide_nothing(draw):
    model = network(latent={"kind": "plain", "width": 6})
    held = []
    model.latent.register_forward_hook(lambda part, given, found: held.append(found.mean))
    view = model.view(batch(counts(), [0] * 60), everything(), draw(), "train")
    tasks, _ = model.tasks(view)
    (gradient,) = torch.autograd.grad(tasks["masked"].total + tasks["cell"].total, held)
    chosen = torch.zeros(len(view.set_of), dtype=torch.bool)
    chosen[view.chosen] = True
    assert torch.equal(gradient[~chosen], torch.zeros_like(gradient[~chosen]))
    assert gradient[chosen].any(1).all()


def test_a_decoded_subset_is_a_part_of_the_whole(draw):
    model, z = network(), torch.randn(9, 6, generator=draw())
    dataset, genes = torch.zeros(9, dtype=torch.int64), torch.tensor([3, 0, 17])
    mean, dispersion = model.decoder(z, dataset)
    some, few = model.decoder(z, dataset, genes)
    torch.testing.assert_close(some, mean[:, genes])
    assert torch.equal(few, dispersion[genes])


def test_the_cell_token_is_the_weighted_sum_of_gene_vectors():
    model, table = network(), counts()
    embedder = model.encoder.embedder
    view = model.view(batch(table, [0] * 60), everything(), None, "embed")
    summed = torch.from_numpy(table).log1p() @ embedder.gene.weight
    expected = embedder.norm(F.relu(embedder.linear(summed)))
    torch.testing.assert_close(embedder(view, None), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("inference", ["probabilities", "argmax"])
def test_inference_is_bit_identical(inference):
    model = network(latent={"width": 6, "components": 4, "inference": inference})
    cells = batch(counts(), [0] * 60)
    first, second = ((model.embed(view), model.expected(view)) for view in _twice(model, cells))
    assert set(first[0]) == set(model.settings.poolings)
    assert all(torch.equal(first[0][name], second[0][name]) for name in first[0])
    assert torch.equal(first[1], second[1])
    assert first[0]["latent"].shape == (60, 6)
    assert first[0]["cell"].shape == (60, 16)


def _twice(model, cells):
    return [model.view(cells, everything(), None, "embed") for _ in range(2)]


def test_seeds_give_the_weights_whatever_ran_before():
    torch.manual_seed(1)
    one = network(seed=3).state_dict()
    torch.manual_seed(2)
    same, other = network(seed=3).state_dict(), network(seed=4).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["latent.logits.weight"], other["latent.logits.weight"])


def test_training_draws_come_from_the_generator(draw):
    model = network()
    view = model.view(batch(counts(), [0] * 60), everything(), draw(), "train")
    one, same, other = (model.tasks(view, draw(seed))[0]["masked"].total for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_decoder_starts_at_the_mean_counts_of_genes(draw):
    model, mean = network(), torch.from_numpy(counts().mean(0))
    model.start_at_means(mean)
    model.decoder.out.weight.data.zero_()
    view = model.view(batch(counts(), [0] * 60), everything(), draw(), "validate")
    torch.testing.assert_close(model.expected(view), mean.clamp(min=1e-5).expand(60, -1))
    task = model.tasks(view)[0]["cell"]
    expected = negative_binomial_nll(view.target, mean.log().expand(len(view.target), -1), torch.zeros(GENES)).sum()
    torch.testing.assert_close(task.total, expected)


@pytest.mark.parametrize("mean", [torch.ones(3), -torch.ones(GENES), torch.full((GENES,), torch.nan)])
def test_means_that_do_not_fit_are_refused(mean):
    with pytest.raises(ScfmError, match="mean counts of genes"):
        network().start_at_means(mean)


def test_the_dataset_moves_what_is_expected_and_an_unknown_one_is_their_mean():
    model = network(3)
    view = model.view(batch(counts(), [0] * 60), everything(3), None, "embed")
    known = [model.expected(view, dataset=torch.full((60,), number)) for number in range(3)]
    assert not torch.equal(known[0], known[1])
    unknown = model.expected(view, dataset=torch.full((60,), -1))
    assert torch.equal(unknown, model.expected(view, dataset=torch.full((60,), 3)))
    model.decoder.dataset.weight.data[:] = model.decoder.dataset.weight.data[:1]
    same = model.expected(view, dataset=torch.full((60,), 1))
    torch.testing.assert_close(model.expected(view, dataset=torch.full((60,), -1)), same)


def test_positions_change_cells_that_have_some(draw):
    model, table = network(), counts()
    bare = model.embed(model.view(batch(table, [0] * 60), everything(), None, "embed"))["cell"]
    cells = batch(table, np.arange(60) // 30)
    x = torch.rand(60, generator=draw())
    x[40:] = torch.nan
    cells.labels |= {"x": x, "y": torch.rand(60, generator=draw(1))}
    found = model.embed(model.view(cells, everything(), None, "embed"))["cell"]
    assert found.isfinite().all()
    assert not torch.equal(bare[:30], found[:30])
    finite(model, cells, draw)
    cells.labels |= {"x": torch.full((60,), torch.nan)}
    absent = model.view(cells, everything(), None, "embed")
    plain = model.view(batch(table, np.arange(60) // 30), everything(), None, "embed")
    assert torch.equal(model.embed(absent)["cell"], model.embed(plain)["cell"])


def test_batches_at_the_edge(draw):
    table = counts()
    table[5] = 0
    model = network()
    for set_of in ([0] * 60, np.arange(60), [0] + [1] * 59):
        finite(model, batch(table, set_of), draw)
    finite(model, batch(table[:1], [0]), draw)
    finite(model, batch(np.zeros((3, GENES), np.float32), [0, 0, 1]), draw)


def test_a_batch_of_which_no_cell_is_chosen_has_no_target(draw):
    model = network(masking={"cells": 1e-9})
    view = model.view(batch(counts(), [0] * 60), everything(), draw(), "train")
    tasks, _ = model.tasks(view, draw())
    assert tasks["masked"].count == tasks["cell"].count == 0
    assert combine(tasks, model.counts(view)).isfinite()


def test_mixed_precision_gives_nearly_the_same_losses(draw):
    model = network()
    view = model.view(batch(counts(), [0] * 60), everything(), draw(), "validate")
    exact = model.tasks(view)[0]
    with torch.autocast("cpu", torch.bfloat16):
        rough = model.tasks(view)[0]
    for name, task in exact.items():
        assert rough[name].total.dtype == torch.float32
        torch.testing.assert_close(rough[name].total, task.total, rtol=0.02, atol=0.1)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"encoder": {"hidden": 20, "heads": 3}}, "must be a multiple of heads"),
        ({"encoder": {"hidden": 6, "heads": 2}}, "must be a multiple of 4"),
        ({"masking": {"genes": 0.5, "most": 0.4}}, "must not be below genes"),
        ({"latent": {"kind": "plain", "components": 4}}, "unknown key"),
        ({"sets": {"by": []}}, "at least one column"),
    ],
)
def test_settings_that_do_not_fit_are_refused(keys, message):
    with pytest.raises(ScfmError, match=message):
        parse(Cellplm, keys, "model")


def test_the_defaults_are_those_of_the_paper():
    settings = Cellplm()
    assert (settings.encoder.layers, settings.encoder.hidden, settings.encoder.heads) == (4, 1024, 8)
    assert (settings.latent.components, settings.latent.width) == (16, 512)
    assert settings.sets == Sets(by=("dataset", "donor", "tissue"), cells=4000)
