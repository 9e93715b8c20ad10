"""The metrics are those of cell-eval: its figures are frozen by oracles/make_cell_eval.py."""

import json
from pathlib import Path

import numpy as np
import pytest
import toy_cells as toy

from scfm.perturbation.differential import profile
from scfm.perturbation.metrics import compare
from scfm.perturbation.summary import SCORED, scaled, statistics

FROZEN = json.loads((Path(__file__).parent / "oracles" / "cell_eval.json").read_text())
LOOSE = {"pearson_delta": 1e-5, "mae": 1e-6}


@pytest.fixture(scope="module")
def tables():
    real = profile(toy.sparse(1, 0), toy.labels())
    return [
        compare(real, profile(toy.sparse(seed, noise), toy.labels()), toy.genes())
        for seed, noise in ((2, 0.3), (3, 0.6))
    ]


@pytest.mark.parametrize("metric", FROZEN["figures"])
def test_every_metric_of_every_perturbation(tables, metric):
    theirs = np.array(FROZEN["figures"][metric])
    assert len(theirs) == toy.PERTURBATIONS
    assert tables[0][metric].to_numpy() == pytest.approx(theirs, abs=LOOSE.get(metric, 1e-6), nan_ok=True)


def test_scaled_scores_and_the_number_of_changed_genes(tables):
    whole = np.arange(toy.PERTURBATIONS)[None]
    ours, base = (statistics(table, whole) for table in tables)
    assert ours["effect_number_spearman"][0] == pytest.approx(FROZEN["effect_number_spearman"], abs=1e-6)
    scores = scaled(ours, base)
    for metric in SCORED:
        assert scores[f"{metric}_scaled"][0] == pytest.approx(FROZEN["scaled"][metric], abs=1e-5), metric
    assert scores["score"][0] == pytest.approx(FROZEN["scaled"]["score"], abs=1e-5)


def test_scores_where_a_metric_is_not_defined():
    nothing = np.array([np.nan])
    base = {"des": np.array([0.2]), "pds": nothing, "mae": np.array([0.1])}
    user = {"des": nothing, "pds": np.array([0.9]), "mae": np.array([0.2])}
    scores = scaled(user, base)
    assert scores["des_scaled"] == 0
    assert np.isnan(scores["pds_scaled"])
    assert scores["mae_scaled"] == 0  # worse than the reference is cut off
    assert scores["score"] == 0
