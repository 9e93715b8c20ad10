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

    def spread(self, x: Tensor, fill: float) -> Tensor:
        """[cells, heads, width] to [heads, blocks, slots, width]; slots without a cell have `fill`."""
        empty = x.new_full((x.shape[1], self.taken.numel(), x.shape[2]), fill)
        return empty.index_copy(1, self.slot, x.transpose(0, 1)).unflatten(1, self.taken.shape)

    def gather(self, x: Tensor) -> Tensor:
        """[heads, blocks, slots, width] to [cells, heads, width]."""
        return x.flatten(1, 2).transpose(0, 1).index_select(0, self.slot)

    def total(self, x: Tensor) -> Tensor:
        """[heads, blocks, ...] to the sum over the blocks of the same set, in the same order each time."""
        blocks_first = x.transpose(0, 1)
        sums = torch.segment_reduce(blocks_first.flatten(1), "sum", lengths=self.blocks, axis=0)
        return sums[self.set_of].view(blocks_first.shape).transpose(0, 1)


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
    conserved: out = sigmoid(I) · Q/i · Σ Kᵀ(V · softmax(O) · cells). Sums are in single precision at least. Flows weigh
    rows of the products, so that few tensors of the size of the input are made: on a CPU new memory costs more than
    what is computed in it.

    Args:
        query: float [cells, heads, width]; `key` and `value` alike.

    Returns:
        float [cells, heads, width], of the type of `value`.
    """
    with torch.autocast(value.device.type, enabled=False):
        q, k = (layout.spread(single(x), -torch.inf).sigmoid_() for x in (query, key))  # 0 without a cell
        v = layout.spread(single(value), 0.0)
        incoming = _flow(q, k.sum(2, keepdim=True), layout)
        outgoing = _flow(k, q.sum(2, keepdim=True), layout)
        sink = _flow(q, outgoing.reciprocal().transpose(2, 3) @ k, layout)
        source = _flow(k, incoming.reciprocal().transpose(2, 3) @ q, layout).clamp(-1, 1)
        competition = source.exp() * layout.taken[:, :, None]
        cells = layout.cells[layout.set_of, None, None]
        competition = competition * (cells / layout.total(competition.sum(2, keepdim=True)))
        mixed = layout.total(k.transpose(2, 3) @ (v * competition))
        return layout.gather((q @ mixed) * (sink.sigmoid() / incoming)).to(value.dtype)


def _flow(ends: Tensor, others: Tensor, layout: Layout) -> Tensor:
    """Σ over the set's others of (end + ε) · (other + ε / number of others), [heads, blocks, slots, 1].

    Args:
        ends: float [heads, blocks, slots, width].
        others: float [heads, blocks, 1, width], their sum in each block.
    """
    total = layout.total(others).transpose(2, 3) + EPSILON
    return ends @ total + EPSILON * total.sum(2, keepdim=True)
