"""FAVOR+ against softmax attention, and against its own formula written plainly in float64."""

import math
from itertools import pairwise

import pytest
import torch

from scfm.models.attention import attend
from scfm.models.bmfm.backbones.performer import CHUNK, Chunks, PerformerBlock, favor
from scfm.models.bmfm.settings import Encoder

LENGTHS = (1, 5, CHUNK, CHUNK + 1, 3 * CHUNK - 1)


def starts_of(lengths):
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


def block_of(features, heads=2, width=8):
    block = PerformerBlock(Encoder(hidden=heads * width, heads=heads, ffn=4, features=features), first=True)
    block.draw_features(torch.Generator().manual_seed(features))
    return block


def tensors(lengths, spread=1.0, heads=2, width=8):
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(sum(lengths), heads, width, generator=generator) for _ in range(3))
    return q * spread, k * spread, v


def plain(q, k, v, features):
    """One cell, the definition: weights Σ_ω exp(ω·q' − |q'|²/2) exp(ω·k' − |k'|²/2)."""
    q, k, v, features = (x.double() for x in (q, k, v, features))
    q, k = (x * x.shape[2] ** -0.25 for x in (q, k))
    phi = [(torch.einsum("thw,hfw->htf", x, features) - x.square().sum(2).T[:, :, None] / 2).exp() for x in (q, k)]
    weights = phi[0] @ phi[1].mT
    return ((weights / weights.sum(2, keepdim=True)) @ v.transpose(0, 1)).transpose(0, 1)


def test_a_ragged_batch_is_the_definition_cell_by_cell():
    q, k, v = tensors(LENGTHS)
    block = block_of(20)
    starts = starts_of(LENGTHS)
    out = block.attend(q, k, v, starts, max(LENGTHS))
    cells = zip(q.split(LENGTHS), k.split(LENGTHS), v.split(LENGTHS), strict=True)
    expected = torch.cat([plain(*cell, block.features) for cell in cells])
    torch.testing.assert_close(out, expected.float(), atol=1e-5, rtol=1e-5)


def test_some_queries_alone_get_what_they_get_among_all():
    q, k, v = tensors(LENGTHS)
    block, starts = block_of(20), starts_of(LENGTHS)
    asked = (1, 0, 2, CHUNK + 1, 3)
    rows = torch.cat([start + torch.arange(n) for start, n in zip(starts, asked, strict=False)])
    some = block.attend(q[rows], k, v, starts, max(LENGTHS), starts_of(asked), max(asked))
    everything = block.attend(q, k, v, starts, max(LENGTHS))
    torch.testing.assert_close(some, everything[rows], atol=1e-5, rtol=1e-5)


def test_the_error_against_softmax_attention_shrinks_with_the_root_of_the_features():
    q, k, v = tensors((40, 7), 0.5)
    starts = starts_of((40, 7))
    exact = attend(q, k, v, starts, 40)
    counts = (64, 1024, 16384)
    errors = [(block_of(n).attend(q, k, v, starts, 40) - exact).square().mean().sqrt().item() for n in counts]
    for error, n in zip(errors, counts, strict=True):
        assert error < 1 / math.sqrt(n)
    for few, many in pairwise(errors):
        assert 2.5 < few / many < 6.4  # 4 is expected of 16 times as many


@pytest.mark.parametrize("spread", [30.0, 1000.0])
def test_wide_scores_neither_overflow_nor_vanish(spread):
    tensor = [x.requires_grad_() for x in tensors(LENGTHS, spread)]
    out = block_of(16).attend(*tensor, starts_of(LENGTHS), max(LENGTHS))
    assert out.isfinite().all()
    # A weighted mean of the cell's values, whatever the weights.
    for part, values in zip(out.split(LENGTHS), tensor[2].split(LENGTHS), strict=True):
        assert (part <= values.amax(0) + 1e-5).all()
        assert (part >= values.amin(0) - 1e-5).all()
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(out.square().sum(), tensor))


def test_gradients_are_those_of_the_definition():
    lengths = (CHUNK + 3,)
    tensor = [x.requires_grad_() for x in tensors(lengths, 0.7)]
    block = block_of(20)
    out = block.attend(*tensor, starts_of(lengths), *lengths)
    grads = torch.autograd.grad(out.square().sum(), tensor)
    wanted = torch.autograd.grad(plain(*tensor, block.features).square().sum(), tensor)
    for grad, want in zip(grads, wanted, strict=True):
        torch.testing.assert_close(grad, want, atol=1e-5 * want.abs().max().item(), rtol=1e-4)


def test_features_of_a_head_are_orthogonal_in_groups_and_as_long_as_gaussian_ones():
    features = block_of(4096, heads=2, width=8).features
    groups = features.view(2, 512, 8, 8)
    gram = groups @ groups.mT
    apart = gram - torch.diag_embed(gram.diagonal(dim1=-2, dim2=-1))
    assert apart.abs().max() < 1e-4
    squares = gram.diagonal(dim1=-2, dim2=-1)
    assert squares.mean().item() == pytest.approx(8, abs=4 * 4 / math.sqrt(squares.numel()))  # chi-squared: sd 4
    assert squares.std().item() == pytest.approx(4, rel=0.1)
    assert features.mean(1).abs().max() < 4 / math.sqrt(4096)
    assert not torch.equal(features[0], features[1])


def test_features_follow_their_seed_and_are_saved():
    one, again, other = (PerformerBlock(Encoder(hidden=16, heads=2), first=False) for _ in range(3))
    for block, seed in ((one, 1), (again, 1), (other, 2)):
        block.draw_features(torch.Generator().manual_seed(seed))
    assert torch.equal(one.features, again.features)
    assert not torch.equal(one.features, other.features)
    assert torch.equal(one.state_dict()["features"], one.features)
    assert "features" not in dict(one.named_parameters())


def test_chunks_hold_each_token_once_and_never_two_cells():
    chunks = Chunks(starts_of(LENGTHS), sum(LENGTHS))
    assert len(chunks.slot.unique()) == sum(LENGTHS)
    owner = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
    assert torch.equal(chunks.cell[chunks.slot // CHUNK], owner)
    assert chunks.count <= sum(LENGTHS) // CHUNK + len(LENGTHS)  # linear in length


def test_nothing_as_wide_as_the_cell_is_long_squared():
    """Twice the tokens, twice the largest tensor."""
    sizes = []
    for n in (512, 1024):
        q, k, v = tensors((n,))
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, kept=kept: kept.append(x.numel()) or x, lambda x: x):
            favor(q.requires_grad_(), k, v, block_of(16).features, starts_of((n,)), starts_of((n,)))
        sizes.append(max(kept))
    assert sizes[1] <= 2 * sizes[0]
