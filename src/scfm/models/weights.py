"""Sizes of networks."""

from torch import nn


def weights(module: nn.Module | None) -> int:
    """Entries of the matrices that a vector is multiplied with."""
    parts = module.modules() if module is not None else ()
    return sum(part.weight.numel() for part in parts if isinstance(part, nn.Linear))
