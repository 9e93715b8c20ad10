"""Blocks of the Nyströmformer: softmax attention through landmarks, linear in length (arXiv 2102.03902).

Landmarks are means over segments, so that the order of tokens matters: each cell's are ordered by gene id, and with
that the encoder remains a function of the set. The convolution over neighbouring values is left out: neighbours by
id have nothing in common.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from scfm.models.attention import attend
from scfm.models.bmfm.backbones.layout import Layout, Rows, owners
from scfm.models.bmfm.backbones.llama import LlamaBlock
from scfm.models.bmfm.settings import Encoder


@dataclass
class Landmarks(Layout):
    """The cells of a batch, and the landmark of each token; a cell has at most as many landmarks as tokens."""

    segment: Tensor
    """int64 [tokens], landmark of each token; those of a cell are nearly equal runs of its tokens by gene id."""
    size: Tensor
    """float32 [landmarks], tokens of each."""
    first: Tensor
    """int32 [cells + 1], first landmark of each cell, and the total."""
    most: int
    """Landmarks of the cell that has most."""
    long: Tensor
    """int64 [long cells, most], landmarks of the cells that have fewer of them than tokens."""
    long_first: Tensor
    """int32 [cells + 1], the same counted over `long` alone."""

    @classmethod
    def of(cls, starts: Tensor, longest: int, gene: Tensor | None, settings: Encoder) -> "Landmarks":
        """Landmarks of a batch.

        Args:
            gene: int64 [tokens], no id twice in a cell.

        Raises:
            ValueError: no genes are given.
        """
        if gene is None:
            raise ValueError("gene: the Nyströmformer orders tokens by it; none given")
        most = min(settings.landmarks, longest)
        cell = owners(starts, len(gene))
        order = gene.argsort()
        order = order[cell[order].argsort(stable=True)]
        rank = torch.empty_like(order).index_copy(0, order, torch.arange(len(gene), device=gene.device) - starts[cell])
        lengths = starts.diff()
        count = lengths.clamp(max=most)
        first, long_first = _cumulative(count), _cumulative(count * (lengths > most))
        segment = first[cell] + rank * count[cell] // lengths[cell]
        size = torch.zeros(int(first[-1]), device=gene.device).index_add(0, segment, torch.ones_like(gene).float())
        long = first[:-1][lengths > most].long()[:, None] + torch.arange(most, device=gene.device)
        return cls(starts, longest, segment, size, first, most, long, long_first)

    def mean(self, x: Tensor) -> Tensor:
        """Means over the tokens of each landmark: [tokens, heads, width] to [landmarks, heads, width]."""
        total = x.new_zeros(len(self.size), *x.shape[1:], dtype=torch.float32).index_add(0, self.segment, x.float())
        return (total / self.size[:, None, None]).to(x.dtype)


class NystromformerBlock(LlamaBlock):
    """A LLaMA block whose attention goes through landmarks; exact where a cell has no more tokens than landmarks."""

    layout = Landmarks

    def __init__(self, settings: Encoder, first: bool) -> None:
        super().__init__(settings, first)
        self.iterations = settings.inverse_iterations

    def mix(self, x: Tensor, layout: Landmarks, rows: Rows | None) -> Tensor:
        """Attention among normed tokens: [tokens or rows, hidden]."""
        q, k, v = self.project(x, self.qkv.weight).unbind(1)
        keys = layout.mean(k)
        values = self._values(layout.mean(q), keys, k, v, layout)
        where = layout if rows is None else rows
        q = q if rows is None else q[rows.position]
        return attend(q, keys, values, layout.first, layout.most, where.starts, where.longest).flatten(1)

    def _values(self, queries: Tensor, keys: Tensor, k: Tensor, v: Tensor, layout: Landmarks) -> Tensor:
        """What a token reads at each landmark: pinv(A) times what the landmark reads of all tokens.

        Where each token is its own landmark, its value: attention is then exact.
        """
        values = layout.mean(v)
        if not len(layout.long):
            return values
        long = layout.long.flatten()
        read = attend(queries[long], k, v, layout.starts, layout.longest, layout.long_first, layout.most)
        with torch.autocast(values.device.type, enabled=False):
            q, k, read = (
                part.view(*layout.long.shape, *part.shape[1:]).transpose(1, 2).float()
                for part in (queries[long], keys[long], read)
            )
            between = (q @ k.transpose(2, 3) * q.shape[3] ** -0.5).softmax(3)
            read = pseudo_inverse(between, self.iterations) @ read
        return values.index_copy(0, long, read.transpose(1, 2).flatten(0, 1).to(values.dtype))


def pseudo_inverse(a: Tensor, iterations: int) -> Tensor:
    """Moore-Penrose inverse of each matrix, by the third-order iteration of the paper (its equation 11).

    It starts at Aᵀ / (|A|₁ |A|∞), norms of that matrix alone.

    Args:
        a: float [..., n, n].
    """
    z = a.mT / (a.abs().sum(-2).amax(-1) * a.abs().sum(-1).amax(-1))[..., None, None]
    one = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    for _ in range(iterations):
        az = a @ z
        z = z @ (13 * one - az @ (15 * one - az @ (7 * one - az))) / 4
    return z


def _cumulative(counts: Tensor) -> Tensor:
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)]).to(torch.int32)
