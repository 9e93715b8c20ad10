"""Two-dimensional sinusoidal code of a cell's place in its tissue."""

import torch
from torch import Tensor, nn

from scfm.models.cellplm.settings import Positions

LONGEST = 1e4
"""Longest wave over 2π, in units of the grid (Vaswani et al. 2017, section 3.5)."""


def to_grid(place: Tensor, set_of: Tensor, settings: Positions) -> Tensor:
    """Coordinates from each set's corner, scaled alike in both axes.

    Args:
        place: float [cells, 2], in any unit; NaN in either axis means absent.
        set_of: int64 [cells], number of the set.

    Returns:
        float [cells, 2], NaN where absent.
    """
    absent = place.isnan().any(1, keepdim=True)
    index, sets = set_of[:, None].expand(-1, 2), int(set_of[-1]) + 1
    lowest = place.new_full((sets, 2), torch.inf).scatter_reduce(0, index, place.masked_fill(absent, torch.inf), "amin")
    highest = place.new_full((sets, 2), -torch.inf).scatter_reduce(
        0, index, place.masked_fill(absent, -torch.inf), "amax"
    )
    side = (highest - lowest).amax(1, keepdim=True)
    side = side.clamp(min=torch.finfo(place.dtype).tiny) if settings.span is None else settings.span
    moved = place - lowest[set_of]
    scaled = moved / (side[set_of] if settings.span is None else side) * settings.grid
    return scaled.masked_fill(absent, torch.nan)


class Position(nn.Module):
    """Sinusoids of both axes, half of the width each; a learnt vector where coordinates are absent."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.absent = nn.Parameter(torch.zeros(1, width))
        frequency = LONGEST ** -(torch.arange(width // 4) / (width // 4))
        self.register_buffer("frequency", frequency, persistent=False)

    def forward(self, place: Tensor | None) -> Tensor:
        """[cells, 2] to [cells, width]; of no coordinates at all [1, width]."""
        if place is None:
            return self.absent
        absent = place.isnan().any(1, keepdim=True)
        phase = place.masked_fill(absent, 0)[:, :, None] * self.frequency
        code = torch.cat([phase.sin(), phase.cos()], dim=2).flatten(1)
        return torch.where(absent, self.absent, code)
