"""The bidirectional LLaMA encoder: RMSNorm, attention without positions, SwiGLU, no biases."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfm.models.attention import attend
from scfm.models.bmfm.settings import Encoder


class Block(nn.Module):
    """One transformer block; block 0 attends to the raw embedding, without a norm before it (paper)."""

    def __init__(self, settings: Encoder, first: bool) -> None:
        super().__init__()
        width = settings.hidden
        self.heads = settings.heads
        self.norm_attention = nn.Identity() if first else nn.RMSNorm(width, settings.norm_eps)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm_ffn = nn.RMSNorm(width, settings.norm_eps)
        self.gate_up = nn.Linear(width, 2 * settings.ffn, bias=False)
        self.down = nn.Linear(settings.ffn, width, bias=False)

    def forward(self, x: Tensor, starts: Tensor, longest: int, rows: "Rows | None" = None) -> Tensor:
        """[tokens, hidden] to [tokens, hidden], or to [rows, hidden] where only some rows are asked for."""
        normed = self.norm_attention(x)
        if rows is None:
            q, k, v = self._heads(normed, self.qkv.weight).unbind(1)
            x = x + self.out(attend(q, k, v, starts, longest).flatten(1))
        else:
            width = x.shape[1]
            q = self._heads(normed[rows.position], self.qkv.weight[:width]).squeeze(1)
            k, v = self._heads(normed, self.qkv.weight[width:]).unbind(1)
            x = x[rows.position] + self.out(attend(q, k, v, starts, longest, rows.starts, rows.longest).flatten(1))
        gate, up = self.gate_up(self.norm_ffn(x)).chunk(2, dim=1)
        return x + self.down(F.silu(gate) * up)

    def _heads(self, x: Tensor, weight: Tensor) -> Tensor:
        """[tokens, k, heads, width per head] for a weight of k times the hidden width."""
        return F.linear(x, weight).view(len(x), -1, self.heads, x.shape[1] // self.heads)


@dataclass
class Rows:
    """The tokens of a batch whose final vectors are read."""

    position: Tensor
    """int64 [rows], ascending."""
    starts: Tensor
    """int32 [cells + 1], first row of each cell."""
    longest: int
    """Rows of the cell that has most."""


class LlamaEncoder(nn.Module):
    """A stack of blocks over ragged tokens; a set function of each cell's tokens."""

    def __init__(self, settings: Encoder) -> None:
        super().__init__()
        norm = nn.RMSNorm(settings.hidden, settings.norm_eps)
        self.norm_embedding = nn.LayerNorm(settings.hidden) if settings.embedding_norm else nn.Identity()
        self.blocks = nn.ModuleList(Block(settings, first=i == 0) for i in range(settings.layers))
        self.norm = norm if settings.final_norm else nn.Identity()

    def forward(self, x: Tensor, starts: Tensor, longest: int, rows: Rows | None = None) -> Tensor:
        """[tokens, hidden] to [tokens, hidden]; with `rows` the last block works for these alone: [rows, hidden]."""
        x = self.norm_embedding(x)
        last = len(self.blocks) - 1
        for i, block in enumerate(self.blocks):
            x = block(x, starts, longest, rows if i == last else None)
        return self.norm(x)


def initialise(module: nn.Module, settings: Encoder, generator: torch.Generator) -> None:
    """Truncated normal for matrices and embeddings, a block's residual projections divided by √(2·layers), biases 0."""
    std = settings.init_std
    for part in module.modules():
        # PyTorch draws biases from the global generator, which would tie them to what ran before.
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            nn.init.trunc_normal_(parameter, std=std, a=-2 * std, b=2 * std, generator=generator)
            if ".blocks." in name and name.endswith(("out.weight", "down.weight")):
                parameter.data.div_((2 * settings.layers) ** 0.5)
