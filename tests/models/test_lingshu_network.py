"""Tokens, compression, loss and view of a Lingshu-Cell network, against plain forms of the same."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.special import beta
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scfm.errors import ScfmError
from scfm.models.cells import ragged
from scfm.models.lingshu.backbone import angles, rotate
from scfm.models.lingshu.network import Network
from scfm.models.lingshu.quantiser import lower_edges, quantise, values
from scfm.models.lingshu.settings import Lingshu
from scfm.models.lingshu.view import times
from scfm.models.tasks import combine
from scfm.settings import parse

GENES = 10
SMALL = {"group": 3, "hidden": 16, "layers": 2, "heads": 2, "ffn": 12, "init_std": 0.3}
CONDITIONS = [{"column": "background"}, {"column": "perturbation", "control": "control"}]
NAMES = {"background": ["blood", "lung"], "perturbation": ["A", "B"]}


def network(genes=GENES, seed=0, names=None, **keys):
    small = {"tokens": 6, "transformer": SMALL} | keys
    conditions = {"conditions": CONDITIONS} if names else {}
    return Network(Lingshu.model_validate(small | conditions), genes, names or {}, seed)


def counts(cells=5, genes=GENES, seed=0):
    return np.random.default_rng(seed).poisson(1.5, (cells, genes)).astype(np.float32)


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def viewed(model, table, mode="train", seed=0, measured=None, **labels):
    known = torch.ones(1, table.shape[1], dtype=torch.bool) if measured is None else measured
    return model.view(ragged(csr_matrix(table), labels), known, draw(seed), mode)


def loss(model, view):
    return combine(model.tasks(view)[0], model.counts(view))


@pytest.mark.parametrize(
    ("count", "token"),
    [(0, 0), (99, 99), (100, 100), (109, 100), (110, 101), (999, 189), (1000, 190), (9999, 279), (10_000, 280)],
)
def test_tokens_of_counts(count, token):
    assert quantise(torch.tensor([float(count)]), lower_edges()).item() == token


def test_every_count_has_the_published_token_and_is_nearly_what_its_token_becomes():
    x = torch.arange(10_000)
    token = quantise(x, lower_edges())
    k = torch.floor(torch.log10(x.clamp(min=1).double())).long()
    written = 100 + 90 * (k - 2) + x // 10 ** (k - 1).clamp(min=0) - 10
    assert torch.equal(token, torch.where(x < 100, x, written))
    assert bool((token.diff() >= 0).all())
    assert len(lower_edges()) == 281
    error = {kind: ((values(281, kind)[token] - x).abs() / x.clamp(min=1)).max() for kind in ("edge", "midpoint")}
    assert error["edge"] < 0.1
    assert error["midpoint"] <= 0.05
    assert torch.equal(quantise(values(281, "midpoint"), lower_edges()), torch.arange(281))
    assert quantise(torch.tensor([99.0, 1e6]), lower_edges(40)).tolist() == [39, 39]
    assert values(40, "midpoint")[-1] == 39


def plain_logits(model, shown):
    """float [cells, genes, tokens]: the vectors of each group side by side, one product there and back."""
    part, head, size = model.compression, model.head, model.groups.size
    seen = shown < model.settings.tokens
    count = model.values[shown.clamp(max=model.settings.tokens - 1)]
    vectors = part.gene + part.value[shown] + (seen * count).to(part.gene.dtype).log1p()[..., None] * part.slope
    empty = part.value[-1].expand(len(shown), len(model.groups.order) - model.genes, -1)
    slots = torch.cat([vectors, empty], dim=1)[:, model.groups.order]
    states = model.backbone(part.down(slots.reshape(len(shown), model.groups.number, -1)))
    up = head.up(states).reshape(len(shown), model.groups.number * size, -1)
    return head.out(up[:, model.groups.order.argsort()[: model.genes]] + head.gene)


@torch.no_grad()
def logits(model, shown):
    """The same of the network."""
    cell, gene = (place.flatten() for place in torch.meshgrid(*map(torch.arange, shown.shape), indexing="ij"))
    table = torch.empty(*shown.shape, model.settings.tokens)

    def keep(chunk, rows):
        table[cell[rows], gene[rows]] = chunk
        return rows

    codes = torch.full((len(shown), len(model.settings.conditions), 1), -1)
    rows = model.read(model.states(shown, codes), cell, gene, keep)
    assert torch.equal(rows, torch.arange(len(cell)))
    return table


@pytest.mark.parametrize("group", [1, 3])
def test_logits_are_those_of_the_plain_form(group):
    model = network(transformer=SMALL | {"group": group})
    if group == 1:  # and of a model without compression
        model.groups.order.copy_(torch.arange(GENES))
        for layer in (model.compression.down, model.head.up):
            torch.nn.init.eye_(layer.weight)
    shown = torch.from_numpy(np.random.default_rng(0).integers(7, size=(5, GENES)))
    with torch.no_grad():
        torch.testing.assert_close(logits(model, shown), plain_logits(model, shown), rtol=0, atol=1e-5)
        if group == 1:
            part = model.compression
            count = model.values[shown.clamp(max=5)] * (shown < 6)
            x = part.gene + part.value[shown] + count.float().log1p()[..., None] * part.slope
            plain = model.head.out(model.backbone(x) + model.head.gene)
            torch.testing.assert_close(logits(model, shown), plain, rtol=1e-6, atol=1e-5)


def test_the_compression_equals_the_plain_form_in_double_precision():
    model = network().double()
    shown = torch.from_numpy(np.random.default_rng(0).integers(7, size=(5, GENES)))
    part = model.compression
    with torch.no_grad():
        seen = (model.values[shown.clamp(max=5)] * (shown < 6)).double().log1p()
        vectors = part.gene + part.value[shown] + seen[..., None] * part.slope
        slots = torch.cat([vectors, part.value[-1].expand(5, 2, -1)], dim=1)[:, model.groups.order]
        torch.testing.assert_close(
            part(shown, model.groups).double(), part.down(slots.reshape(5, 4, -1)), rtol=0, atol=1e-6
        )


def test_genes_come_out_in_the_order_in_which_they_went_in():
    model = network()
    with torch.no_grad():
        model.head.up.weight.zero_()
        model.head.out.weight.copy_(torch.eye(6, 16))
        model.head.gene.copy_(100 * F.one_hot(torch.arange(GENES) % 6, 16))
    (cells,) = model.generate(4, asked(steps=3), draw())
    assert torch.equal(cells, (torch.arange(GENES) % 6).expand(4, -1))


def asked(**keys):
    from scfm.models.lingshu.sampling import Asked

    return Asked(**keys)


def test_the_permutation_is_part_of_the_model():
    one, other = network(seed=1), network(seed=2)
    assert not torch.equal(one.groups.order, other.groups.order)
    assert sorted(one.groups.order.tolist()) == list(range(12))
    other.load_state_dict(one.state_dict())
    shown = torch.zeros(2, GENES, dtype=torch.int64)
    assert torch.equal(logits(one, shown), logits(other, shown))


def test_rotary_positions_know_distances_alone():
    x, y = torch.randn(2, 8, generator=draw(), dtype=torch.float64)
    angle = angles(9, 8, 10_000.0, x.device)
    dots = rotate(x.expand(9, -1), angle) @ rotate(y.expand(9, -1), angle).T
    for distance in range(-8, 9):
        diagonal = dots.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=0, atol=1e-6)
    torch.testing.assert_close(dots[0, 0], x @ y)


def test_the_loss_is_the_bound_in_closed_form():
    # All masks of four genes: the integral of t^(k-1) (1-t)^(4-k) over t is a beta function.
    model = network(genes=4, least_time=1e-6)
    token = torch.tensor([2, 0, 5, 1])
    exact = 0.0
    for bits in range(1, 16):
        hidden = torch.tensor([bits >> gene & 1 for gene in range(4)], dtype=torch.bool)
        table = logits(model, token.masked_fill(hidden, 6)[None])[0]
        exact += F.cross_entropy(table, token, reduction="none")[hidden].sum().item() * beta(
            hidden.sum(), 5 - hidden.sum()
        )
    cell = np.tile(token.numpy().astype(np.float32), (64, 1))
    with torch.no_grad():
        found = np.array([loss(model, viewed(model, cell, seed=seed)).item() for seed in range(200)])
    assert found.mean() == pytest.approx(exact / 4, abs=3 * found.std() / 200**0.5)


def test_times_cover_the_unit_interval():
    found = times(50, 1e-3, draw())
    assert torch.equal((found * 50).floor().clamp(max=49).sort().values, torch.arange(50.0))
    assert bool((found >= 1e-3).all() & (found <= 1).all())
    drawn = torch.cat([times(50, 1e-3, draw(seed)) for seed in range(200)])
    assert drawn.mean().item() == pytest.approx(0.5005, abs=0.002)


def test_visible_and_unmeasured_genes_have_no_gradient():
    model, measured = network(), torch.ones(1, GENES, dtype=torch.bool)
    measured[0, [2, 7]] = False
    sizes = set()
    for seed in range(10):
        view = viewed(model, counts(1), measured=measured, seed=seed)
        model.zero_grad()
        loss(model, view).backward()
        hidden = torch.zeros(GENES, dtype=torch.bool).index_fill(0, view.gene, True)
        assert torch.equal(model.head.gene.grad.abs().sum(1) > 0, hidden)
        assert not hidden[[2, 7]].any()
        assert view.measured == 8
        sizes.add(int(hidden.sum()))
    assert len(sizes) > 3


def test_unmeasured_genes_are_not_seen():
    model, measured = network(), torch.ones(1, GENES, dtype=torch.bool)
    measured[0, 4] = False
    table, other = counts(), counts()
    other[:, 4] += 3
    assert viewed(model, other)  # counts all the same
    one, two = (viewed(model, x, "embed", measured=measured) for x in (table, other))
    assert torch.equal(one.shown, two.shown)
    assert bool((one.shown[:, 4] == 6).all())


def test_the_head_in_chunks_is_the_head_at_once():
    results = []
    for positions in (65_536, 4):
        model = network(head_positions=positions)
        value = loss(model, viewed(model, counts()))
        value.backward()
        results.append([value.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_conditions_are_never_hidden_and_change_the_cells():
    model = network(names=NAMES)
    labels = {"background": np.array([[0], [1], [0], [1], [-1]]), "perturbation": np.array([[2, 3]] * 4 + [[-1, -1]])}
    view = viewed(model, counts(), **labels)
    assert view.codes.tolist() == [[[b, -1], [2, 3]] for b in (0, 1, 0, 1)] + [[[-1, -1], [-1, -1]]]
    hidden = torch.full((2, GENES), 6)
    states = model.states(hidden, view.codes[:2])
    assert states.shape == (2, 4, 16)
    assert (states[0] - states[1]).abs().max() > 1e-2


def test_a_combination_is_the_sum_of_its_partners():
    vectors = network(names=NAMES).conditions(
        torch.tensor([[[0, -1], own] for own in ([-1, -1], [2, -1], [3, -1], [2, 3])])
    )
    control, one, other, both = vectors[:, 1]
    torch.testing.assert_close(both - control, (one - control) + (other - control))


def test_embeddings_are_means_of_visible_cells_under_the_control():
    model, table = network(names=NAMES), counts(7)
    with torch.no_grad():
        found = model.embed(viewed(model, table, "embed"))["mean"]
        perturbed = viewed(model, table, "embed", perturbation=np.full((7, 1), 2), background=np.full((7, 1), -1))
        assert torch.equal(model.embed(perturbed)["mean"], found)
        alone = model.embed(viewed(model, table[3:4], "embed"))["mean"]
        torch.testing.assert_close(alone, found[3:4], rtol=0, atol=1e-5)
        token = quantise(torch.from_numpy(table), model.edges)
        states = model.states(token, torch.full((7, 2, 1), -1))
        torch.testing.assert_close(found, states.mean(1))
    assert viewed(model, table + 0.3 * (table > 0), "embed").shown.equal(token)


def test_operations_are_those_that_are_run():
    model = network(genes=300, names=NAMES, transformer=SMALL | {"hidden": 32}, tokens=40)
    view = viewed(model, counts(20, 300))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        loss(model, view).backward()
    assert model.flops(view).item() == pytest.approx(counter.get_total_flops(), rel=0.03)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (np.full((2, GENES), 0.7, np.float32), "0.7 is not a count"),
        (np.vstack([counts(1), np.zeros((1, GENES), np.float32)]), "1 hold no count at all"),
    ],
)
def test_cells_that_cannot_be_trained_on(table, fault):
    with pytest.raises(ScfmError, match=fault):
        viewed(network(), table)


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"transformer": {"hidden": 30, "heads": 4}}, "multiple of twice the heads"),
        ({"conditions": [CONDITIONS[0], CONDITIONS[0]]}, "name each column once"),
        ({"tokens": 300}, "less than or equal to 281"),
    ],
)
def test_settings_that_make_no_sense(keys, fault):
    with pytest.raises(ScfmError, match=fault):
        parse(Lingshu, keys, "model")
