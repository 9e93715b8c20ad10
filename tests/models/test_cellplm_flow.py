"""Flow attention and the encoder about it: against the explicit formulas, and one set never sees another."""

import numpy as np
import pytest
import torch
from tissues import batch

from scfm.models.cellplm.flow import EPSILON, flow_attention, lay_out
from scfm.models.cellplm.network import Network
from scfm.models.cellplm.settings import Cellplm

LENGTHS = [130, 1, 64, 65, 7]


def numbers(lengths):
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))


def tokens(cells, seed=0, scale=2.0):
    draw = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(cells, 3, 8, generator=draw, dtype=torch.float64) for _ in range(3)]


def explicit(query, key, value):
    """One set and one head by O(N²) sums, and its matrix of normalised flows."""
    q, k, n = query.sigmoid(), key.sigmoid(), len(query)
    incoming = torch.stack([((q[a] + EPSILON) * (k.sum(0) + EPSILON)).sum() for a in range(n)])
    outgoing = torch.stack([((k[b] + EPSILON) * (q.sum(0) + EPSILON)).sum() for b in range(n)])
    sink = ((q + EPSILON) * ((k / outgoing[:, None]).sum(0) + EPSILON)).sum(1)
    source = ((k + EPSILON) * ((q / incoming[:, None]).sum(0) + EPSILON)).sum(1).clamp(-1, 1)
    flows = q @ k.T / incoming[:, None]
    competition = source.softmax(0) * n
    return sink.sigmoid()[:, None] * (flows @ (value * competition[:, None])), flows


def network(genes=40, **keys):
    settings = {"encoder": {"layers": 2, "hidden": 16, "heads": 2, "ffn": 24, "gene_std": 0.3}} | keys
    settings |= {"latent": {"width": 6, "components": 4}, "decoder": {"hidden": 12, "bottleneck": 8}}
    return Network(Cellplm.model_validate(settings), genes, 1, seed=0)


def everything(genes=40):
    return torch.ones(1, genes, dtype=torch.bool)


def counts(cells, genes=40, seed=0):
    return np.random.default_rng(seed).poisson(0.8, (cells, genes)).astype(np.float32)


def test_flow_attention_is_the_explicit_sum_of_each_set():
    q, k, v = tokens(sum(LENGTHS))
    found = flow_attention(q, k, v, lay_out(numbers(LENGTHS)))
    for part, whole in zip(found.split(LENGTHS), zip(*(x.split(LENGTHS) for x in (q, k, v)), strict=True), strict=True):
        for head in range(3):
            expected, flows = explicit(*(x[:, head] for x in whole))
            assert (part[:, head] - expected).abs().max() < 1e-10
            torch.testing.assert_close(flows.sum(1), torch.ones(len(part), dtype=torch.float64), atol=1e-5, rtol=0)


def test_flow_attention_has_the_gradient_of_the_explicit_sum():
    q, k, v = (x[:, :1].requires_grad_() for x in tokens(70))
    weight = torch.randn(70, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = (flow_attention(q, k, v, lay_out(numbers([70])))[:, 0] * weight).sum()
    expected = (explicit(q[:, 0], k[:, 0], v[:, 0])[0] * weight).sum()
    for ours, theirs in zip(
        torch.autograd.grad(found, (q, k, v)), torch.autograd.grad(expected, (q, k, v)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-8)


def test_half_precision_sums_in_single():
    q, k, v = (x.bfloat16() for x in tokens(500))
    with torch.autocast("cpu", torch.bfloat16):
        found = flow_attention(q, k, v, lay_out(numbers([500])))
    assert found.dtype == torch.bfloat16
    exact = flow_attention(q.double(), k.double(), v.double(), lay_out(numbers([500])))
    torch.testing.assert_close(found.double(), exact, atol=1e-3, rtol=2**-8)


def test_another_order_of_cells_gives_the_same_cells():
    model, table = network(), counts(90)
    order = np.random.default_rng(1).permutation(90)
    plain, shuffled = (
        model.encoder(model.view(batch(x, [0] * 90), everything(), None, "embed"), None) for x in (table, table[order])
    )
    assert (plain[order] - shuffled).abs().max() < 1e-5


def test_another_set_in_the_batch_changes_nothing():
    model, table = network().double(), counts(150)
    set_of = np.repeat([0, 1, 2], [60, 70, 20])
    together = model.encoder(model.view(batch(table, set_of), everything(), None, "embed"), None)
    for number in range(3):
        alone = batch(table[set_of == number], [0] * int((set_of == number).sum()))
        expected = model.encoder(model.view(alone, everything(), None, "embed"), None)
        assert (together[set_of == number] - expected).abs().max() < 1e-12


def test_the_gradient_to_cells_of_another_set_is_exactly_zero():
    model, table = network(), counts(150)
    set_of = np.repeat([0, 1, 2], [60, 70, 20])
    view = model.view(batch(table, set_of), everything(), None, "embed")
    view.value.requires_grad_()
    encoded = model.encoder(view, None)
    (gradient,) = torch.autograd.grad((encoded[set_of == 1] ** 2 * torch.arange(16.0)).sum(), view.value)
    cell = np.repeat(np.arange(150), (table > 0).sum(1))
    foreign = torch.from_numpy(set_of[cell] != 1)
    assert torch.equal(gradient[foreign], torch.zeros(int(foreign.sum())))
    assert (gradient[~foreign] != 0).all()


@pytest.mark.parametrize("lengths", [[1], [1, 1, 1], [64], [200]])
def test_every_cell_has_a_slot(lengths):
    layout = lay_out(numbers(lengths))
    assert layout.taken.sum() == sum(lengths)
    x = torch.arange(1.0, 2 * sum(lengths) + 1).view(-1, 2, 1)
    assert torch.equal(layout.gather(layout.spread(x, -1.0)), x)
    totals = layout.total(layout.spread(x, 0.0).sum(2))
    expected = torch.stack([part.sum(0) for part in x.split(lengths)], dim=1)
    assert torch.equal(totals, expected[:, layout.set_of])
