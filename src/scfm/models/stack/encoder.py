"""From a table of counts to gene modules, by attention within cells and across the cells of a set."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfm.models.stack.settings import Transformer


class Attention(nn.Module):
    """Attention of several heads; no bias on what is compared."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[batch, length, width] to the same.

        Args:
            mask: bool [batch, 1, length, length], who (row) sees whom (column); None where all see all.
        """
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Attention within cells, attention across cells and a feed-forward part, each followed by its norm."""

    def __init__(self, settings: Transformer) -> None:
        super().__init__()
        width, cell = settings.width, settings.cell_width
        self.within, self.norm_within = Attention(width, settings.heads), nn.LayerNorm(width)
        self.across = Attention(cell, settings.set_heads) if settings.across_cells else None
        self.norm_across = nn.LayerNorm(cell) if settings.across_cells else None
        self.up, self.down = nn.Linear(width, settings.ffn), nn.Linear(settings.ffn, width)
        self.norm_ffn = nn.LayerNorm(width)

    def forward(self, x: Tensor, position: Tensor, mask: Tensor | None) -> Tensor:
        """[sets, cells, modules, width] to the same; `position` [modules, width] enters the first attention alone."""
        cells = x.flatten(0, 1)
        x = self.norm_within(cells + self.within(cells + position)).view_as(x)
        if self.across is not None:
            rows = x.flatten(2)
            x = self.norm_across(rows + self.across(rows, mask)).view_as(x)
        return self.norm_ffn(x + self.down(F.gelu(self.up(x))))


class Encoder(nn.Module):
    """Tokens of each cell, dense in the genes, and layers. Cells have no order."""

    def __init__(self, genes: int, settings: Transformer) -> None:
        super().__init__()
        self.settings = settings
        self.tokens = nn.Linear(genes, settings.cell_width)
        self.gene_pos = nn.Parameter(torch.zeros(settings.modules, settings.width))
        self.layers = nn.ModuleList(Layer(settings) for _ in range(settings.layers))

    def forward(
        self,
        counts: Tensor,
        mask: Tensor | None,
        marker: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Float [sets, cells, modules, width].

        Args:
            counts: float [sets, cells, genes], raw, hidden genes 0.
            mask: as `who_sees_whom`.
            marker: float [sets, cells, modules, width], added to the tokens.
            generator: source of dropout; None drops nothing.
        """
        settings = self.settings
        x = F.gelu(self.tokens(torch.log1p(counts)))
        if generator is not None and settings.dropout:
            stays = torch.rand(x.shape, generator=generator, device=x.device) >= settings.dropout
            x = x * stays / (1 - settings.dropout)
        x = x.unflatten(2, (settings.modules, settings.width))
        if marker is not None:
            x = x + marker
        for layer in self.layers:
            x = layer(x, self.gene_pos, mask)
        return x


def who_sees_whom(real: Tensor, prompt: Tensor | None = None) -> Tensor | None:
    """bool [sets, 1, cells, cells]: no row sees padding, and rows of the prompt see the prompt alone.

    Args:
        real: bool [sets, cells]. prompt: bool [sets, cells].

    Returns:
        None where every row sees every row, which is faster.
    """
    if prompt is None and bool(real.all()):
        return None
    sees = real[:, None, :].expand(-1, real.shape[1], -1)
    if prompt is not None:
        sees = sees & (prompt[:, None, :] | ~prompt[:, :, None])
    return sees[:, None]
