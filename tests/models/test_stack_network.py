"""Attention over both axes, masks, likelihood and tables of a STACK network, and batches at the edge."""

import numpy as np
import pytest
import torch
from scipy import stats
from tissues import batch

from scfm.errors import ScfmError
from scfm.models.negative_binomial import negative_binomial_nll
from scfm.models.stack.decoder import Decoder
from scfm.models.stack.encoder import Attention, Encoder, who_sees_whom
from scfm.models.stack.network import Network
from scfm.models.stack.settings import Masking, Stack
from scfm.models.stack.view import hidden_genes
from scfm.models.tasks import combine
from scfm.settings import parse

GENES = 40
SMALL = {"modules": 6, "width": 8, "layers": 2, "heads": 2, "set_heads": 4, "ffn": 16}


def network(seed=0, **keys):
    return Network(Stack.model_validate({"transformer": SMALL} | keys), GENES, 1, seed)


def counts(cells=60, seed=0):
    return np.random.default_rng(seed).poisson(0.8, (cells, GENES)).astype(np.float32)


def everything(datasets=1):
    return torch.ones(datasets, GENES, dtype=torch.bool)


def embedded(model, table, set_of):
    with torch.no_grad():
        return model.embed(model.view(batch(table, set_of), everything(), None, "embed"))["modules"]


def encoded(model, table, prompt=None):
    """Vectors [cells, modules x width] of one set, its first rows the prompt."""
    real = torch.ones(1, len(table), dtype=torch.bool)
    mask = who_sees_whom(real, None if prompt is None else torch.arange(len(table))[None] < prompt)
    with torch.no_grad():
        return model.encoder(torch.from_numpy(table)[None], mask)[0].flatten(1)


def test_cells_have_no_order():
    model, table, rng = network(), counts(), np.random.default_rng(1)
    order = rng.permutation(60)
    torch.testing.assert_close(encoded(model, table[order]), encoded(model, table)[order], rtol=0, atol=1e-5)
    order = np.concatenate([rng.permutation(20), 20 + rng.permutation(40)])
    torch.testing.assert_close(encoded(model, table[order], 20), encoded(model, table, 20)[order], rtol=0, atol=1e-5)


def test_the_prompt_sees_itself_alone():
    model, table = network(), counts()
    other = np.concatenate([table[:20], counts(seed=5)[20:]])
    assert torch.equal(encoded(model, table, 20)[:20], encoded(model, other, 20)[:20])
    prompted = np.concatenate([counts(seed=5)[:20], table[20:]])
    assert (encoded(model, table, 20) - encoded(model, prompted, 20))[20:].abs().max() > 1e-2


def test_sets_never_see_each_other_and_may_differ_in_size():
    model, table, set_of = network(), counts(), np.repeat([0, 1, 2], [25, 1, 34])
    together = embedded(model, table, set_of)
    for number in range(3):
        own = set_of == number
        alone = embedded(model, table[own], np.zeros(own.sum()))
        torch.testing.assert_close(together[own], alone, rtol=0, atol=1e-5)
    assert (embedded(model, table, np.arange(60)) - together)[:25].abs().max() > 1e-3  # mates matter


def test_without_attention_across_cells_a_cell_stands_by_itself():
    model, table = network(transformer=SMALL | {"across_cells": False}), counts()
    one = embedded(model, table, np.zeros(60))
    torch.testing.assert_close(one, embedded(model, table, np.arange(60)), rtol=0, atol=1e-5)


def test_attention_is_that_of_pytorch(draw):
    own, reference = Attention(16, 4), torch.nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.normal_(std=0.3, generator=draw())
        reference.in_proj_weight.copy_(own.qkv.weight)
        reference.in_proj_bias.zero_()
        reference.out_proj.weight.copy_(own.out.weight)
        reference.out_proj.bias.copy_(own.out.bias)
    x, sees = torch.randn(3, 7, 16, generator=draw()), torch.rand(3, 1, 7, 7, generator=draw()) < 0.6
    sees |= torch.eye(7, dtype=torch.bool)
    expected = reference(x, x, x, attn_mask=~sees.expand(3, 4, 7, 7).flatten(0, 1))[0]
    torch.testing.assert_close(own(x, sees), expected, rtol=1e-4, atol=1e-5)


