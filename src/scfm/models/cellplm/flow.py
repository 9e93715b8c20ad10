"""Attention that conserves flow, at a cost linear in the cells of a set (Wu et al. 2022, Flowformer, section 3)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from scfm.models.cellplm.precision import single

EPSILON = 1e-6
BLOCK = 64
"""Most slots of a block: the sums of outer products are then no larger than the tokens they are of."""


@dataclass
class Layout:
    """Sets of a batch, each cut into blocks of equally many slots, so that sums are of one set and need no loop."""

    slot: Tensor
    """int64 [cells], the slot of each cell."""
    taken: Tensor
    """bool [blocks, slots], the slot holds a cell."""
    set_of: Tensor
    """int64 [blocks], the set of each block."""
    blocks: Tensor
    """int64 [sets], blocks of each set."""
    cells: Tensor
    """int64 [sets], cells of each set."""

    def spread(self, x: Tensor) -> Tensor:
        """[cells, ...] to [blocks, slots, ...], 0 in slots without a cell."""
        empty = x.new_zeros(self.taken.numel(), *x.shape[1:])
        return empty.index_copy(0, self.slot, x).unflatten(0, self.taken.shape)

    def gather(self, x: Tensor) -> Tensor:
        """[blocks, slots, ...] to [cells, ...]."""
        return x.flatten(0, 1)[self.slot]

    def total(self, x: Tensor) -> Tensor:
        """[blocks, ...] to the sum over the blocks of the same set, [blocks, ...]; in the same order each time."""
        sums = torch.segment_reduce(x.flatten(1), "sum", lengths=self.blocks, axis=0)
        return sums[self.set_of].unflatten(1, x.shape[1:])


def lay_out(set_of: Tensor) -> Layout:
    """Blocks of the sets that `set_of`, int64 [cells], numbers in ascending order from 0."""
    cells = torch.bincount(set_of)
    size = min(BLOCK, int(cells.max()))
    blocks = (cells + size - 1) // size
    before, first = cells.cumsum(0) - cells, blocks.cumsum(0) - blocks
    within = torch.arange(len(set_of), device=set_of.device) - before[set_of]
    slot = first[set_of] * size + within
    number = int(blocks.sum())
    taken = torch.zeros(number * size, dtype=torch.bool, device=set_of.device).index_fill_(0, slot, True)
    of_block = torch.repeat_interleave(torch.arange(len(cells), device=set_of.device), blocks, output_size=number)
    return Layout(slot, taken.view(number, size), of_block, blocks, cells)


def flow_attention(query: Tensor, key: Tensor, value: Tensor, layout: Layout) -> Tensor:
    """Every cell attends to the cells of its own set.

    With Q and K the sigmoids, i and o the flows into queries and out of keys, I and O the same once the other side is
    conserved: out = sigmoid(I) · Q/i · Σ Kᵀ(V · softmax(O) · cells). Sums are in single precision at least.

    Args:
        query: float [cells, heads, width]; `key` and `value` alike.

    Returns:
        float [cells, heads, width], of the type of `value`.
    """
    with torch.autocast(value.device.type, enabled=False):
        q, k, v = (layout.spread(single(x)) for x in (query, key, value))
        taken = layout.taken[:, :, None, None]
        q, k = q.sigmoid() * taken, k.sigmoid() * taken
        incoming = _flow(q, k, layout)
        outgoing = _flow(k, q, layout)
        sink = _flow(q, k / outgoing, layout)
        source = _flow(k, q / incoming, layout).clamp(-1, 1)
        competition = source.exp() * taken
        cells = layout.cells[layout.set_of, None, None, None]
        competition = competition * cells / layout.total(competition.sum(1))[:, None]
        mixed = layout.total(torch.einsum("bshk,bshv->bhkv", k, v * competition))
        out = sink.sigmoid() * torch.einsum("bshk,bhkv->bshv", q / incoming, mixed)
        return layout.gather(out).to(value.dtype)


def _flow(ends: Tensor, others: Tensor, layout: Layout) -> Tensor:
    """Sum over the set's others of their products with each end, [blocks, slots, heads, 1]."""
    total = layout.total(others.sum(1))[:, None]
    return ((ends + EPSILON) * (total + EPSILON)).sum(3, keepdim=True)
