import math

import pytest
import torch

from scfm.models import attention
from scfm.models.attention import attend

RAGGED = [(5, 1, 3), (4, 4), (1,), (7,), (1, 1, 1), (2, 9)]


def starts_of(lengths):
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


def one_cell_at_a_time(q, k, v, lengths):
    out, start = [], 0
    for n in lengths:
        a, b, c = (x[start : start + n].double() for x in (q, k, v))
        weights = torch.einsum("ihd,jhd->hij", a, b).div(math.sqrt(q.shape[2])).softmax(2)
        out.append(torch.einsum("hij,jhd->ihd", weights, c))
        start += n
    return torch.cat(out)


@pytest.fixture(params=[0, 100], ids=["cell by cell", "padded"], autouse=True)
def short(request, monkeypatch):
    monkeypatch.setattr(attention, "SHORT", request.param)


@pytest.fixture
def tensors():
    def make(lengths):
        generator = torch.Generator().manual_seed(sum(lengths))
        return [torch.randn(sum(lengths), 3, 4, generator=generator).requires_grad_() for _ in range(3)]

    return make


@pytest.mark.parametrize("lengths", RAGGED, ids=str)
def test_a_ragged_batch_is_softmax_attention_cell_by_cell(tensors, lengths):
    q, k, v = tensors(lengths)
    out = attend(q, k, v, starts_of(lengths), max(lengths))
    expected = one_cell_at_a_time(q, k, v, lengths)
    torch.testing.assert_close(out, expected.float(), atol=1e-6, rtol=1e-5)
    grads = torch.autograd.grad(out.pow(2).sum(), (q, k, v))
    wanted = torch.autograd.grad(expected.pow(2).sum(), (q, k, v))
    for grad, want in zip(grads, wanted, strict=True):
        assert grad.isfinite().all()
        torch.testing.assert_close(grad, want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("lengths", RAGGED, ids=str)
def test_slices_of_a_joint_projection_are_accepted(tensors, lengths):
    joint = torch.stack([x.detach() for x in tensors(lengths)], dim=1)
    out = attend(*joint.unbind(1), starts_of(lengths), max(lengths))
    torch.testing.assert_close(out, one_cell_at_a_time(*joint.unbind(1), lengths).float(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("lengths", RAGGED, ids=str)
def test_some_queries_alone_get_what_they_get_among_all(tensors, lengths):
    q, k, v = (x.detach() for x in tensors(lengths))
    everything = attend(q, k, v, starts_of(lengths), max(lengths))
    counts = [min(2, n) for n in lengths]
    if len(lengths) > 1:
        counts[0] = 0  # this one asks nothing
    rows = torch.cat([start + torch.arange(n) for start, n in zip(starts_of(lengths), counts, strict=False)])
    some = attend(q[rows], k, v, starts_of(lengths), max(lengths), starts_of(counts), max(counts))
    torch.testing.assert_close(some, everything[rows], atol=1e-6, rtol=1e-5)


def test_a_token_of_another_cell_changes_nothing(tensors):
    q, k, v = (x.detach() for x in tensors((5, 1, 3)))
    before = attend(q, k, v, starts_of((5, 1, 3)), 5)
    k[:5], v[:5] = 50.0, -50.0
    after = attend(q, k, v, starts_of((5, 1, 3)), 5)
    assert torch.equal(before[5:], after[5:])
    assert not torch.allclose(before[:5], after[:5])
