"""Time and memory of flow attention over one set of cells, beside torch's attention, whose cost is quadratic.

    PYTHONPATH=src:benchmarks python benchmarks/flow.py               # CPU, or a GPU where one is visible

Forward and backward pass of one layer's attention in single precision, projections left out. Both have 8 heads of the
same width; torch's attention chooses its own kernel. It is not run on more cells than `--quadratic`.
On a CPU, glibc gives memory of more than 32 MiB back at once, and clearing it anew then costs more than the attention;
with MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000 it is kept, and the time is that of the work.
"""

import argparse
from collections.abc import Callable

import torch
from steps import fastest, peak_memory
from torch import Tensor
from torch.nn import functional as F

from scfm.models.cellplm.flow import flow_attention, lay_out


def flow(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """All cells as one set."""
    layout = lay_out(torch.zeros(len(query), dtype=torch.int64, device=query.device))
    return flow_attention(query, key, value, layout)


def quadratic(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """torch's attention of the same cells."""
    q, k, v = (x.transpose(0, 1)[None] for x in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1)


def measure(attend: Callable, cells: int, heads: int, width: int, device: torch.device, repeats: int) -> list[float]:
    """Seconds of the forward pass, seconds of both passes, and most bytes of both."""
    draw = torch.Generator(device).manual_seed(0)
    parts = [torch.randn(cells, heads, width, generator=draw, device=device).requires_grad_() for _ in range(3)]

    def forward() -> None:
        with torch.no_grad():
            attend(*parts)

    def both() -> None:
        out = attend(*parts)
        torch.autograd.grad(out, parts, out.detach())

    return [fastest(forward, device, repeats), fastest(both, device, repeats), peak_memory(both, device)]


def main() -> None:
    """Print a row for each attention and number of cells, then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs=2, default=[8_192, 32_768])
    parser.add_argument("--quadratic", type=int, default=8_192, help="most cells of torch's attention")
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--width", type=int, default=32, help="of a head")
    parser.add_argument("--repeats", type=int, default=3)
    a = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print("| attention | cells | forward, s | both passes, s | peak MiB |\n|---|---|---|---|---|")
    found = {}
    for name, attend in {"flow": flow, "torch": quadratic}.items():
        for cells in (n for n in a.cells if name == "flow" or n <= a.quadratic):
            found[name, cells] = measure(attend, cells, a.heads, a.width, device, a.repeats)
            once, both, size = found[name, cells]
            print(f"| {name} | {cells:,} | {once:.4f} | {both:.4f} | {size / 2**20:,.0f} |", flush=True)
    few, many = a.cells
    ratios = [big / small for big, small in zip(found["flow", many], found["flow", few], strict=True)]
    print(f"\n{many:,} cells over {few:,}: {ratios[0]:.2f}, {ratios[1]:.2f} times the time, {ratios[2]:.2f} the memory")
    if ("torch", few) in found:
        gains = [slow / fast for slow, fast in zip(found["torch", few], found["flow", few], strict=True)]
        times = f"{gains[0]:.1f}, {gains[1]:.1f} times the time, {gains[2]:.2f} the memory"
        print(f"torch over flow at {few:,} cells: {times}")


if __name__ == "__main__":
    main()
