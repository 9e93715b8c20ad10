"""Cell embeddings against training: the same network on the same cells, in float32, on a GPU in bfloat16.

    PYTHONPATH=src:benchmarks python benchmarks/embed.py              # CPU, or a GPU where one is visible

Embedding is timed as a user calls it, from an AnnData of counts to an array: the CLS alone, as `scfm.embed` does, and
all poolings. Training is forward and backward pass and update on a batch that is ready. WCED trains on four fifths of a
cell's genes and embeds all of them; MLM trains on 2,048 tokens with zeros and embeds the nonzeros: so tokens are
compared too. Seconds are as in `train.py`.
"""

import argparse

import anndata
import numpy as np
import pandas as pd
import torch
from generate import cells_of, census_lengths, gene_names
from steps import fastest, our_loss, problem, time_step

from scfm.model import Model

ABOUT = {"run": "benchmark", "settings": {"training": {"precision": "bf16-mixed"}}}


def embedding_seconds(network: torch.nn.Module, lengths: list[int], genes: int, pooling: str | None) -> float:
    """Of `Model.embed` on cells that express so many genes."""
    names = gene_names(genes).rename(columns={"symbol": "gene", "ensembl_gene_id": "ensembl"})
    model = Model(network.eval(), names[["gene", "ensembl"]], None, ABOUT, {})
    obs = pd.DataFrame(index=[str(i) for i in range(len(lengths))])
    adata = anndata.AnnData(cells_of(lengths, genes), obs, pd.DataFrame(index=model.genes))
    if not all(np.isfinite(table).all() for table in model.embed(adata[:1], pooling).values()):
        raise SystemExit("an embedding is not finite")
    return fastest(lambda: model.embed(adata, pooling), next(network.parameters()).device, 1)


def main() -> None:
    """Print both speeds for each objective."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=2)
    parser.add_argument("--genes", type=int, default=19_300)
    parser.add_argument("--layers", type=int, default=12)
    a = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lengths, unit = census_lengths(a.cells), "s" if device.type == "cuda" else "CPU-s"
    for objective in ("mlm", "wced"):
        network, view = problem(objective, lengths, a.genes, device, {"layers": a.layers})
        precision = "bf16-mixed" if device.type == "cuda" else "32-true"
        trained = time_step(network, view, our_loss, precision, 1)
        print(
            f"{objective}: trained {a.cells / trained:.2f} cells/{unit}, {len(view.gene) / trained:,.0f} tokens/{unit}"
        )
        for pooling in ("cls", None):
            seconds, tokens = embedding_seconds(network, lengths, a.genes, pooling), sum(lengths) + a.cells
            print(
                f"  embedded, {pooling or 'all poolings'}: {a.cells / seconds:.2f} cells/{unit}, "
                f"{trained / seconds:.1f} x; {tokens / seconds:,.0f} tokens/{unit}, "
                f"{tokens / seconds / (len(view.gene) / trained):.1f} x",
                flush=True,
            )


if __name__ == "__main__":
    main()
