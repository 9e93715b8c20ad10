"""One shuffled pass over the same cells: the loader of training, scDataset on uncompressed h5ad, collated bionemo-scdl.

    pip install --no-deps scdataset==0.3.0 bionemo-scdl==0.1.3 pooch email-validator dnspython   # the peers
    PYTHONPATH=src:benchmarks python benchmarks/loader.py FOLDER

FOLDER takes about 2 GB of generated cells. Every loader gives ragged batches of 64 cells (gene ids, counts, lengths):
as it hands them over, and (`wide`) as int64 gene ids and float32 counts. The sums of counts over each gene must agree.
`cold` is the first pass, after the kernel was told to forget the files; warm figures are those of later epochs of the
same open dataset. One process, one thread.
"""

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import torch
from generate import gene_names, generate, shards
from scipy.sparse import vstack
from torch.utils.data import DataLoader

from scfm.corpus import Shards
from scfm.corpus.spans import Spans
from scfm.pretrain.loader import EqualCells, Updates, window_shuffle

Ragged = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Epoch = Callable[[int], Iterator[Ragged]]
BATCH = 64


def prepare(folder: Path, cells: int, genes: int, expressed: int) -> None:
    """The same cells, in the same order, in the format of each loader; made once."""
    from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset

    if (folder / "made").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    blocks = list(generate(cells, genes, expressed))
    names = gene_names(genes)["symbol"].rename("gene").to_frame().assign(ensembl="")
    shards(folder / "shards", cells, genes, expressed)
    counts = vstack(blocks, format="csr")
    counts.indices, counts.indptr = counts.indices.astype(np.int32), counts.indptr.astype(np.int64)
    anndata.AnnData(counts, var=names.set_index("gene")).write_h5ad(folder / "cells.h5ad", compression=None)
    given = {"h5ad_path": str(folder / "cells.h5ad"), "use_X_not_raw": True}
    SingleCellMemMapDataset(str(folder / "scdl"), **given).save()
    (folder / "made").touch()


def ours(folder: Path) -> Epoch:
    """Memory-mapped shards, with the defaults of training; the batch is what travels to the device."""
    shards, one = Shards.open(folder / "shards"), np.ones(1, np.uint16)
    Spans([one], [one]).copy(*np.array([[0], [0], [1]]))  # loads the compiled loops: half a second, once a process

    def epoch(seed: int) -> Iterator[Ragged]:
        order = window_shuffle(np.arange(len(shards)), (0, seed))
        for (cells,) in Updates(shards, order, EqualCells(len(order), BATCH, 1)(order), {}, 1):
            yield cells.gene, cells.count, cells.lengths

    return epoch


def scdataset(folder: Path) -> Epoch:
    """Blocks of 64 neighbours, 64 batches fetched at once: of its own settings the fast ones that still shuffle."""
    from scdataset import BlockShuffling, scDataset

    collection = anndata.experimental.AnnCollection([anndata.read_h5ad(folder / "cells.h5ad", backed="r")])
    keys = {"batch_size": BATCH, "fetch_factor": 64, "drop_last": True, "fetch_transform": lambda view: view.X}

    def epoch(seed: int) -> Iterator[Ragged]:
        dataset = scDataset(collection, BlockShuffling(block_size=64), seed=seed, **keys)
        for x in DataLoader(dataset, batch_size=None):
            yield torch.from_numpy(x.indices), torch.from_numpy(x.data), torch.from_numpy(np.diff(x.indptr))

    return epoch


def scdl(folder: Path) -> Epoch:
    """Shuffled rows with the collate function that the package documents."""
    from bionemo.scdl.io.single_cell_memmap_dataset import SingleCellMemMapDataset
    from bionemo.scdl.util.torch_dataloader_utils import collate_sparse_matrix_batch

    dataset = SingleCellMemMapDataset(str(folder / "scdl"))
    keys = {"batch_size": BATCH, "shuffle": True, "drop_last": True, "collate_fn": collate_sparse_matrix_batch}

    def epoch(seed: int) -> Iterator[Ragged]:
        for batch in DataLoader(dataset, generator=torch.Generator().manual_seed(seed), **keys):
            yield batch.col_indices(), batch.values(), batch.crow_indices().diff()

    return epoch


def speed(batches: Iterator[Ragged], wide: bool = False) -> float:
    """Cells a second of one pass."""
    cells, started = 0, time.perf_counter()
    for gene, count, lengths in batches:
        if wide:
            gene, count, lengths = gene.long(), count.float(), lengths.long()
        cells += len(lengths)
    return cells / (time.perf_counter() - started)


def gene_sums(batches: Iterator[Ragged], genes: int) -> np.ndarray:
    """Sums of counts over each gene, in a pass of its own: between two batches it would empty the caches."""
    sums = np.zeros(genes)
    for gene, count, _ in batches:
        sums += np.bincount(gene.numpy(), weights=count.numpy(), minlength=genes)
    return sums


def forget(folder: Path) -> None:
    """Drop the files' pages from the kernel's cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Print one row a loader; warm figures are medians over passes that take turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, default=60_032, help="a multiple of 64 compares the sums too")
    parser.add_argument("--genes", type=int, default=19_000)
    parser.add_argument("--expressed", type=int, default=1_900)
    parser.add_argument("--passes", type=int, default=3)
    a = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    prepare(a.folder, a.cells, a.genes, a.expressed)
    loaders = {"ours": ours, "scDataset, uncompressed h5ad": scdataset, "bionemo-scdl, collated": scdl}
    rows, sums, opened = {name: {"cold": [], "warm": [], "wide": []} for name in loaders}, {}, {}
    for name, loader in loaders.items():
        forget(a.folder)
        opened[name] = loader(a.folder)
        rows[name]["cold"].append(speed(opened[name](0)))
        sums[name] = gene_sums(opened[name](1), a.genes)
    for seed in range(1, a.passes + 1):
        for name, epoch in opened.items():
            rows[name]["warm"].append(speed(epoch(seed)))
            rows[name]["wide"].append(speed(epoch(seed), wide=True))
    table = pd.DataFrame({name: {key: np.median(v) for key, v in row.items()} for name, row in rows.items()}).T
    for key in ("cold", "warm", "wide"):
        table[f"ours / it, {key}"] = table[key]["ours"] / table[key]
    print(f"{a.cells:,} cells x {a.genes:,} genes, about {a.expressed:,} expressed; cells a second")
    print(table.to_string(float_format=lambda x: f"{x:,.0f}" if x > 1000 else f"{x:.1f}"))
    whole = a.cells // BATCH * BATCH == a.cells
    if whole and not all(np.array_equal(sums["ours"], other) for other in sums.values()):
        raise SystemExit("the loaders read other counts")
    print("sums of counts over each gene agree" if whole else "a remainder is left out: sums are not compared")


if __name__ == "__main__":
    main()
