"""Figures of scib 1.1.7 on scanpy's bundled pbmc68k_reduced, frozen in scib.json.

scib needs an environment of its own: pip install scib==1.1.7, then python make_scib.py.
"""

import json
from importlib.metadata import version
from pathlib import Path

import scanpy as sc
import scib

adata = sc.datasets.pbmc68k_reduced()
embedding = adata.obsm["X_pca"].copy()
embedding[(adata.obs["phase"] == "G1").to_numpy()] += 0.6
adata.obsm["shifted"] = embedding
figures = {
    "asw_label": scib.me.silhouette(adata, "bulk_labels", "shifted"),
    "asw_batch": scib.me.silhouette_batch(adata, "phase", "bulk_labels", "shifted", verbose=False),
}
sc.pp.neighbors(adata, n_neighbors=15, use_rep="shifted")
figures["graph_connectivity"] = scib.me.graph_connectivity(adata, "bulk_labels")
scib.me.cluster_optimal_resolution(adata, label_key="bulk_labels", cluster_key="cluster")
figures["nmi"] = scib.me.nmi(adata, "cluster", "bulk_labels")
figures["ari"] = scib.me.ari(adata, "cluster", "bulk_labels")
versions = {name: version(name) for name in ("scib", "scanpy", "scikit-learn", "leidenalg", "umap-learn")}
frozen = {"figures": {name: float(value) for name, value in figures.items()}, "versions": versions}
Path(__file__).with_name("scib.json").write_text(json.dumps(frozen, indent=1) + "\n")
