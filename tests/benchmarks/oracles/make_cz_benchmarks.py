"""Figures of cz-benchmarks 0.15 on scanpy's bundled pbmc68k_reduced, frozen in cz_benchmarks.json.

cz-benchmarks needs an environment of its own: pip install cz-benchmarks==0.15.1, then python make_cz_benchmarks.py.
"""

import json
from importlib.metadata import version
from pathlib import Path

import scanpy as sc
from czbenchmarks.tasks.label_prediction import MetadataLabelPredictionTask, MetadataLabelPredictionTaskInput

adata = sc.datasets.pbmc68k_reduced()
labels = adata.obs["bulk_labels"].astype(str)
task = MetadataLabelPredictionTask()
results = task.run(adata.obsm["X_pca"], MetadataLabelPredictionTaskInput(labels=labels))
figures = {}
for result in results:
    name = result.metric_type.value.removeprefix("mean_fold_")
    classifier = result.params["classifier"]
    figures[f"{name}_{'mean' if classifier.startswith('MEAN') else classifier}"] = float(result.value)
versions = {name: version(name) for name in ("cz-benchmarks", "scanpy", "scikit-learn")}
frozen = {"figures": figures, "versions": versions}
Path(__file__).with_name("cz_benchmarks.json").write_text(json.dumps(frozen, indent=1, sort_keys=True) + "\n")
