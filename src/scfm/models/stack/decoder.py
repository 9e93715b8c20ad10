"""From the modules of a cell and its depth to a negative binomial for each gene."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfm.models.stack.settings import Transformer

DISPERSION = 1e-4
"""Least dispersion."""
DEPTH = 1e-6
"""Depth that stands for that of a cell without counts."""


class Decoder(nn.Module):
    """Shares of the genes in a cell, which sum to 1, and dispersions."""

    def __init__(self, genes: int, settings: Transformer) -> None:
        super().__init__()
        width = settings.cell_width
        self.hidden = nn.Linear(width, 2 * width)
        self.share = nn.Linear(2 * width, genes)
        self.dispersion = nn.Linear(2 * width, genes)

    def forward(self, x: Tensor, depth: Tensor, genes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log mean and log dispersion, float [..., decoded].

        Args:
            x: [..., modules, width]. depth: float [...], counts of the cell.
            genes: int64 [decoded], which genes; None means all.
        """
        x = F.gelu(self.hidden(x.flatten(-2)))
        log_share = self.share(x).float().log_softmax(-1)
        weight, bias = self.dispersion.weight, self.dispersion.bias
        if genes is not None:
            log_share, weight, bias = log_share[..., genes], weight[genes], bias[genes]
        dispersion = F.softplus(F.linear(x, weight, bias).float()).clamp(min=DISPERSION)
        return log_share + depth.clamp(min=DEPTH).log()[..., None], dispersion.log()

    @torch.no_grad()
    def start_at_means(self, mean: Tensor) -> None:
        """Start the shares at those of the mean counts, float [genes] (ours)."""
        self.share.bias.copy_(torch.log(mean.clamp(min=1e-6)))
