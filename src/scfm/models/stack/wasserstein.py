"""The sliced Wasserstein distance of cell vectors from a standard normal law."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from scfm.models.stack.settings import Sliced


@dataclass
class Slices:
    """What a step draws of its sets for this distance."""

    row: Tensor
    """int64 [sets, drawn], rows of cells, without repetition."""
    real: Tensor
    """bool [sets, drawn], False where the set has no more cells."""
    direction: Tensor
    """float [width, projections], each of length 1."""
    normal: Tensor
    """float [sets, drawn, projections], standard normal."""


def draw_slices(real: Tensor, width: int, settings: Sliced, generator: torch.Generator) -> Slices:
    """Random cells of each set, directions and normal draws.

    Args:
        real: bool [sets, cells]. width: of a cell's vector.
    """
    device = real.device
    drawn = torch.randint(settings.least, settings.most + 1, (), generator=generator, device=device)
    order = torch.rand(real.shape, generator=generator, device=device).masked_fill(~real, 2).argsort(1)
    row = order[:, : int(drawn)]
    direction = F.normalize(torch.randn(width, settings.projections, generator=generator, device=device), dim=0)
    normal = torch.randn(*row.shape, settings.projections, generator=generator, device=device)
    return Slices(row, real.gather(1, row), direction, normal)


def sliced_wasserstein(x: Tensor, slices: Slices) -> Tensor:
    """Σ over sets of two cells or more of the squared distance between their vectors and the normal law.

    Each direction's projections and the normal draws are sorted and compared in pairs; a set's term is the mean of the
    squared differences (Bonneel et al. 2015).

    Args:
        x: float [sets, drawn, width], vectors of the drawn cells.
    """
    padding = ~slices.real[..., None]
    own, normal = (
        part.float().masked_fill(padding, torch.inf).sort(1).values for part in (x @ slices.direction, slices.normal)
    )
    cells = slices.real.sum(1)
    within = torch.arange(x.shape[1], device=x.device) < cells[:, None]
    square = (own.masked_fill(~within[..., None], 0) - normal.masked_fill(~within[..., None], 0)).square()
    return (square.mean(2).sum(1) / cells.clamp(min=1) * (cells > 1)).sum()


def sets_of_two(slices: Slices) -> Tensor:
    """Terms of that sum, int64 scalar."""
    return (slices.real.sum(1) > 1).sum()


def drawn_vectors(x: Tensor, real: Tensor, slices: Slices) -> Tensor:
    """float [sets, drawn, width]: vectors [sets, cells, width] of the drawn cells, less the mean of their set."""
    weight = real[..., None].to(x.dtype)
    mean = (x * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
    return (x - mean).gather(1, slices.row[..., None].expand(-1, -1, x.shape[2]))
