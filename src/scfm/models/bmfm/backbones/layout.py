"""Where the tokens of each cell stand in a ragged batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from scfm.models.bmfm.settings import Encoder


@dataclass
class Layout:
    """The cells of a batch, one after another."""

    starts: Tensor
    """int32 [cells + 1], first token of each cell, and the total."""
    longest: int
    """Tokens of the longest cell."""

    @classmethod
    def of(cls, starts: Tensor, longest: int, gene: Tensor | None, settings: Encoder) -> "Layout":
        """The layout of a batch; here neither its genes nor the settings matter."""
        return cls(starts, longest)


@dataclass
class Rows:
    """The tokens of a batch whose final vectors are read."""

    position: Tensor
    """int64 [rows], ascending."""
    starts: Tensor
    """int32 [cells + 1], first row of each cell."""
    longest: int
    """Rows of the cell that has most."""


def owners(starts: Tensor, n: int) -> Tensor:
    """int64 [n]: the cell of each of `n` tokens; of those past the end, the last cell.

    Args:
        starts: integer [cells + 1].
    """
    tokens = torch.arange(n, device=starts.device, dtype=starts.dtype)
    return torch.searchsorted(starts[1:], tokens, right=True).clamp(max=len(starts) - 2)
