"""One shuffled pass over the same cells: our loader, scDataset on uncompressed h5ad, collated bionemo-scdl.

    pip install --no-deps scdataset==0.3.0 bionemo-scdl==0.1.3 pooch email-validator dnspython   # the peers
    PYTHONPATH=src:benchmarks python benchmarks/loader.py FOLDER

FOLDER takes about 2 GB of generated cells. Every loader ends in ragged tensors (gene ids, counts, lengths), and the
sums of counts over each gene must agree. `cold` is after the kernel was told to forget the files.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import torch
from generate import generate
from scipy.sparse import csr_matrix, vstack
from torch.utils.data import DataLoader

from scfm.corpus import Shards, write_shards
from scfm.pretrain.loader import EqualCells, Updates, window_shuffle

Ragged = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
BATCH = 64


def prepare(folder: Path, cells: int) -> None:
    """The same cells, in the same order, in each peer's format; made once."""
    from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset

    if (folder / "scdl").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    blocks = list(generate(cells))
    genes = pd.DataFrame({"gene": [f"G{i}" for i in range(blocks[0].shape[1])], "ensembl": ""})
    obs = [pd.DataFrame({"dataset_id": "d", "split": "train"}, index=range(block.shape[0])) for block in blocks]
    measured = np.ones((1, len(genes)), bool)
    write_shards(folder / "shards", zip(blocks, obs, strict=True), genes, ["d"], measured)
    counts = vstack(blocks, format="csr").astype(np.float32)
    counts.indices, counts.indptr = counts.indices.astype(np.int32), counts.indptr.astype(np.int64)
    anndata.AnnData(counts, var=genes.set_index("gene")).write_h5ad(folder / "cells.h5ad", compression=None)
    SingleCellMemMapDataset(str(folder / "scdl"), h5ad_path=str(folder / "cells.h5ad"), use_X_not_raw=True).save()


def ours(folder: Path) -> Iterator[Ragged]:
    """Window shuffle over memory-mapped shards."""
    shards = Shards.open(folder / "shards")
    order = window_shuffle(np.arange(len(shards)), (0, 0), window=256)
    for (cells,) in Updates(shards, order, EqualCells(len(order), BATCH, 1)(order), {}, 1):
        wide = cells.to("cpu")
        yield wide.gene, wide.count, wide.lengths


def scdataset(folder: Path) -> Iterator[Ragged]:
    """Blocks of 64 neighbours, 64 batches fetched at once: of its own settings the fast ones that still shuffle."""
    from scdataset import BlockShuffling, scDataset

    collection = anndata.experimental.AnnCollection([anndata.read_h5ad(folder / "cells.h5ad", backed="r")])
    dataset = scDataset(
        collection,
        BlockShuffling(block_size=64),
        batch_size=BATCH,
        fetch_factor=64,
        drop_last=True,
        fetch_transform=lambda view: view.X,
        seed=0,
    )
    for x in DataLoader(dataset, batch_size=None):
        yield _from_csr(x)


def scdl(folder: Path) -> Iterator[Ragged]:
    """Shuffled rows with the collate function that the package documents."""
    from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset
    from bionemo.scdl.util.torch_dataloader_utils import collate_sparse_matrix_batch

    dataset = SingleCellMemMapDataset(str(folder / "scdl"))
    generator = torch.Generator().manual_seed(0)
    keys = {"batch_size": BATCH, "shuffle": True, "drop_last": True, "generator": generator}
    for batch in DataLoader(dataset, collate_fn=collate_sparse_matrix_batch, **keys):
        yield batch.col_indices().long(), batch.values().float(), batch.crow_indices().diff()


def _from_csr(x: csr_matrix) -> Ragged:
    gene, count = torch.from_numpy(x.indices).long(), torch.from_numpy(x.data).float()
    return gene, count, torch.from_numpy(np.diff(x.indptr)).long()


def run(loader: Callable, folder: Path, genes: int, most: int) -> tuple[float, int, np.ndarray]:
    """Cells a second, cells, and sums of counts over each gene; the sums are not timed."""
    sums, cells, spent = np.zeros(genes), 0, 0.0
    batches, started = loader(folder), time.perf_counter()
    for gene, count, lengths in batches:
        spent += time.perf_counter() - started
        cells += len(lengths)
        sums += np.bincount(gene.numpy(), weights=count.numpy(), minlength=genes)
        if cells >= most:
            break
        started = time.perf_counter()
    return cells / spent, cells, sums


def forget(folder: Path) -> None:
    """Drop the files' pages from the kernel's cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Print one row a loader: warm, then cold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, default=60_000)
    parser.add_argument("--most", type=int, default=None, help="stop a pass early; sums are then not compared")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    prepare(arguments.folder, arguments.cells)
    genes = len(Shards.open(arguments.folder / "shards").genes)
    rows, sums = [], {}
    for name, loader in {"ours": ours, "scDataset": scdataset, "bionemo-scdl": scdl}.items():
        forget(arguments.folder)
        cold, *_ = run(loader, arguments.folder, genes, arguments.most or arguments.cells)
        speeds = []
        for _ in range(3):
            warm, cells, sums[name] = run(loader, arguments.folder, genes, arguments.most or arguments.cells)
            speeds.append(warm)
        rows.append({"loader": name, "cells": cells, "cold": cold, **{f"warm {i}": s for i, s in enumerate(speeds, 1)}})
    table = pd.DataFrame(rows).set_index("loader")
    best = table.filter(like="warm").max(axis=1)
    table["ours / it"] = best["ours"] / best
    print(table.round(1).to_string())
    if arguments.most is None and arguments.cells % BATCH == 0:
        assert all(np.array_equal(sums["ours"], other) for other in sums.values()), "the loaders read other counts"
        print("sums of counts over each gene agree")


if __name__ == "__main__":
    main()
