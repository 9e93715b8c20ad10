"""Time of a STACK training step by the number of cells in a set.

    PYTHONPATH=src:benchmarks python benchmarks/table.py              # CPU, or a GPU where one is visible
    PYTHONPATH=src:benchmarks python benchmarks/table.py --layers 9 --modules 100 --width 16 --genes 15012

Forward and backward pass of one set, without the optimizer. Attention within cells and the decoder grow with the cells,
attention across cells with their square: four times the cells must take less than 16 times as long. The figure of the
whole set is beside that of a network without attention across cells.
"""

import argparse

import torch
from steps import fastest

from scfm.models.cells import Cells
from scfm.models.stack.network import Network
from scfm.models.stack.settings import Stack
from scfm.models.tasks import combine


def one_set(cells: int, genes: int, expressed: int, device: torch.device) -> Cells:
    """A set of cells that each express so many random genes."""
    draw = torch.Generator(device).manual_seed(0)
    gene = torch.rand(cells, genes, generator=draw, device=device).argsort(1)[:, :expressed].sort(1).values
    count = torch.randint(1, 20, (cells, expressed), generator=draw, device=device)
    zeros = torch.zeros(cells, dtype=torch.int64, device=device)
    return Cells(gene.flatten(), count.flatten().float(), zeros + expressed, zeros, {"set": zeros})


def step_time(network: Network, cells: int, genes: int, expressed: int, device: torch.device, repeats: int) -> float:
    """Seconds of the fastest of so many steps."""
    measured = torch.ones(1, genes, dtype=torch.bool, device=device)
    draw = torch.Generator(device).manual_seed(0)
    view = network.view(one_set(cells, genes, expressed, device), measured, draw, "train")

    def step() -> None:
        combine(network.tasks(view, draw)[0], network.counts(view)).backward()

    return fastest(step, device, repeats)


def main() -> None:
    """Print the time of a step for each size of the set, and how it grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--expressed", type=int, default=500)
    parser.add_argument("--modules", type=int, default=32)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    a = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for across in (True, False):
        sizes = {"modules": a.modules, "width": a.width, "layers": a.layers, "across_cells": across}
        network = Network(Stack.model_validate({"transformer": sizes}), a.genes, 1, 0).to(device)
        times = [step_time(network, cells, a.genes, a.expressed, device, a.repeats) for cells in a.cells]
        print(f"{'with' if across else 'without'} attention across cells")
        for cells, seconds in zip(a.cells, times, strict=True):
            print(f"{cells:>6} cells: {1e3 * seconds:9.1f} ms, {seconds / times[0]:6.2f} times the first", flush=True)


if __name__ == "__main__":
    main()
