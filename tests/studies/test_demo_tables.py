"""The default study finds again what was planted, and shows every table and figure.

Run on the results of a `demo` study: SCFM_DEMO_RESULTS=results/demo pytest tests/studies
"""

import os
from pathlib import Path

import pandas as pd
import pytest

RESULTS = Path(os.environ.get("SCFM_DEMO_RESULTS", ""))
pytestmark = pytest.mark.skipif(
    not os.environ.get("SCFM_DEMO_RESULTS"), reason="SCFM_DEMO_RESULTS does not name the results of a demo study"
)


def test_type_driven_genes_win_more_often_than_noise_of_the_same_sparsity():
    check = pd.read_csv(RESULTS / "check.csv").set_index("check")
    row = check.loc["wced/type_minus_noise"]
    assert row["required"]
    assert row["holds"] == "yes"
    assert row["low"] > 0
    assert {check.loc[f"wced/{seed}/type", "n"] for seed in (0, 1, 2)} == {60}


def test_wced_and_hce_beat_the_same_network_with_random_weights():
    results = pd.read_csv(RESULTS / "benchmarks" / "results.csv")
    chosen = results[(results["metric"] == "macro_f1") & (results["pooling"] == "cls") & results["fold"].isna()]
    value = chosen.groupby(["dataset", "run"])["value"].mean().unstack()
    for run in ("wced", "wced_hce", "mlm_hce"):
        assert (value[run] > value["random"]).all(), run


def test_annotation_of_the_held_out_cells_recovers_their_types():
    table = pd.read_csv(RESULTS / "benchmarks" / "ontology" / "wced_hce" / "0.csv")
    own = table[(table["dataset"] == "synthetic_holdout") & (table["metric"] == "accuracy")]
    assert own["value"].item() > 0.8


def test_the_page_shows_every_table_and_figure():
    page = (RESULTS / "report.html").read_text()
    for number in (*range(1, 8), *range(9, 15)):
        assert f"<strong>Table {number}." in page, number
    for number in (1, 2, 3, 4, 6, "S7", "S8", "S9"):
        assert f"<strong>Figure {number}." in page, number
    assert page.count("data:image/png;base64") >= 2
