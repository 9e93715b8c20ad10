"""Blocks of the bidirectional LLaMA: RMSNorm, attention without positions, SwiGLU, no biases."""

from torch import Tensor, nn
from torch.nn import functional as F

from scfm.models.attention import attend
from scfm.models.bmfm.backbones.layout import Layout, Rows
from scfm.models.bmfm.settings import Encoder


class LlamaBlock(nn.Module):
    """One transformer block; block 0 attends to the raw embedding, without a norm before it (paper)."""

    layout = Layout
    final_norm = nn.RMSNorm

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

    def forward(self, x: Tensor, layout: Layout, rows: Rows | None = None) -> Tensor:
        """[tokens, hidden] to [tokens, hidden], or to [rows, hidden] where only some rows are asked for."""
        mixed = self.mix(self.norm_attention(x), layout, rows)
        x = (x if rows is None else x[rows.position]) + self.out(mixed)
        gate, up = self.gate_up(self.norm_ffn(x)).chunk(2, dim=1)
        return x + self.down(F.silu(gate) * up)

    def mix(self, x: Tensor, layout: Layout, rows: Rows | None) -> Tensor:
        """Attention among normed tokens: [tokens or rows, hidden]."""
        if rows is None:
            q, k, v = self.project(x, self.qkv.weight).unbind(1)
            return self.attend(q, k, v, layout.starts, layout.longest).flatten(1)
        width = x.shape[1]
        q = self.project(x[rows.position], self.qkv.weight[:width]).squeeze(1)
        k, v = self.project(x, self.qkv.weight[width:]).unbind(1)
        return self.attend(q, k, v, layout.starts, layout.longest, rows.starts, rows.longest).flatten(1)

    def project(self, x: Tensor, weight: Tensor) -> Tensor:
        """[tokens, k, heads, width per head] for a weight of k times the hidden width."""
        return F.linear(x, weight).view(len(x), -1, self.heads, x.shape[1] // self.heads)

    def attend(self, *args) -> Tensor:
        """Softmax attention; arguments and result of `scfm.models.attention.attend`."""
        return attend(*args)
