"""Dropout from the step's own generator."""

import torch
from torch import Tensor


def drop(x: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """`x` with this share of its elements 0 and the others larger; without a generator `x` itself."""
    if generator is None or not share:
        return x
    stays = torch.rand(x.shape, generator=generator, device=x.device) >= share
    return x * stays / (1 - share)
