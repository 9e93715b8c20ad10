"""PULSAR's network: set functions, the bottleneck, reference blocks, parameter counts, and poolings."""

import numpy as np
import pytest
import torch
from torch import nn

from scfm.errors import ScfmError
from scfm.models.cells import Cells
from scfm.models.pulsar.network import Network
from scfm.models.pulsar.settings import Pulsar, Transformer
from scfm.models.pulsar.transformer import Block
from scfm.models.tasks import combine
from scfm.settings import parse

WIDTH = 12
SMALL = {"hidden": 16, "heads": 2, "ffn": 24, "encoder_layers": 2, "decoder_layers": 2}
FILM = {"condition": "cytokine", "donor": "person", "width": 5, "condition_hidden": 7}


def small(**keys):
    sampling = {"cells": 20, "replacement": False} | keys.pop("sampling", {})
    masking = {"strategy": "independent", "programs": 3, "hidden": 8} | keys.pop("masking", {})
    blocks = {"width": WIDTH, "sampling": sampling, "transformer": SMALL, "masking": masking}
    return parse(Pulsar, blocks | keys, "test")


def donors(sizes, seed=0, width=WIDTH, **columns):
    rng = np.random.default_rng(seed)
    which = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    vectors = torch.from_numpy(rng.normal(size=(sum(sizes), width)).astype(np.float32))
    none = torch.zeros(len(which), dtype=torch.long)
    labels = {name: torch.tensor(values)[which] for name, values in columns.items()}
    return Cells(none[:0], torch.zeros(0), none, none, {"vector": vectors, "set": which} | labels)


def reordered(cells, order):
    labels = cells.labels | {"vector": cells.labels["vector"][order]}
    return Cells(cells.gene, cells.count, cells.lengths, cells.dataset, labels)


@torch.no_grad()
def embed(network, cells):
    return network.embed(network.view(cells, None, None, "embed"))["donor"]


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("replacement", [False, True])
def test_the_order_of_cells_changes_nothing(replacement):
    network = Network(small(sampling={"cells": 15, "replacement": replacement, "resample": 2}), 0, 1, seed=0)
    cells = donors([20, 18])
    generator = torch.Generator().manual_seed(1)
    order = torch.cat([torch.randperm(20, generator=generator), 20 + torch.randperm(18, generator=generator)])
    first, second = embed(network, cells), embed(network, reordered(cells, order))
    assert first.shape == (2, 16)
    assert (first - second).abs().max() < 1e-5


def test_the_decoder_follows_the_order_of_its_cells(draw):
    network = Network(small(), 0, 1, seed=0)
    cells = torch.randn(2, 9, WIDTH, generator=draw())
    real, donor = torch.ones(2, 9, dtype=torch.bool), torch.randn(2, 16, generator=draw(1))
    order = torch.randperm(9, generator=draw(2))
    moved = network.decode(donor, cells[:, order], real)
    assert (network.decode(donor, cells, real)[:, order] - moved).abs().max() < 1e-5


def test_padding_changes_nothing():
    """100 real and 156 padded cells against the same 100 alone."""
    network = Network(small(sampling={"cells": 256}), 0, 1, seed=0)
    both = donors([100, 256])
    alone = Cells(*(both.gene, both.count, both.lengths[:100], both.dataset[:100]), {})
    alone.labels = {name: x[:100] for name, x in both.labels.items()}
    view = network.view(both, None, None, "embed")
    assert view.seen_real.sum(2).tolist() == [[100], [256]]
    assert (embed(network, both)[0] - embed(network, alone)[0]).abs().max() < 1e-5


def test_padded_targets_change_nothing(draw):
    network = Network(small(), 0, 1, seed=0)
    cells, donor = torch.randn(1, 30, WIDTH, generator=draw()), torch.randn(1, 16, generator=draw(1))
    real = torch.arange(30)[None] < 11
    padded = network.decode(donor, cells, real)[:, :11]
    alone = network.decode(donor, cells[:, :11], real[:, :11])
    assert (padded - alone).abs().max() < 1e-5


