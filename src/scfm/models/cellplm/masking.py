"""Draws of what training hides: cells of a set, and genes of a cell."""

import torch
from torch import Tensor

from scfm.models.cellplm.settings import Masking


def stay(set_of: Tensor, drop: float, generator: torch.Generator) -> Tensor:
    """bool [cells]: the cell stays in its set; each set keeps at least the cell of its highest draw.

    Args:
        set_of: int64 [cells], number of the set, ascending from 0.
    """
    draw = torch.rand(len(set_of), generator=generator, device=set_of.device)
    highest = draw.new_zeros(len(set_of)).scatter_reduce(0, set_of, draw, "amax")
    return (draw >= drop) | (draw == highest[set_of])


def hidden_shares(cells: int, masking: Masking, generator: torch.Generator) -> Tensor:
    """float32 [cells]: share of its genes that each cell hides, 0 where it is not chosen."""
    device = generator.device
    chosen = torch.rand(cells, generator=generator, device=device) < masking.cells
    if masking.shares == "constant":
        return masking.genes * chosen
    a = masking.concentration
    b = (a - 1) / masking.genes + 2 - a
    gamma = torch._standard_gamma(torch.tensor([[a, b]], device=device).repeat(cells, 1), generator=generator)
    return (gamma[:, 0] / gamma.sum(1)).clamp(max=masking.most) * chosen
