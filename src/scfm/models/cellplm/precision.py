"""What needs more digits than half precision."""

import torch
from torch import Tensor


def single(x: Tensor) -> Tensor:
    """`x` in single precision, or in double if it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
