"""From the visible genes of each cell to its vector among the cells of its set."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfm.models.cellplm.dropout import drop
from scfm.models.cellplm.flow import Layout, flow_attention, lay_out
from scfm.models.cellplm.position import Position
from scfm.models.cellplm.settings import Cellplm
from scfm.models.cellplm.settings import Encoder as Settings
from scfm.models.cellplm.view import View


class Embedder(nn.Module):
    """A cell's token: the sum of its gene vectors times log1p of their counts, and a layer upon it."""

    def __init__(self, genes: int, settings: Settings) -> None:
        super().__init__()
        self.gene = nn.Embedding(genes, settings.hidden)
        self.linear = nn.Linear(settings.hidden, settings.hidden)
        self.norm = nn.LayerNorm(settings.hidden)
        self.dropout = settings.dropout

    def forward(self, view: View, generator: torch.Generator | None) -> Tensor:
        """float [cells, hidden]."""
        value = view.value.to(self.gene.weight.dtype)
        token = F.embedding_bag(view.gene, self.gene.weight, view.starts, mode="sum", per_sample_weights=value)
        return self.norm(drop(F.relu(self.linear(token)), self.dropout, generator))


class Block(nn.Module):
    """Flow attention and a feed-forward layer, each after a norm."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        width = settings.hidden
        self.heads, self.dropout = settings.heads, settings.dropout
        self.norm_attention, self.norm_ffn = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, settings.ffn), nn.Linear(settings.ffn, width)

    def forward(self, x: Tensor, layout: Layout, generator: torch.Generator | None) -> Tensor:
        """[cells, hidden] to [cells, hidden]."""
        q, k, v = self.qkv(self.norm_attention(x)).view(len(x), 3, self.heads, -1).unbind(1)
        attended = self.out(flow_attention(q, k, v, layout).flatten(1))
        x = x + drop(attended, self.dropout, generator)
        inner = drop(F.gelu(self.up(self.norm_ffn(x))), self.dropout, generator)
        return x + drop(self.down(inner), self.dropout, generator)


class Encoder(nn.Module):
    """Embedder, position code, blocks and a norm."""

    def __init__(self, genes: int, settings: Cellplm) -> None:
        super().__init__()
        width = settings.encoder.hidden
        self.embedder = Embedder(genes, settings.encoder)
        self.position = Position(width) if settings.positions else None
        self.blocks = nn.ModuleList(Block(settings.encoder) for _ in range(settings.encoder.layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, view: View, generator: torch.Generator | None) -> Tensor:
        """float [cells, hidden]; without a generator nothing is dropped."""
        x = self.embedder(view, generator)
        if self.position is not None:
            x = x + self.position(view.place)
        layout = lay_out(view.set_of)
        for block in self.blocks:
            x = block(x, layout, generator)
        return self.norm(x)