def test_the_donor_vector_is_the_only_way_from_encoder_to_decoder(draw):
    network = Network(small(), 0, 1, seed=0)
    cells = donors([20, 20])
    view = network.view(cells, None, draw(), "validate")
    donor = network.encode(view.vectors[view.seen], view.seen_real)[:, 0]
    before = network.reconstruct(donor, view).value
    seen = view.seen[:, 0].flatten()
    assert not torch.isin(view.target, seen).any()
    view.vectors[seen] += 5
    assert not torch.equal(network.encode(view.vectors[view.seen], view.seen_real)[:, 0], donor)
    assert torch.equal(network.reconstruct(donor, view).value, before)


def test_hidden_elements_do_not_reach_the_decoder(draw):
    for strategy in ("independent", "correlated_program"):
        network = Network(small(masking={"strategy": strategy}), 0, 1, seed=0)
        x, noise = torch.randn(2, 5, WIDTH, generator=draw()), torch.rand(2, 5, WIDTH, generator=draw(1))
        programs = torch.rand(2, 5, 3, generator=draw(2))
        nn.init.normal_(network.mask.fill, generator=draw(3))
        masked, hidden = network.mask(x, noise, programs)
        assert torch.equal(masked, torch.where(hidden, network.mask.fill, x))


def test_a_block_is_pytorchs_own_layer(draw):
    settings = Transformer(hidden=16, heads=4, ffn=40, encoder_layers=1, decoder_layers=1)
    block = Block(settings).eval()
    peer = nn.TransformerEncoderLayer(16, 4, 40, activation="gelu", batch_first=True, layer_norm_eps=1e-12).eval()
    pairs = {"qkv": "self_attn.in_proj_", "out": "self_attn.out_proj.", "up": "linear1.", "down": "linear2."}
    pairs |= {"attention_norm": "norm1.", "ffn_norm": "norm2."}
    state = peer.state_dict()
    block.load_state_dict({f"{a}.{x}": state[f"{b}{x}"] for a, b in pairs.items() for x in ("weight", "bias")})
    x, real = torch.randn(3, 6, 16, generator=draw()), torch.arange(6) < torch.tensor([[6], [4], [1]])
    expected = peer(x, src_key_padding_mask=~real)
    torch.testing.assert_close(block(x, real)[real], expected[real], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(block(x, real, rows=1), expected[:, :1], atol=1e-5, rtol=1e-5)


def test_attention_of_the_first_token_is_pytorchs(draw):
    block = Block(Transformer(hidden=16, heads=4, ffn=8))
    peer = nn.MultiheadAttention(16, 4, batch_first=True)
    peer.in_proj_weight, peer.in_proj_bias = block.qkv.weight, block.qkv.bias
    x, real = torch.randn(2, 6, 16, generator=draw()), torch.arange(6) < torch.tensor([[6], [4]])
    _, expected = peer(x, x, x, key_padding_mask=~real)
    torch.testing.assert_close(block.first_attends_to(x, real), expected[:, 0], atol=1e-6, rtol=1e-5)


def formula(settings, classes):
    """Parameters by the sizes alone."""

    def mlp(i, h, o):
        return i * h + h + h * o + o

    t, m, w = settings.transformer, settings.masking, settings.width
    h = t.hidden
    blocks = (t.encoder_layers + t.decoder_layers) * (4 * h * h + 4 * h + 2 * h * t.ffn + t.ffn + h + 4 * h)
    total = h + 2 * mlp(w, w, h) + mlp(h, h, w) + blocks + w
    if m.strategy == "correlated_program":
        total += mlp(w, m.hidden, m.programs) + w * m.programs
    total += sum(mlp(h, head.hidden, classes.get(head.label, 1)) for head in settings.heads)
    if film := settings.film:
        c = film.condition_hidden
        reads = film.width * c + c + 2 * c + c * h + h
        total += 2 * (h * h + 3 * h) + 2 * reads + h * h + h
    return total


def test_parameters_of_the_released_model():
    """76.74M run of the 87.37M published; the rest is a template layer kept twice and a switched-off table."""
    settings = Pulsar()
    with torch.device("meta"):
        assert count(Block(settings.transformer)) == 5_251_584
    published = 87_372_288 - 2 * 5_251_584 - 256 * 512
    assert published == pytest.approx(76.74e6, rel=1e-4)
    second_projector, fill = 1280 * 1280 + 1280 + 1280 * 512 + 512, 1280
    masker = 1280 * 512 + 512 + 512 * 10 + 10 + 1280 * 10
    assert formula(settings, {}) - second_projector - fill - masker == published - 512


@pytest.mark.parametrize("strategy", ["independent", "correlated_program"])
@pytest.mark.parametrize("full", [False, True])
def test_every_parameter_is_counted_and_learns(draw, strategy, full):
    keys = {
        "alignment": {"label": "disease"},
        "heads": [{"label": "disease", "hidden": 9}, {"label": "age", "kind": "number", "hidden": 9}],
        "film": FILM,
    }
    settings = small(masking={"strategy": strategy}, **(keys if full else {}))
    extra = {"classes": {"disease": 2}, "conditions": torch.randn(3, 5, generator=draw())} if full else {}
    network = Network(settings, 0, 1, seed=0, **extra)
    assert count(network) == formula(settings, {"disease": 2})
    columns = {
        "disease": [0, 1, 0, 1],
        "age": [1.0, 2.0, np.nan, 0.0],
        "cytokine": [-1, 2, -1, 0],
        "person": [0, 0, 1, 1],
    }
    cells = donors([20, 20, 15, 20], **(columns if full else {}))
    view = network.view(cells, None, draw(), "train")
    tasks, _ = network.tasks(view, draw(1))
    combine(tasks, network.counts(view)).backward()
    silent = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert not silent


def test_initial_weights_depend_on_the_seed_alone():
    settings = small(masking={"strategy": "correlated_program"}, film=FILM)
    tables = {"conditions": torch.zeros(1, 5)}
    first = Network(settings, 0, 1, seed=3, **tables).state_dict()
    torch.rand(17)
    again = Network(settings, 0, 1, seed=3, **tables).state_dict()
    other = Network(settings, 0, 1, seed=4, **tables).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if first[name].ndim > 1)


