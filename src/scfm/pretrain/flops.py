"""What the device can do of floating-point operations."""

import time
from functools import cache

import torch

from scfm.pretrain.precision import HALF


@cache
def gemm_peak(device: torch.device, precision: str) -> float:
    """Operations a second of one large square product: 1,024 on a CPU, 8,192 on a GPU; the best of three.

    Args:
        precision: of the training; a CPU, which has no units for float16, is measured in float32 instead.
    """
    dtype = HALF[precision] or torch.float32
    on_gpu = device.type == "cuda"
    if dtype == torch.float16 and not on_gpu:
        dtype = torch.float32
    n = 8192 if on_gpu else 1024
    generator = torch.Generator(device).manual_seed(0)
    a, b = (torch.randn(n, n, generator=generator, device=device).to(dtype) for _ in range(2))
    spent = []
    for _ in range(4):  # the first warms up
        start = time.perf_counter()
        a @ b
        if on_gpu:
            torch.cuda.synchronize(device)
        spent.append(time.perf_counter() - start)
    return 2 * n**3 / min(spent[1:])
