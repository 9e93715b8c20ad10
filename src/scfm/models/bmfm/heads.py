"""Heads: reconstruction of values, and labels."""

import torch
from torch import Tensor, nn


def shallow(width: int, out: int) -> nn.Sequential:
    """Linear, GELU, LayerNorm, Linear."""
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, out))


class WholeCellDecoder(nn.Module):
    """Value and is-zero logit of every gene from one cell vector (paper, WCED)."""

    def __init__(self, width: int, genes: int) -> None:
        super().__init__()
        self.layers = shallow(width, 2 * genes)

    def forward(self, cls: Tensor) -> tuple[Tensor, Tensor]:
        """[cells, width] to value and is-zero logit, each [cells, genes]."""
        return self.layers(cls).chunk(2, dim=1)

    @torch.no_grad()
    def start_at_marginals(self, zero_fraction: Tensor, mean_nonzero: Tensor) -> None:
        """Set the biases to each gene's marginals, so that training starts at what the null model knows.

        Args:
            zero_fraction: float [genes]. mean_nonzero: float [genes], mean value where above 0.
        """
        last = self.layers[-1]
        last.weight.mul_(0.1)
        last.bias.copy_(torch.cat([mean_nonzero, torch.logit(zero_fraction.clamp(1e-4, 1 - 1e-4))]))


class LabelHead(nn.Module):
    """Logits over classes from a cell vector, with dropout drawn from the step's own generator."""

    def __init__(self, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.out = nn.Linear(width, classes)
        self.dropout = dropout

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """[cells, width] to [cells, classes]; without a generator nothing is dropped."""
        x = self.hidden(x)
        if generator is not None and self.dropout:
            stays = torch.rand(x.shape, generator=generator, device=x.device) >= self.dropout
            x = x * stays / (1 - self.dropout)
        return self.out(x)


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, coefficient: float) -> Tensor:
        ctx.coefficient = coefficient
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.coefficient * gradient, None


def reverse_gradient(x: Tensor, coefficient: float) -> Tensor:
    """`x` itself, whose gradient comes back times −coefficient (Ganin et al. 2016)."""
    return _Reversal.apply(x, coefficient)


class Pooler(nn.Module):
    """tanh(Linear(CLS)), what label heads read under MLM (released code)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, cls: Tensor) -> Tensor:
        """[cells, width] to [cells, width]."""
        return torch.tanh(self.linear(cls))
