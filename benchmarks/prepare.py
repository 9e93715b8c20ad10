"""Preparation of training batches on one core: reading shards, normalising, choosing tokens, zeros, masks.

    PYTHONPATH=src:benchmarks python benchmarks/prepare.py FOLDER

Cells a second of shuffled batches of 64 cells, from the files on: MLM with the nonzero genes alone, at most 2,048, and
with interleaved or all zeros, up to 8,192; the median over passes that take turns.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from generate import shards

from scfm.corpus import Shards
from scfm.models.bmfm.settings import Bmfm
from scfm.models.bmfm.view import make_view
from scfm.pretrain.loader import EqualCells, Updates, window_shuffle

BATCH = 64
INPUTS = {
    "nonzero, 2,048": {"tokens": 2048},
    "interleave, 8,192": {"tokens": 8192, "zeros": {"strategy": "interleave"}},
    "all, 8,192": {"tokens": 8192, "zeros": {"strategy": "all"}},
}


def run(corpus: Shards, inputs: dict, cells: int, seed: int = 0) -> tuple[float, float]:
    """Cells a second, and mean tokens of a cell, over the first `cells` of an epoch."""
    settings = Bmfm.model_validate({"objective": {"kind": "mlm"}, "input": inputs})
    measured, generator = torch.from_numpy(corpus.measured), torch.Generator().manual_seed(seed)
    order = window_shuffle(np.arange(len(corpus)), (0, seed))[:cells]
    started, done, tokens = time.perf_counter(), 0, 0
    for (batch,) in Updates(corpus, order, EqualCells(len(order), BATCH, 1)(order), {}, 1):
        view = make_view(batch.to("cpu"), settings, measured, generator)
        done, tokens = done + len(batch.lengths), tokens + len(view.gene)
    return done / (time.perf_counter() - started), tokens / done


def main() -> None:
    """Print one row for each kind of input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--genes", type=int, default=19_300)
    parser.add_argument("--expressed", type=int, default=1_900)
    parser.add_argument("--used", type=int, default=1_920, help="cells of one pass")
    parser.add_argument("--passes", type=int, default=3)
    a = parser.parse_args()
    torch.set_num_threads(1)
    corpus = Shards.open(shards(a.folder / "shards", a.cells, a.genes, a.expressed))
    taken = {name: [] for name in INPUTS}
    for seed in range(a.passes):
        for name, inputs in INPUTS.items():
            taken[name].append(run(corpus, inputs, a.used, seed))
    for name, figures in taken.items():
        speed, tokens = np.median(figures, axis=0)
        print(f"{name}: {speed:,.0f} cells/s, {tokens:,.0f} tokens a cell")


if __name__ == "__main__":
    main()
