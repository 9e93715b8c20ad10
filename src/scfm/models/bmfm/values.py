"""Value encoders: the number that a token holds, as a vector."""

import math

import torch
from torch import Tensor, nn

from scfm.models.bmfm.selection import order_within
from scfm.models.bmfm.settings import BinnedValue, MlpValue, PeriodicValue, ValueEncoder


class Periodic(nn.Module):
    """[sin 2πcx, cos 2πcx] over a geometric ladder of c, then a linear map (paper, scale-adapt)."""

    def __init__(self, settings: PeriodicValue, width: int) -> None:
        super().__init__()
        steps = torch.arange(settings.frequencies) / max(settings.frequencies - 1, 1)
        phase = 2 * math.pi * settings.lowest * 2 ** (settings.octaves * steps)
        if settings.trainable:
            # Learnt as logarithms, a step of the optimiser moves each frequency by the same share of itself.
            self.log_phase = nn.Parameter(phase.log())
        else:
            self.register_buffer("phase", phase, persistent=False)
        self.trainable = settings.trainable
        self.linear = nn.Linear(2 * settings.frequencies, width)

    def forward(self, x: Tensor) -> Tensor:
        """float32 [n], values, to [n, width]."""
        return self.linear(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """float32 [n] to [n, 2 * frequencies], the sines first."""
        angle = x[:, None] * (self.log_phase.exp() if self.trainable else self.phase)
        return torch.cat([angle.sin(), angle.cos()], dim=1)


class Mlp(nn.Module):
    """Linear, ReLU or GELU, Linear."""

    def __init__(self, settings: MlpValue, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(1, settings.hidden)
        self.activation = nn.GELU() if settings.activation == "gelu" else nn.ReLU()
        self.out = nn.Linear(settings.hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """float32 [n], values, to [n, width]."""
        # Written out, since autocast would round the values themselves to bfloat16 for a matrix product.
        hidden = x[:, None] * self.hidden.weight[:, 0] + self.hidden.bias
        return self.out(self.activation(hidden))


def value_encoder(settings: ValueEncoder, width: int) -> nn.Module:
    """The value encoder that the settings name: of values, or of the `bin` of a view under `bins`."""
    if isinstance(settings, BinnedValue):
        return nn.Embedding(settings.bins, width)
    return (Mlp if isinstance(settings, MlpValue) else Periodic)(settings, width)


def quantile_bins(cell: Tensor, y: Tensor, lengths: Tensor, bins: int) -> Tensor:
    """Bin of each value among its cell's own (scGPT), int64 [elements] in [0, bins).

    The edges of a cell are the quantiles k / bins of all its nonzero values, k = 1 .. bins - 1, each the smallest value
    that so large a share of them does not exceed; a value's bin is the number of edges below it. Equal values share
    their bin, and the bins depend on the order of the values alone, whatever the depth of the cell.

    Args:
        cell: int64 [elements], sorted. y: float32 [elements]. lengths: int64 [cells].
    """
    order = order_within(cell, y)
    place = torch.arange(len(y), device=y.device)
    # A run of equal values begins where value or cell change; all of it has the rank of its first.
    begins = torch.ones(len(y), dtype=torch.bool, device=y.device)
    begins[1:] = (y[order].diff() != 0) | (cell.diff() != 0)
    first = torch.where(begins, place, 0).cummax(0).values if len(y) else place
    below = first - (lengths.cumsum(0) - lengths)[cell]
    return torch.empty_like(order).index_copy_(0, order, bins * below // lengths[cell])
