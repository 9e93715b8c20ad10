"""Blocks of the Performer: softmax attention by positive random features, linear in length (arXiv 2009.14794)."""

import torch
from torch import Tensor

from scfm.models.bmfm.backbones.layout import owners
from scfm.models.bmfm.backbones.llama import LlamaBlock
from scfm.models.bmfm.settings import Encoder

CHUNK = 64
"""Tokens of one matrix product: a cell's sums are sums over its chunks."""


class PerformerBlock(LlamaBlock):
    """A LLaMA block whose attention is FAVOR+, with features of its own for each head."""

    def __init__(self, settings: Encoder, first: bool) -> None:
        super().__init__(settings, first)
        width = settings.hidden // settings.heads
        self.register_buffer("features", torch.empty(settings.heads, settings.features, width))
        self.draw_features()

    def draw_features(self, generator: torch.Generator | None = None) -> None:
        """New features: Gaussian, those of a head orthogonal in groups of its width."""
        heads, count, width = self.features.shape
        groups = -(-count // width)
        q, r = torch.linalg.qr(torch.randn(heads, groups, width, width, generator=generator))
        q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)  # else not uniform over directions
        norms = torch.randn(heads, groups, width, width, generator=generator).norm(dim=3, keepdim=True)
        self.features.copy_((q * norms).flatten(1, 2)[:, :count])

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        starts: Tensor,
        longest: int,
        query_starts: Tensor | None = None,
        query_longest: int | None = None,
    ) -> Tensor:
        """Arguments and result of `scfm.models.attention.attend`; both lengths are of no use here."""
        with torch.autocast(query.device.type, enabled=False):
            q, k, v = query.float(), key.float(), value.float()
            return favor(q, k, v, self.features, starts, starts if query_starts is None else query_starts).to(value)


def favor(q: Tensor, k: Tensor, v: Tensor, features: Tensor, starts: Tensor, query_starts: Tensor) -> Tensor:
    """Attention with weights exp(q·k/√width) estimated as the mean over features ω of φ(q)·φ(k).

    φ(x) = exp(ω·x' − |x'|²/2) with x' = x / width^¼. Each feature is divided by its largest value over the keys of
    the cell and the query multiplied by the same, so that no sum overflows or vanishes, whatever the batch.

    Args:
        q: float32 [queries, heads, width]. k, v: float32 [tokens, heads, width]. features: [heads, features, width].
        starts, query_starts: int32 [cells + 1].
    """
    scale = q.shape[2] ** -0.25
    keys, queries = Chunks(starts, len(k)), Chunks(query_starts, len(q))
    logs = torch.einsum("thw,hfw->thf", k * scale, features) - (k * scale).square().sum(2, keepdim=True) / 2
    logs = keys.spread(logs, -torch.inf)
    most = logs.detach().amax(2)
    owner = keys.cell[:, None, None].expand_as(most)
    most = most.new_full((len(starts) - 1, *most.shape[1:]), -torch.inf).scatter_reduce(0, owner, most, "amax")
    phi = (logs - most[keys.cell].unsqueeze(2)).exp()
    values = keys.total(phi.transpose(2, 3) @ keys.spread(v, 0.0))  # [cells, heads, features, width]
    weights = keys.total(phi.sum(2))  # [cells, heads, features]
    logs = queries.spread(torch.einsum("thw,hfw->thf", q * scale, features), 0.0) + most[queries.cell].unsqueeze(2)
    phi = (logs - logs.detach().amax(3, keepdim=True)).exp()
    return queries.gather((phi @ values[queries.cell]) / (phi @ weights[queries.cell].unsqueeze(3)))


class Chunks:
    """Tokens of a ragged batch in runs of at most `CHUNK` of one cell; some runs at the end stay empty.

    Args:
        starts: int32 [cells + 1]. tokens: the total, known to the host, so that nothing waits for the device.
    """

    def __init__(self, starts: Tensor, tokens: int) -> None:
        ends = ((starts.diff() + CHUNK - 1) // CHUNK).cumsum(0).to(starts.dtype)
        ends = torch.cat([ends.new_zeros(1), ends])
        self.cells = len(starts) - 1
        self.count = tokens // CHUNK + self.cells
        self.cell = owners(ends, self.count)
        """int64 [chunks], the cell of each."""
        cell = owners(starts, tokens)
        rank = torch.arange(tokens, device=starts.device) - starts[cell]
        self.slot = ends[cell] * CHUNK + rank
        """int64 [tokens], place of each among chunks · CHUNK."""

    def spread(self, x: Tensor, fill: float) -> Tensor:
        """[tokens, heads, n] to [chunks, heads, CHUNK, n]; places without token hold `fill`."""
        full = x.new_full((self.count * CHUNK, *x.shape[1:]), fill).index_copy(0, self.slot, x)
        return full.view(self.count, CHUNK, *x.shape[1:]).transpose(1, 2)

    def gather(self, x: Tensor) -> Tensor:
        """The way back: [chunks, heads, CHUNK, n] to [tokens, heads, n]."""
        return x.transpose(1, 2).flatten(0, 1)[self.slot]

    def total(self, x: Tensor) -> Tensor:
        """Sums over the chunks of each cell: [chunks, ...] to [cells, ...]."""
        return x.new_zeros(self.cells, *x.shape[1:]).index_add(0, self.cell, x)
