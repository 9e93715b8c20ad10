"""Cells a second that CellPLM embeds, beside a BMFM encoder of as many parameters on the same cells and machine.

    PYTHONPATH=src:benchmarks python benchmarks/systems.py --size small   # CPU, or a GPU where one is visible
    PYTHONPATH=src:benchmarks python benchmarks/systems.py --size paper --matched 2 --most 256
    PYTHONPATH=src:benchmarks python benchmarks/systems.py --memory       # of a training step of CellPLM

Both are timed as a user calls them, from an AnnData of counts to an array, in float32, on a GPU in bfloat16. Cells are
as long as the Census's: so many as are matched, and the same lengths again for more. Two ratios: both systems with
equally many cells at once (`--matched`), and each at its best of several numbers. Parameters are those that an
embedding uses, without decoders; BMFM has heads 32 wide as in its paper, and the width that comes nearest to them.
Seconds are as in `train.py`.
"""

import argparse

import anndata
import numpy as np
import pandas as pd
import torch
from generate import cells_of, census_lengths, gene_names
from steps import fastest, peak_memory, problem
from torch import nn

from scfm.model import Model
from scfm.models.cellplm.network import Network
from scfm.models.cellplm.settings import Cellplm
from scfm.models.cells import ragged
from scfm.models.tasks import combine
from scfm.set_model import SetModel

ABOUT = {"run": "benchmark", "settings": {"training": {"precision": "bf16-mixed"}}}
SIZES = {
    "small": {
        "encoder": {"layers": 2, "hidden": 64, "heads": 4, "ffn": 128},
        "latent": {"width": 32, "components": 8},
    },
    "paper": {},
}
LAYERS = {"small": 2, "paper": 12}
"""Of BMFM."""
PUBLISHED_CELLS = 48_082
"""Cells of the paper's own timing."""


def cellplm(size: str, genes: int, most: int) -> Network:
    """The network, with sets of at most so many cells."""
    settings = Cellplm.model_validate(SIZES[size] | {"sets": {"cells": most}})
    return Network(settings, genes, 1, 0).eval()


def used(network: nn.Module) -> int:
    """Parameters that an embedding uses."""
    parts = (getattr(network, name, None) for name in ("embedding", "encoder", "latent"))
    return sum(p.numel() for part in parts if part is not None for p in part.parameters())


def like(parameters: int, layers: int, genes: int) -> dict:
    """Encoder of BMFM with about so many parameters: a vector a gene, blocks of 4 h² + 3 h · 8/3 h."""
    hidden = min(range(32, 2_048, 32), key=lambda h: abs(genes * h + layers * 12 * h * h - parameters))
    return {"layers": layers, "hidden": hidden, "heads": hidden // 32, "ffn": 8 * hidden // 3}


def seconds_a_cell(network: nn.Module, lengths: list[int], genes: int, at_once: int) -> float:
    """Of an embedding of cells that express so many of the genes, so many cells at once."""
    names = gene_names(genes).rename(columns={"symbol": "gene", "ensembl_gene_id": "ensembl"})
    kind, pooling = (SetModel, "latent") if isinstance(network, Network) else (Model, "cls")
    model = kind(network, names[["gene", "ensembl"]], None, ABOUT, {})
    obs = pd.DataFrame(index=[str(i) for i in range(len(lengths))])
    adata = anndata.AnnData(cells_of(lengths, genes), obs, pd.DataFrame(index=model.genes))

    def work() -> None:
        model.embed(adata, pooling, batch_cells=at_once)

    return fastest(work, model.device, 1) / len(lengths)


def step_memory(size: str, genes: int, cells: int, device: torch.device) -> int:
    """Most bytes that forward and backward pass of one set hold, beside the weights."""
    network, draw = cellplm(size, genes, cells).to(device), torch.Generator(device).manual_seed(0)
    batch = ragged(cells_of(census_lengths(cells), genes), {"set": np.zeros(cells, np.int64)}).to(device)
    measured = torch.ones(1, genes, dtype=torch.bool, device=device)

    def work() -> None:
        tasks = network.tasks(network.view(batch, measured, draw, "train"), draw)[0]
        combine(tasks, {name: task.count for name, task in tasks.items()}).backward()

    work()  # else gradients of the weights would be made meanwhile
    return peak_memory(work, device)


def print_memory(size: str, genes: int, cells: int, device: torch.device) -> None:
    """Bytes that one more cell of a set takes, and what a set of the published size takes by that."""
    few, many = (step_memory(size, genes, n, device) for n in (cells, 2 * cells))
    each = (many - few) / cells
    most, fixed = Cellplm().sets.cells, few - cells * each
    print(f"{each / 2**10:,.0f} KiB a cell, {each / genes:.1f} bytes a cell and gene; without the weights")
    print(f"{most:,} cells of {genes:,} genes: {(fixed + most * each) / 2**30:.1f} GiB")


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--matched", type=int, default=64, help="cells at once of both")
    parser.add_argument("--most", type=int, default=4_096, help="most cells at once of CellPLM")
    parser.add_argument("--genes", type=int, default=19_300)
    parser.add_argument("--memory", action="store_true", help="measure the memory of a training step instead")
    a = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if a.memory:
        print_memory(a.size, a.genes, a.matched, device)
    else:
        compare(a, device)


def compare(a: argparse.Namespace, device: torch.device) -> None:
    """Print a row for each system and number of cells at once, then the ratios."""
    few, unit = census_lengths(a.matched), "s" if device.type == "cuda" else "CPU-s"
    theirs = cellplm(a.size, a.genes, a.most).to(device)
    ours = problem("wced", few[:1], a.genes, device, like(used(theirs), LAYERS[a.size], a.genes))[0].eval()
    trials = {"CellPLM": (theirs, {a.matched, a.most // 8, a.most}), "BMFM": (ours, {1, a.matched})}
    speed = {}
    print(f"| system | parameters | cells at once | cells/{unit} |\n|---|---|---|---|")
    for name, (network, numbers) in trials.items():
        for number in sorted(numbers):
            lengths = few * max(1, number // len(few))
            speed[name, number] = 1 / seconds_a_cell(network, lengths, a.genes, number)
            print(f"| {name} | {used(network):,} | {number:,} | {speed[name, number]:,.2f} |", flush=True)
    best = {name: max(speed[name, number] for number in numbers) for name, (_, numbers) in trials.items()}
    matched = speed["CellPLM", a.matched] / speed["BMFM", a.matched]
    print(f"\n{sum(few) / len(few):,.0f} genes a cell; CellPLM over BMFM, {a.matched} cells at once: {matched:,.1f}")
    print(f"each at its best: {best['CellPLM'] / best['BMFM']:,.1f}")
    times = " and ".join(f"{PUBLISHED_CELLS / value / 3600:,.3f} hours ({name})" for name, value in best.items())
    print(f"at that speed {PUBLISHED_CELLS:,} such cells take {times}")


if __name__ == "__main__":
    main()