def test_shares_sum_to_one_and_means_to_the_depth():
    model, table = network(), counts()
    x = torch.randn(60, 6, 8, generator=torch.Generator().manual_seed(0)) * 3
    depth = torch.from_numpy(table.sum(1))
    with torch.no_grad():
        log_share, log_dispersion = model.decoder(x, torch.ones(60))
        log_mean, _ = model.decoder(x, depth)
        some, some_dispersion = model.decoder(x, depth, torch.tensor([3, 17]))
    np.testing.assert_allclose(log_share.exp().sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(log_mean.exp().sum(1), depth, rtol=1e-3)
    assert log_dispersion.isfinite().all()
    torch.testing.assert_close(some, log_mean[:, [3, 17]])
    torch.testing.assert_close(some_dispersion, log_dispersion[:, [3, 17]])
    n, mean = log_dispersion.double().exp().numpy(), log_mean.double().exp().numpy()
    expected = -stats.nbinom.logpmf(table, n, n / (n + mean))
    np.testing.assert_allclose(
        negative_binomial_nll(torch.from_numpy(table), log_mean, log_dispersion), expected, atol=1e-4
    )


@pytest.mark.parametrize("rate", [0.1, 0.35, 0.8])
def test_the_share_of_hidden_genes_is_the_one_asked_for(rate, draw):
    assert abs(len(hidden_genes(1000, Masking(least=rate, most=rate), draw())) / 1000 - rate) < 0.02


def test_shares_of_hidden_genes_are_uniform(draw):
    shares = [len(hidden_genes(1000, Masking(), generator)) / 1000 for generator in map(draw, range(300))]
    assert stats.kstest(shares, stats.uniform(0.1, 0.7).cdf).pvalue > 1e-3


def test_all_cells_hide_the_same_genes_and_only_these_are_scored(draw):
    model = network(sliced={"weight": 0.0})
    view = model.view(batch(counts(), np.arange(60) // 20), everything(), draw(), "train")
    assert view.hidden.diff().gt(0).all()
    assert view.scored.shape == (60, len(view.hidden))
    assert view.scored.all()
    combine(model.tasks(view)[0], model.counts(view)).backward()
    touched = model.decoder.dispersion.bias.grad != 0
    assert torch.equal(touched.nonzero().squeeze(1), view.hidden)
    seen = (model.encoder.tokens.weight.grad != 0).any(0)
    assert not seen[view.hidden].any()  # their counts are 0 in the input


def test_unmeasured_genes_are_no_targets(draw):
    cells = batch(counts(), np.arange(60) // 20)
    cells.dataset = torch.arange(60) // 30
    measured = everything(2)
    measured[1, ::2] = False
    model = network()
    view = model.view(cells, measured, draw(), "train")
    assert torch.equal(view.scored, measured[cells.dataset][:, view.hidden])
    assert model.counts(view)["masked"] == view.scored.sum() < view.scored.numel()


def test_counts_are_those_of_the_tasks_and_every_weight_learns(draw):
    model = network()
    view = model.view(batch(counts(), [0] * 30 + [1] * 30), everything(), draw(), "train")
    tasks, tracked = model.tasks(view, draw())
    assert tracked is None
    assert set(tasks) == set(model.counts(view)) == {"masked", "sliced"}
    assert all(torch.equal(tasks[name].count, count) for name, count in model.counts(view).items())
    combine(tasks, model.counts(view)).backward()
    assert not {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}


def test_poolings_are_offered_and_weights_follow_the_seed():
    model, view = network(), None
    view = model.view(batch(counts(), np.zeros(60)), everything(), None, "embed")
    found = model.embed(view)
    assert tuple(found) == model.settings.poolings
    assert found["modules"].shape == (60, 48)
    torch.testing.assert_close(found["mean"], found["modules"].view(60, 6, 8).mean(1))
    assert model.expected(view).shape == (60, GENES)
    one, two, other = (network(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["encoder.tokens.weight"], other["encoder.tokens.weight"])


EDGES = {"a set of one cell": [0] * 59 + [1], "all alone": list(range(60))}


@pytest.mark.parametrize("set_of", EDGES.values(), ids=EDGES)
def test_small_sets_and_empty_cells_give_numbers(set_of, draw):
    table = counts()
    table[:5] = table[59] = 0
    cells, model = batch(table, set_of), network()
    for mode in ("train", "validate"):
        view = model.view(cells, everything(), draw(), mode)
        tasks, _ = model.tasks(view, draw())
        assert all(task.total.isfinite() for task in tasks.values())
    combine(tasks, model.counts(view)).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    view = model.view(cells, everything(), None, "embed")
    assert all(vectors.isfinite().all() for vectors in model.embed(view).values())
    assert model.expected(view)[0].sum() < 1e-5


def test_cells_without_sets_are_refused(draw):
    cells = batch(counts(), np.zeros(60))
    del cells.labels["set"]
    with pytest.raises(ScfmError, match="label 'set' is missing"):
        network().view(cells, everything(), draw(), "train")
    with pytest.raises(ScfmError, match="must count up from 0"):
        network().view(batch(counts(), np.arange(60) % 2), everything(), draw(), "train")


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ({"transformer": {"width": 10, "heads": 4}}, "must be a multiple of heads"),
        ({"transformer": {"modules": 5, "width": 4, "heads": 2, "set_heads": 3}}, "multiple of set_heads"),
        ({"masking": {"least": 0.5, "most": 0.2}}, "must not be below least"),
        ({"sliced": {"least": 200}}, "must not be below least"),
        ({"prompt": {"share": 1.0}}, "less than 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(model, fault):
    with pytest.raises(ScfmError, match=fault):
        parse(Stack, model, "test")


def test_the_published_size():
    sizes = Stack().transformer
    with torch.device("meta"):
        parts = Encoder(15_012, sizes), Decoder(15_012, sizes)
    assert sum(p.numel() for part in parts for p in part.parameters()) == pytest.approx(217e6, rel=0.01)
