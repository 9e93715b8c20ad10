"""A training step of the paper's size, beside the released design and the limits of the machine.

    PYTHONPATH=src:benchmarks python benchmarks/train.py              # CPU, or a GPU where one is visible

The released design pads, always computes blocks a second time, decodes at every position and works in float32; it is
written here on our own modules, and its loss on the same batch must be ours. Tokens are real ones, without padding;
seconds are those that all threads of the CPU take together, on a GPU those of the clock. `peak` is the rate of a large
product, `kernels` the share of the step that the encoder's products and attention take alone. Two cells of 2,048 tokens
need no padding; others express as many genes as those in the middle of equal shares of the Census, three of them 653,
1,711 and 3,779. WCED leaves out a fifth of the genes.
"""

import argparse
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from generate import census_lengths, shards
from steps import our_loss, problem, released_loss, time_kernels, time_product, time_step, updater

from scfm.corpus import Shards
from scfm.models.bmfm.flops import step_flops
from scfm.models.bmfm.network import Network
from scfm.models.bmfm.view import make_view
from scfm.pretrain.loader import EqualCells, Updates, load, window_shuffle


def speeds(objective: str, lengths: list[int], genes: int, device: torch.device, repeats: int, **encoder) -> Network:
    """Print the released design's step and ours in each precision; returns the network."""
    network, view = problem(objective, lengths, genes, device, encoder)
    with torch.no_grad():
        ours, theirs = our_loss(network, view).item(), released_loss(network, view).item()
    if abs(ours - theirs) > 1e-4 * abs(ours):
        raise SystemExit(f"{objective}: the designs give other losses, {ours} and {theirs}")
    real, flops, unit = len(view.gene), step_flops(network, view).item(), "s" if device.type == "cuda" else "CPU-s"
    tokens = "+".join(f"{n:,}" for n in view.starts.diff().tolist())
    print(f"{objective}: {tokens} tokens, {flops / 1e12:.2f} TFLOP, loss {ours:.5f} in both designs")
    released = None
    cases = [("released design", released_loss, "32-true"), ("ours", our_loss, "32-true")]
    for name, loss, precision in [*cases, ("ours", our_loss, "bf16-mixed")]:
        peak = time_product(device, precision)  # beside the step, for the machine's speed may change
        seconds = time_step(network, view, loss, precision, repeats)
        released = released or seconds
        line = f"  {name}, {precision}: {real / seconds:,.0f} tokens/{unit}, {released / seconds:.1f} x"
        line += f", {flops / seconds / peak:.0%} of the peak of {peak / 1e9:,.0f} GFLOP/{unit}"
        if name == "ours":
            line += f", kernels {time_kernels(network, view, precision, repeats) / seconds:.0%}"
        print(line, flush=True)
    return network


def loader_wait(network: Network, genes: int, device: torch.device, cells: int, updates: int) -> float:
    """Share of the time of so many updates in bf16-mixed that passes before their batches are there."""
    update, settings = updater(network, our_loss, "bf16-mixed"), network.settings
    measured, draw = torch.ones(1, genes, dtype=torch.bool, device=device), torch.Generator(device).manual_seed(0)
    wait = busy = 0.0
    with TemporaryDirectory() as folder:
        corpus = Shards.open(shards(Path(folder) / "shards", cells * (updates + 1), genes, min(1_900, genes // 3)))
        order = window_shuffle(np.arange(len(corpus)), (0, 0))
        plan = EqualCells(len(order), cells, 1)
        left = time.perf_counter()
        batches = load(Updates(corpus, order, plan(order), {}, 1), min(4, os.cpu_count() - 1))
        for number, (batch,) in enumerate(batches):
            entered = time.perf_counter()
            update(make_view(batch.to(device), settings, measured, draw))
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if number:  # the first warms up
                wait, busy = wait + entered - left, busy + time.perf_counter() - entered
            left = time.perf_counter()
    return wait / (wait + busy)


def main() -> None:
    """Print rows for both objectives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=3, help="of the Census, in a step of wced")
    parser.add_argument("--genes", type=int, default=19_300)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--updates", type=int, default=4, help="over which the wait for the loader is taken")
    a = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{device.type}, {torch.get_num_threads()} threads")
    for objective, lengths in (("mlm", [2_048] * 2), ("wced", [2_560] * 2), ("wced", census_lengths(a.cells))):
        network = speeds(objective, lengths, a.genes, device, a.repeats, layers=a.layers)
    print(
        f"loader wait: {loader_wait(network, a.genes, device, a.cells, a.updates):.2%} of {a.updates} updates of wced"
    )


if __name__ == "__main__":
    main()
