"""The pictures of the pages embed.md, annotate.md, explain.md and finetune.md, from a finished default study.

python docs/pictures.py results/demo docs
"""

import sys
import tempfile
from io import BytesIO
from pathlib import Path

import anndata
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import scfm
import scfm.plot

CELLS = 400


def scatter(adata: anndata.AnnData, key: str) -> Figure:
    """The first two principal components of an embedding, coloured by cell type."""
    vectors = adata.obsm[key] - adata.obsm[key].mean(0)
    across, _, _ = np.linalg.svd(vectors, full_matrices=False)
    figure = Figure((6.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for i, (name, rows) in enumerate(adata.obs.groupby("cell_type", observed=True).indices.items()):
        axes.scatter(across[rows, 0], across[rows, 1], s=6, color=f"C{i % 10}", marker="ox^s"[i // 10 % 4], label=name)
    axes.set(xlabel="component 1", ylabel="component 2", xticks=[], yticks=[], title=f"obsm['{key}']")
    figure.legend(loc="outside right", fontsize=7, frameon=False, markerscale=2)
    return figure


def main(study: Path, out: Path) -> None:
    """Write the four pictures."""
    model = scfm.load(study / "pretrain/wced_hce/0", "cpu")
    adata = anndata.read_h5ad(study / "benchmarks/datasets/synthetic_holdout.h5ad")
    adata = adata[np.sort(np.random.default_rng(0).permutation(adata.n_obs)[:CELLS])].copy()
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str)
    scfm.embed(adata, model)
    scfm.annotate(adata, model, nodes=True)
    kind = adata.obs["scfm_name"].value_counts().index[0]
    effects = scfm.explain(adata[adata.obs["scfm_name"] == kind][:30].copy(), model, kind)
    pictures = {
        "embed": scatter(adata, "X_scfm"),
        "annotate": scfm.plot.tree(adata, model.tree, "cell_type"),
        "explain": scfm.plot.genes(effects, top=15),
    }
    with tempfile.TemporaryDirectory() as folder:
        options = {"trainable": "head", "training": {"epochs": 10, "batch_cells": 16}}
        tuned = scfm.finetune(adata, model, "cell_type", Path(folder) / "model", **options)
        scfm.annotate(adata, tuned, threshold=0.5)
    pictures["finetune"] = scfm.plot.sankey(adata, "cell_type")
    for name, figure in pictures.items():
        drawn = BytesIO()
        figure.savefig(drawn, dpi=90)
        Image.open(drawn).convert("RGB").quantize(250).save(out / f"{name}.png", optimize=True)  # a third of the size


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
