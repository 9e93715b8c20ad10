"""`scfm.embed` beside the released inference's way, and its memory on a file of many cells.

    PYTHONPATH=src:benchmarks python benchmarks/backed.py speed                   # CPU
    PYTHONPATH=src:benchmarks python benchmarks/backed.py memory --cells 100000   # CPU
    PYTHONPATH=src:benchmarks python benchmarks/backed.py real FILE.h5ad          # CPU, or a GPU where one is visible

`speed`: the released code pads each cell to the limit of 8,192 genes, in float32. Its way is written on our own
modules and must give our vectors; cells are as long as those of the Census, which costs the padded way nothing. Speeds
are cells for each second of the CPU.

`memory`: a generated h5ad is embedded in backed mode by a process of its own, for a tenth and for all of its cells; the
line through both peaks gives 1,000,000 cells. What the encoder of the paper's size needs for a batch does not grow with
the cells; it is measured apart.

`real`: the first cells of a file, e.g. one that a study has prepared, by a model of the paper's size that knows its
genes; seconds of the clock, and 30,000 such cells by the same speed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import torch
from anndata.io import write_elem
from generate import cells_of, census_lengths, gene_names, generate
from steps import padded_block, problem

import scfm
from scfm.model import Model
from scfm.models.bmfm.batches import CPU_TOKENS
from scfm.models.bmfm.view import make_view
from scfm.models.cells import ragged

ABOUT = {"run": "benchmark", "seed": 0, "settings": {"training": {"precision": "32-true"}}}
LIMIT = 8_193
"""Tokens to which the released inference pads: genes and CLS."""
CHILD = """
import resource, sys, anndata, scfm
from backed import model_of
adata = anndata.read_h5ad(sys.argv[1], backed="r")
scfm.embed(adata, model_of(int(sys.argv[2]), 1, 64), verbose=False, progress=False)
print(adata.n_obs, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def model_of(genes: int, layers: int, hidden: int = 384, device: str = "cpu") -> Model:
    """An untrained WCED model, heads 32 wide."""
    encoder = {"layers": layers, "hidden": hidden, "heads": hidden // 32, "ffn": hidden * 8 // 3}
    network, _ = problem("wced", [10], genes, torch.device(device), encoder)
    names = gene_names(genes).rename(columns={"symbol": "gene", "ensembl_gene_id": "ensembl"})
    return Model(network.eval(), names[["gene", "ensembl"]], None, ABOUT, {})


def padded(model: Model, counts) -> torch.Tensor:
    """CLS of each cell, one after another, each padded to `LIMIT`."""
    network, vectors = model.network, []
    measured = torch.ones(1, len(model.genes), dtype=torch.bool)
    with torch.inference_mode():
        for i in range(counts.shape[0]):
            tokens = network.embedding(make_view(ragged(counts[i], {}), network.settings, measured, None, "embed"))
            x = tokens.new_zeros(1, LIMIT, tokens.shape[1])
            x[0, : len(tokens)] = tokens
            mask = (torch.arange(LIMIT) < len(tokens))[None, None, None, :]
            for block in network.encoder.blocks:
                x = padded_block(block, x, mask)
            vectors.append(network.encoder.norm(x)[:, 0])
    return torch.cat(vectors)


def speed(a: argparse.Namespace) -> None:
    """Print both speeds and their ratio."""
    model, lengths = model_of(a.genes, a.layers), census_lengths(a.cells)
    counts = cells_of(lengths, a.genes)
    adata = anndata.AnnData(counts, var=pd.DataFrame(index=model.genes))
    adata.obs_names = [str(i) for i in range(a.cells)]
    slow = slice(a.cells // 2, a.cells // 2 + a.padded)  # padded, cells of any length take as long
    start = time.process_time()
    vectors = padded(model, counts[slow])
    theirs = a.padded / (time.process_time() - start)
    print(f"{a.layers} layers, {a.cells} cells of {np.mean(lengths):,.0f} genes on average")
    for precision, off in (("32-true", 1e-4), ("bf16-mixed", 0.05)):
        model.asked_precision = precision
        start = time.process_time()
        scfm.embed(adata, model, verbose=False)
        ours = a.cells / (time.process_time() - start)
        np.testing.assert_allclose(vectors, adata.obsm["X_scfm"][slow], atol=off)
        print(
            f"scfm.embed, {precision}, {ours:.2f}; padded {theirs:.3f} cells/CPU-s: {ours / theirs:.1f} times",
            flush=True,
        )


def write(path: Path, cells: int, genes: int, expressed: int) -> Path:
    """An h5ad of generated cells, block by block."""
    with h5py.File(path, "w") as file:
        write_elem(file, "/", anndata.AnnData(obs=pd.DataFrame(index=np.arange(cells).astype(str))))
        write_elem(file, "var", gene_names(genes).set_index("symbol")[[]])
        for i, block in enumerate(generate(cells, genes, expressed)):
            if i == 0:
                write_elem(file, "X", block)
                x = anndata.io.sparse_dataset(file["X"])
            else:
                x.append(block)
    return path


def memory(a: argparse.Namespace) -> None:
    """Print both peaks and the line through them."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for cells in (a.cells // 10, a.cells):
            path = write(Path(folder) / f"{cells}.h5ad", cells, a.genes, a.expressed)
            command = [sys.executable, "-W", "ignore", "-c", CHILD, str(path), str(a.genes)]
            found.append([int(n) for n in subprocess.run(command, check=True, capture_output=True).stdout.split()])
            print(f"{found[-1][0]:,} cells: {found[-1][1] / 2**20:,.0f} MiB", flush=True)
    (few, low), (many, high) = found
    each = (high - low) / (many - few)
    wider = (384 - 64) * 4  # vectors of the paper's width instead of 64
    million = high + (1_000_000 - many) * each + 1_000_000 * wider
    print(f"{each:,.0f} bytes a cell; 1,000,000 cells with vectors 384 wide: {million / 2**30:.2f} GiB by that line")
    print(f"beside it, a batch of {CPU_TOKENS:,} tokens in the encoder: see `memory.py`")


def real(a: argparse.Namespace) -> None:
    """Print the speed on cells of a file, in both precisions."""
    adata = anndata.read_h5ad(a.file)[: a.cells].copy()
    model = model_of(adata.n_vars, a.layers, device="cuda" if torch.cuda.is_available() else "cpu")
    model.gene_table = pd.DataFrame({"gene": adata.var_names, "ensembl": ""})
    print(f"{adata.n_obs:,} cells, {np.mean((adata.X != 0).sum(1)):,.0f} of {adata.n_vars:,} genes on average")
    for precision in ("32-true", "bf16-mixed"):
        model.asked_precision = precision
        start = time.perf_counter()
        scfm.embed(adata, model, verbose=False, progress=False)
        speed = adata.n_obs / (time.perf_counter() - start)
        print(f"{precision}: {speed:.2f} cells/s, 30,000 cells in {30_000 / speed / 3600:.1f} hours", flush=True)


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "memory", "real"])
    parser.add_argument("file", nargs="?", help="h5ad of `real`")
    parser.add_argument("--cells", type=int)
    parser.add_argument("--padded", type=int, default=2, help="cells embedded the released way")
    parser.add_argument("--genes", type=int, default=19_300)
    parser.add_argument("--expressed", type=int, default=100)
    parser.add_argument("--layers", type=int, default=12)
    a = parser.parse_args()
    a.cells = a.cells or {"speed": 20, "memory": 100_000, "real": 1_000}[a.what]
    {"speed": speed, "memory": memory, "real": real}[a.what](a)


if __name__ == "__main__":
    main()
