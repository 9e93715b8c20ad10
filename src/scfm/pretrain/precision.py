"""Arithmetic of a training: Lightning's names of it, and what each means in PyTorch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from scfm.errors import ScfmError

HALF = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Name to the type of matrix products under autocast; None where all is float32."""


def must_know(precision: str | None) -> None:
    """None is fine.

    Raises:
        ScfmError: an unknown name.
    """
    if precision not in (None, *HALF):
        raise ScfmError(f"precision: '{precision}' is not known; choose {', '.join(HALF)}")


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """Matrix products of the block in the type of the precision; counts and targets stay as they are.

    Fabric's own would round those too.
    """
    half = HALF[precision]
    with torch.autocast(device.type, half, enabled=half is not None):
        yield


def gradient_scaler(device: torch.device, precision: str) -> torch.amp.GradScaler:
    """Scales the loss so that float16 gradients do not vanish; under any other precision it does nothing.

    An update whose gradients overflow is left out, and the scale halved.
    """
    return torch.amp.GradScaler(device.type, enabled=precision == "16-mixed")