def test_dropout_comes_from_the_generator(draw):
    network = Network(small(), 0, 1, seed=0)
    view = network.view(donors([20, 20]), None, draw(), "train")
    totals = [network.tasks(view, g)[0]["reconstruction"].total.item() for g in (draw(1), draw(1), draw(2), None, None)]
    assert totals[0] == totals[1] != totals[2]
    assert totals[3] == totals[4] != totals[0]


def test_importance_is_of_each_cell_and_even_for_equal_cells():
    network = Network(small(), 0, 1, seed=0)
    cells = donors([20, 7])
    cells.labels["vector"][20:] = cells.labels["vector"][20]
    importance = network.importance(network.view(cells, None, None, "embed"))
    assert importance.shape == (27,)
    torch.testing.assert_close(importance[:20].mean(), torch.tensor(1.0))
    assert importance[:20].std() > 1e-3
    torch.testing.assert_close(importance[20:], torch.ones(7))


def test_cells_that_were_never_drawn_have_no_importance():
    network = Network(small(sampling={"cells": 5}), 0, 1, seed=0)
    view = network.view(donors([20]), None, None, "embed")
    importance = network.importance(view)
    assert importance.isfinite().nonzero().squeeze(1).tolist() == view.seen.flatten().sort().values.tolist()


def test_the_embedding_is_the_mean_of_its_draws():
    keys = {"cells": 6, "replacement": True}
    cells = donors([40, 30])
    network = Network(small(sampling=keys | {"resample": 3, "seed": 4}), 0, 1, seed=0)
    singles = [Network(small(sampling=keys | {"seed": 4 + k}), 0, 1, seed=0) for k in range(3)]
    draws = torch.stack([embed(single, cells) for single in singles])
    assert not torch.allclose(draws[0], draws[1])
    torch.testing.assert_close(embed(network, cells), draws.mean(0))


def test_an_embedding_does_not_depend_on_the_batch():
    network = Network(small(sampling={"cells": 6, "replacement": True}), 0, 1, seed=0)
    both = donors([40, 30])
    alone = donors([30])
    alone.labels["vector"] = both.labels["vector"][40:]
    torch.testing.assert_close(embed(network, both)[1:], embed(network, alone))
    assert network.settings.poolings == tuple(network.embed(network.view(both, None, None, "embed"))) == ("donor",)


def test_conditions_need_vectors_of_their_width():
    with pytest.raises(ScfmError, match=r"condition vectors: none, expected \[conditions, 5\]"):
        Network(small(film=FILM), 0, 1, seed=0)
    with pytest.raises(ScfmError, match=r"condition vectors: \(2, 4\), expected \[conditions, 5\]"):
        Network(small(film=FILM), 0, 1, seed=0, conditions=torch.zeros(2, 4))
