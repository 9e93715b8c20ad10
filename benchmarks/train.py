"""A training step of the paper's size, beside the released design and the limits of the machine.

    PYTHONPATH=src:benchmarks python benchmarks/train.py              # CPU, or a GPU where one is visible

The released design pads, always computes blocks a second time, decodes at every position and works in float32; it is
written here on our own modules, and its loss on the same batch must be ours. Tokens are real ones, without padding.
`peak` is the share of a large product's rate in the same precision, timed in the same run; `kernels` the share of the
step that the encoder's products and attention take alone. Memory of a step of 65,536 tokens is measured on a GPU; on a
CPU it is what two smaller steps keep for the backward pass, drawn on as a line, with weights, gradients and moments.
"""

import argparse

import torch
from steps import our_loss, problem, released_loss, saved_bytes, time_kernels, time_step

from scfm.pretrain.flops import gemm_peak, step_flops

LARGE = 65_536


def speeds(objective: str, cells: int, tokens: int, genes: int, device: torch.device, repeats: int, **encoder) -> None:
    """Print the released design's step and ours in each precision."""
    network, view = problem(objective, cells, tokens, genes, device, encoder)
    with torch.no_grad():
        ours, theirs = our_loss(network, view).item(), released_loss(network, view).item()
    if abs(ours - theirs) > 1e-4 * abs(ours):
        raise SystemExit(f"{objective}: the designs give other losses, {ours} and {theirs}")
    real, flops = len(view.gene), step_flops(network, view).item()
    print(f"{objective}: {cells} cells, {real:,} tokens, {flops / 1e12:.2f} TFLOP, loss {ours:.5f} in both designs")
    first = None
    cases = [("released design", released_loss, "32-true"), ("ours", our_loss, "32-true")]
    for name, loss, precision in [*cases, ("ours", our_loss, "bf16-mixed")]:
        cost = time_step(network, view, loss, precision, repeats)
        peak = flops / cost.wall / gemm_peak(device, precision)
        line = f"  {name}, {precision}: {real / cost.wall:,.0f} tokens/s, {real / cost.cpu:,.0f} tokens/CPU-s"
        first = first or cost
        line += f", {first.cpu / cost.cpu:.1f} x, {peak:.0%} of peak"
        if name == "ours":
            line += f", kernels {time_kernels(network, view, precision, repeats).wall / cost.wall:.0%}"
        print(line, flush=True)


def memory(objective: str, tokens: int, genes: int, device: torch.device, **encoder) -> None:
    """Print the peak memory of one step of 65,536 tokens in bf16-mixed."""
    if device.type == "cuda":
        network, view = problem(objective, LARGE // tokens, tokens, genes, device, encoder)
        torch.cuda.reset_peak_memory_stats(device)
        time_step(network, view, our_loss, "bf16-mixed", 1)
        size, how = torch.cuda.max_memory_allocated(device), f"measured at {len(view.gene):,} tokens"
    else:
        points = []
        for cells in (1, 2):
            network, view = problem(objective, cells, tokens, genes, device, encoder)
            points.append((len(view.gene), saved_bytes(network, view, "bf16-mixed")))
        (few, small), (more, big) = points
        slope = (big - small) / (more - few)
        size = big + slope * (LARGE - more) + 16 * sum(p.numel() for p in network.parameters())
        how = f"{slope / 1e3:.0f} kB a token, by steps of {few:,} and {more:,} tokens"
    print(f"{objective}: a step of {LARGE:,} tokens takes {size / 2**30:.1f} GiB ({how})", flush=True)


def main() -> None:
    """Print rows for both objectives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--genes", type=int, default=19_300)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=2)
    a = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rates = (f"{name} {gemm_peak(device, name) / 1e9:,.0f} GFLOP/s" for name in ("32-true", "bf16-mixed"))
    print(f"{device.type}, {torch.get_num_threads()} threads; large products: {', '.join(rates)}")
    for objective in ("mlm", "wced"):
        speeds(objective, a.cells, a.tokens, a.genes, device, a.repeats, layers=a.layers)
        memory(objective, a.tokens, a.genes, device, layers=a.layers)


if __name__ == "__main__":
    main()
