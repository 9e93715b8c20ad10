"""Figures of cz-benchmarks 0.15's clustering and embedding tasks on scanpy's bundled pbmc68k_reduced.

They are frozen in cz_clustering.json. cz-benchmarks needs an environment of its own: pip install
cz-benchmarks==0.15.1, then python make_cz_clustering.py.
"""

import json
from importlib.metadata import version
from pathlib import Path

import scanpy as sc
from czbenchmarks.tasks.clustering import ClusteringTask, ClusteringTaskInput
from czbenchmarks.tasks.embedding import EmbeddingTask, EmbeddingTaskInput

SEEDS = (*range(10), 42)  # 42 is the default of cz-benchmarks

adata = sc.datasets.pbmc68k_reduced()
labels = adata.obs["bulk_labels"].astype(str)
vectors = adata.obsm["X_pca"]
(silhouette,) = EmbeddingTask().run(vectors, EmbeddingTaskInput(input_labels=labels))
seeds = {}
for seed in SEEDS:
    results = ClusteringTask(random_seed=seed).run(vectors, ClusteringTaskInput(obs=adata.obs, input_labels=labels))
    seeds[seed] = {result.metric_type.value: float(result.value) for result in results}
names = ("cz-benchmarks", "igraph", "scanpy", "scib-metrics", "scikit-learn", "umap-learn")
frozen = {
    "silhouette_score": float(silhouette.value),
    "clustering_by_seed": seeds,
    "versions": {name: version(name) for name in names},
}
Path(__file__).with_name("cz_clustering.json").write_text(json.dumps(frozen, indent=1, sort_keys=True) + "\n")
