"""Figures of cell-eval on the cells of ../toy_cells.py, frozen in cell_eval.json.

cell-eval comes with the extra `perturbation`: pip install -c constraints.txt '.[perturbation]', then python
make_cell_eval.py.
"""

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import anndata
import pandas as pd
from cell_eval import MetricsEvaluator
from cell_eval._score import score_agg_metrics

sys.path.insert(0, str(Path(__file__).parents[1]))
import toy_cells as toy

METRICS = {
    "mae": "mae",
    "mae_delta": "mae_delta",
    "pearson_delta": "pearson_delta",
    "pds": "discrimination_score_l1",
    "des": "overlap_at_N",
    "spearman_lfc": "de_spearman_lfc_sig",
    "auprc": "pr_auc",
    "direction": "de_direction_match",
    "recall": "de_sig_genes_recall",
}
SCORED = ("mae", "pds", "des")


def adata(seed: int, noise: float) -> anndata.AnnData:
    obs = pd.DataFrame({"target": toy.labels()}, index=[f"c{i}" for i in range(toy.CELLS)])
    return anndata.AnnData(toy.cells(seed, noise), obs=obs, var=pd.DataFrame(index=toy.genes()))


def results(seed: int, noise: float) -> tuple:
    """(per perturbation, aggregate) frames of predicted cells with this error in their effects."""
    with tempfile.TemporaryDirectory() as folder:
        evaluator = MetricsEvaluator(
            adata(seed, noise), adata(1, 0), control_pert=toy.CONTROL, pert_col="target", num_threads=1, outdir=folder
        )
        return evaluator.compute(
            profile="full",
            skip_metrics=["clustering_agreement", "pearson_edistance"],
            write_csv=False,
            break_on_error=True,
        )


per, every = results(2, 0.3)
_, base = results(3, 0.6)
columns = ["statistic", *(METRICS[name] for name in SCORED)]
scores = score_agg_metrics(every.select(columns), base.select(columns)).to_pandas().set_index("metric")["from_baseline"]
table = per.to_pandas().set_index("perturbation").sort_index()
frozen = {
    "figures": {name: [float(value) for value in table[theirs]] for name, theirs in METRICS.items()},
    "effect_number_spearman": float(table["de_spearman_sig"].iloc[0]),
    "scaled": {name: float(scores[METRICS[name]]) for name in SCORED} | {"score": float(scores["avg_score"])},
    "versions": {name: version(name) for name in ("cell-eval", "pdex", "numpy", "scipy", "scikit-learn")},
}
Path(__file__).with_name("cell_eval.json").write_text(json.dumps(frozen, indent=1) + "\n")
