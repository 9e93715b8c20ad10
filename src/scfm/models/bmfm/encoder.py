"""The bidirectional LLaMA encoder: RMSNorm, attention without positions, SwiGLU, no biases."""

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

    def forward(self, x: Tensor, starts: Tensor, longest: int) -> Tensor:
        """[tokens, hidden] to [tokens, hidden]."""
        q, k, v = self.qkv(self.norm_attention(x)).view(len(x), 3, self.heads, -1).unbind(1)
        x = x + self.out(attend(q, k, v, starts, longest).flatten(1))
        gate, up = self.gate_up(self.norm_ffn(x)).chunk(2, dim=1)
        return x + self.down(F.silu(gate) * up)


class LlamaEncoder(nn.Module):
    """A stack of blocks over ragged tokens; a set function of each cell's tokens."""

    def __init__(self, settings: Encoder) -> None:
        super().__init__()
        norm = nn.RMSNorm(settings.hidden, settings.norm_eps)
        self.norm_embedding = nn.LayerNorm(settings.hidden) if settings.embedding_norm else nn.Identity()
        self.blocks = nn.ModuleList(Block(settings, first=i == 0) for i in range(settings.layers))
        self.norm = norm if settings.final_norm else nn.Identity()

    def forward(self, x: Tensor, starts: Tensor, longest: int) -> Tensor:
        """[tokens, hidden] to [tokens, hidden]."""
        x = self.norm_embedding(x)
        for block in self.blocks:
            x = block(x, starts, longest)
        return self.norm(x)


def initialise(module: nn.Module, settings: Encoder, generator: torch.Generator) -> None:
    """Truncated normal for matrices and embeddings; residual projections divided by √(2·layers)."""
    std = settings.init_std
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            nn.init.trunc_normal_(parameter, std=std, a=-2 * std, b=2 * std, generator=generator)
            if name.endswith(("out.weight", "down.weight")):
                parameter.data.div_((2 * settings.layers) ** 0.5)
