"""Cell embeddings against training: cells a second of the same network on the same cells.

    PYTHONPATH=src:benchmarks python benchmarks/embed.py              # CPU, or a GPU where one is visible

Embedding is timed as a user calls it, from an AnnData of counts to an array; training is forward and backward pass and
update on batches that are ready.
"""

import argparse
import time

import anndata
import numpy as np
import pandas as pd
import torch
from generate import gene_names, generate
from steps import our_loss, problem, time_step

from scfm.model import Model


def embedding_speed(network: torch.nn.Module, cells: int, genes: int, expressed: int, batch: int) -> float:
    """Cells a second of `Model.embed`."""
    names = gene_names(genes).rename(columns={"symbol": "gene", "ensembl_gene_id": "ensembl"})
    model = Model(network.eval(), names[["gene", "ensembl"]], None, {"run": "benchmark"}, {})
    counts = next(generate(cells, genes, expressed))
    obs = pd.DataFrame(index=[str(i) for i in range(cells)])
    adata = anndata.AnnData(counts, obs, pd.DataFrame(index=model.genes))
    model.embed(adata[:batch], batch_cells=batch)
    started = time.perf_counter()
    vectors = model.embed(adata, batch_cells=batch)
    if not all(np.isfinite(table).all() for table in vectors.values()):
        raise SystemExit("an embedding is not finite")
    return cells / (time.perf_counter() - started)


def main() -> None:
    """Print both speeds for each objective."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--batch", type=int, default=2, help="cells of one batch, in both")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--genes", type=int, default=19_300)
    parser.add_argument("--layers", type=int, default=12)
    a = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for objective in ("mlm", "wced"):
        network, view = problem(objective, a.batch, a.tokens, a.genes, device, {"layers": a.layers})
        trained = a.batch / time_step(network, view, our_loss, "32-true", 1).wall
        embedded = embedding_speed(network, a.cells, a.genes, min(1_900, a.genes // 3), a.batch)
        print(
            f"{objective}: {embedded:.2f} cells/s embedded, {trained:.2f} trained (32-true), {embedded / trained:.1f} x"
        )


if __name__ == "__main__":
    main()
