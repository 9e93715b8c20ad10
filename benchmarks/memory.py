"""Peak memory of a WCED step of the paper's size in bf16-mixed, and what it grows with.

    PYTHONPATH=src:benchmarks python benchmarks/memory.py             # CPU, or a GPU where one is visible

Four steps of equally many cells, at two lengths and two vocabularies, say what a token, a gene and a token times a gene
cost; the last of these is 0 unless something holds a row of the vocabulary for each position. The line through them
gives a step of 65,536 tokens of the Census. Weights and what AdamW keeps of them are part of it.
"""

import argparse
from collections.abc import Callable

import torch
from generate import census_lengths
from steps import our_loss, peak_memory, problem

from scfm.pretrain.precision import autocast

TOKENS = 65_536


def peak(
    cells: int, length: int, genes: int, device: torch.device, encoder: dict, loss: Callable = our_loss
) -> tuple[int, int]:
    """Tokens of a step on cells that express so many genes, and the most bytes that it needs."""
    network, view = problem("wced", [length] * cells, genes, device, encoder)

    def step() -> None:
        with autocast(device, "bf16-mixed"):
            value = loss(network, view)
        value.backward()

    constant = 12 * sum(p.numel() for p in network.parameters())  # weights and the two moments of AdamW
    return len(view.gene), constant + peak_memory(step, device)


def main() -> None:
    """Print the peak of each step, what it grows with, and the step of 65,536 tokens."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--lengths", type=int, nargs=2, default=[1_250, 2_500])
    parser.add_argument("--genes", type=int, nargs=2, default=[9_650, 19_300])
    parser.add_argument("--layers", type=int, default=12)
    a = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = {}
    for length in a.lengths:
        for genes in a.genes:
            found[length, genes] = tokens, size = peak(a.cells, length, genes, device, {"layers": a.layers})
            print(f"{tokens:,} tokens, {genes:,} genes: {size / 2**20:,.0f} MiB", flush=True)
    ((few, low), (_, wide)), ((many, long), (_, both)) = ([found[n, g] for g in a.genes] for n in a.lengths)
    a_token, a_gene = (both - wide) / (many - few), (both - long) / (a.genes[1] - a.genes[0])
    a_pair = (both - wide - long + low) / (many - few) / (a.genes[1] - a.genes[0])
    print(f"{a_token / 1e3:.0f} kB a token, {a_gene / 1e3:.1f} kB a gene, {a_pair:.4f} bytes a token times a gene")
    size = both + a_token * (TOKENS - many)
    cells = TOKENS * 1_000 // sum(census_lengths(1_000))
    print(f"{TOKENS:,} tokens (about {cells} cells), {a.genes[1]:,} genes: {size / 2**30:.1f} GiB by that line")


if __name__ == "__main__":
    main()
