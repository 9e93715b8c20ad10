"""Draws of cells from donors: vectorised, from a generator or, in inference, from a seed and the cells themselves."""

from collections.abc import Callable

import torch
from torch import Tensor

from scfm.models.cells import cell_of

Uniform = Callable[[Tensor], Tensor]
"""From int64 places of a donor, any shape with donors first, to float64 in [0, 1) of the same shape."""


def draw(lengths: Tensor, cells: int, replacement: bool, uniform: Uniform) -> tuple[Tensor, Tensor]:
    """Places of drawn cells within their donors.

    Args:
        lengths: int64 [donors], cells of each, above 0.
        cells: how many to draw from each.
        replacement: else a donor with fewer cells gives them all, and the rest of its row is padding.

    Returns:
        int64 [donors, drawn] in random order, padding last, and int64 [donors]: how many are real.
    """
    longest = cells if replacement else int(lengths.max())
    place = torch.arange(longest, device=lengths.device).expand(len(lengths), -1)
    chance = uniform(place)
    if replacement:
        return (chance * lengths[:, None]).long(), torch.full_like(lengths, cells)
    order = chance.masked_fill(place >= lengths[:, None], 2.0).argsort(dim=1, stable=True)
    return order[:, :cells], lengths.clamp(max=cells)


def from_generator(generator: torch.Generator) -> Uniform:
    """Uniform numbers of a generator."""
    return lambda place: torch.rand(place.shape, dtype=torch.float64, generator=generator, device=place.device)


def from_seed(seed: int) -> Uniform:
    """Numbers as good as uniform that depend on the seed and the place alone."""
    return lambda place: _unit(_scramble(place + _scramble(place.new_tensor(seed))))


def by_content(vectors: Tensor, lengths: Tensor) -> Tensor:
    """int64 [cells]: the cells donor by donor, within each in an order that depends on their vectors alone.

    Args:
        vectors: float32 [cells, width], donor by donor.
    """
    column = torch.arange(vectors.shape[1], device=vectors.device)
    bits = vectors.contiguous().view(torch.int32).long()
    key = _scramble(bits + _scramble(column)).sum(1)
    order = key.argsort(stable=True)
    return order[cell_of(lengths)[order].argsort(stable=True)]


def _scramble(x: Tensor) -> Tensor:
    """A bijection of int64 whose output bits look independent (the finaliser of splitmix64; products wrap)."""
    x = x + -7046029254386353131
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -4658895280553007687
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


def _unit(x: Tensor) -> Tensor:
    """The upper 53 bits as float64 in [0, 1)."""
    return ((x >> 11) & ((1 << 53) - 1)).double() / (1 << 53)
