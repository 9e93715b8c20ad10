"""Bidirectional blocks: RMSNorm, attention with rotary positions, SwiGLU, no biases; no input of time."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfm.models.lingshu.settings import Transformer


class Block(nn.Module):
    """Attention and feed-forward part, each with its norm before it."""

    def __init__(self, settings: Transformer) -> None:
        super().__init__()
        width, self.heads = settings.hidden, settings.heads
        self.norm_attention, self.norm_ffn = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * settings.ffn, bias=False)
        self.down = nn.Linear(settings.ffn, width, bias=False)

    def forward(self, x: Tensor, angle: Tensor) -> Tensor:
        """[cells, tokens, width] to the same; `angle` as `angles`."""
        query, key, value = (
            self.qkv(self.norm_attention(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        )
        mixed = F.scaled_dot_product_attention(rotate(query, angle), rotate(key, angle), value)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        gate, up = self.gate_up(self.norm_ffn(x)).chunk(2, dim=2)
        return x + self.down(F.silu(gate) * up)


class Backbone(nn.Module):
    """Blocks and a last norm; every token sees every token."""

    def __init__(self, settings: Transformer) -> None:
        super().__init__()
        self.settings = settings
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.layers))
        self.norm = nn.RMSNorm(settings.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """[cells, tokens, width] to the same."""
        angle = angles(x.shape[1], self.settings.hidden // self.settings.heads, self.settings.rope_base, x.device)
        for block in self.blocks:
            x = block(x, angle)
        return self.norm(x)


def angles(tokens: int, width: int, base: float, device: torch.device) -> Tensor:
    """float32 [tokens, width / 2], by which pairs of a head's elements are rotated (rotary positions, RoFormer)."""
    rate = base ** (-torch.arange(0, width, 2, device=device) / width)
    return torch.arange(tokens, device=device)[:, None] * rate


def rotate(x: Tensor, angle: Tensor) -> Tensor:
    """[..., tokens, width]: element i of a head and element i + width / 2 turned by the angle of their token."""
    one, two = x.chunk(2, dim=-1)
    cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    return torch.cat([one * cosine - two * sine, one * sine + two * cosine], dim=-1)
