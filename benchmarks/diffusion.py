"""Training steps and sampled cells a second of Lingshu-Cell.

    PYTHONPATH=src:benchmarks python benchmarks/diffusion.py --threads 2        # CPU, or a GPU where one is visible
    PYTHONPATH=src:benchmarks python benchmarks/diffusion.py --hidden 640 --layers 13 --heads 10 --ffn 2560 \
        --tokens 281 --genes 18080 --cells 4 --steps 3 --batch 2

A training step is forward and backward pass and AdamW, of generated cells. Sampling is as `generate` does it, without
conditions. Seconds are those of the wall clock: read them on a machine that does nothing else; the seconds of the CPU
beside them hold the time of all threads.
"""

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from generate import cells_of

from scfm.models.cells import ragged
from scfm.models.lingshu.network import Network
from scfm.models.lingshu.sampling import Asked
from scfm.models.lingshu.settings import Lingshu
from scfm.models.tasks import combine


def trainer(network: Network, genes: int, batch: int) -> Callable[[], None]:
    """A training step on cells that each express a quarter of the genes."""
    device = network.edges.device
    draw, measured = torch.Generator(device).manual_seed(0), torch.ones(1, genes, dtype=torch.bool, device=device)
    cells = ragged(cells_of([genes // 4] * batch, genes), {}).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        tasks, _ = network.tasks(network.view(cells, measured, draw, "train"))
        combine(tasks, {name: task.count for name, task in tasks.items()}).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def sampler(network: Network, cells: int, steps: int) -> Callable[[], None]:
    """A draw of so many cells, of which only their mean is kept."""
    draw = torch.Generator(network.edges.device).manual_seed(0)

    def sample() -> None:
        chunks = network.generate(cells, Asked(steps=steps), draw)
        assert np.isfinite(sum(chunk.double().sum().item() for chunk in chunks))

    return sample


def seconds(work: Callable[[], None], device: torch.device) -> tuple[float, float]:
    """Of the wall clock and of the CPU, of one call."""
    start = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start[0], time.process_time() - start[1]


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"group": 8, "hidden": 64, "layers": 3, "heads": 4, "ffn": 128}
    for name, value in (sizes | {"tokens": 101, "genes": 2_000, "cells": 1_000, "steps": 16, "batch": 64}).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--of", type=int, default=10_000, help="cells to which the time of sampling is scaled")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    transformer = {name: getattr(a, name) for name in sizes}
    settings = {"tokens": a.tokens, "transformer": transformer, "sampling": {"batch_cells": a.batch}}
    network = Network(Lingshu.model_validate(settings), a.genes, {}, 0).to(device)
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters, {a.genes:,} genes, {a.threads} threads")
    wall, cpu = seconds(sampler(network, a.cells, a.steps), device)
    scale = a.of / a.cells
    print(
        f"{a.cells:,} cells in {a.steps} steps: {wall:.1f} s, {cpu:.1f} CPU-s; {a.cells / wall:,.1f} cells/s; {peak()}"
    )
    print(f"at that speed {a.of:,} cells take {wall * scale / 60:,.1f} minutes, {cpu * scale / 60:,.1f} of the CPU")
    step = trainer(network, a.genes, a.batch)
    step()
    wall, cpu = seconds(step, device)
    print(f"training step of {a.batch} cells: {wall:.3f} s, {cpu:.3f} CPU-s; {1 / wall:,.2f} steps/s; {peak()}")


def peak() -> str:
    """Most memory of the process so far."""
    return f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB"


if __name__ == "__main__":
    main()
