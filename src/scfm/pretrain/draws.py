"""Random draws of a training."""

import torch


def generator_at(device: torch.device, *numbers: int) -> torch.Generator:
    """A generator that depends on seed and position alone, so that a resumed run is the same run.

    Args:
        numbers: seed, split, and the place in the training.
    """
    mixed = 0
    for number in numbers:
        mixed = (mixed * 1_000_003 + number + 1) % (2**62)
    return torch.Generator(device).manual_seed(mixed)
