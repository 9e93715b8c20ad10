"""The tables of the study on real cells: complete, consistent, and right where the answer is known.

Run on the results of a `mini` study, full or shortened: SCFM_MINI_RESULTS=results/mini pytest tests/studies
"""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

RESULTS = Path(os.environ.get("SCFM_MINI_RESULTS", ""))
pytestmark = pytest.mark.skipif(
    not os.environ.get("SCFM_MINI_RESULTS"), reason="SCFM_MINI_RESULTS does not name the results of a mini study"
)

DATASETS = {
    "pbmc_10x_chemistries",
    "cell_lines_sc_mixology",
    "pancreas_baron_human_mouse",
    "pancreas_baron_lawlor",
    "brain_oligodendroglioma_tpm",
    "dc_villani_lognorm_859g",
}
ROWS = {
    *((run, pooling) for run in ("mlm", "mlm_hce", "wced", "wced_hce", "random") for pooling in ("cls", "mean")),
    ("wced_hce", "cls_0"),
    ("wced_hce", "concat_cls"),
    ("bmfm_concat", "cls+cls"),
    ("pca", "pca"),
}


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return pd.read_csv(RESULTS / "benchmarks" / "results.csv")


@pytest.fixture(scope="module")
def seeds() -> int:
    """Seeds of every run, by the study file: a shortened study has one."""
    runs = yaml.safe_load((Path(__file__).parents[2] / "config" / "studies" / f"{RESULTS.name}.yaml").read_text())[
        "runs"
    ]
    (number,) = {len(run["seeds"]) for run in runs.values()}
    return number


TABLES = ["macro_f1", *(f"table{number}" for number in (5, 6, 7, 9, 10, 11, 12, 13))]


@pytest.mark.parametrize("table", TABLES)
def test_tables_hold_every_run_pooling_and_dataset(table, seeds):
    frame = pd.read_csv(RESULTS / "tables" / f"{table}.csv")
    assert set(zip(frame["run"], frame["pooling"], strict=True)) == ROWS
    assert set(frame.columns) >= DATASETS
    assert frame.loc[frame["run"] != "pca", "seeds"].eq(seeds).all()
    assert frame[sorted(DATASETS)].notna().all(axis=None)


def test_measurements_are_shares_and_the_score_is_their_weighted_mean(results):
    overall = results[results["fold"].isna()]
    wide = overall[overall["task"] == "integration"].pivot_table(
        index=["run", "pooling", "seed", "dataset"], columns="metric", values="value"
    )
    for metric in ("nmi", "asw_label", "asw_batch", "graph_connectivity", "avg_bio", "avg_batch", "score"):
        assert wide[metric].dropna().between(0, 1).all(), metric
    np.testing.assert_allclose(wide["avg_bio"], wide[["nmi", "ari", "asw_label"]].mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(
        wide["score"].dropna(), (0.6 * wide["avg_bio"] + 0.4 * wide["avg_batch"]).dropna(), atol=1e-6
    )


def test_principal_components_tell_the_known_types_apart(results):
    """An independent figure: about 0.93 and 1.00 by logistic regression on log-normalised variable genes."""
    pca = results[(results["run"] == "pca") & (results["metric"] == "macro_f1_lr") & results["fold"].isna()]
    value = pca.set_index("dataset")["value"]
    assert value["pbmc_10x_chemistries"] == pytest.approx(0.93, abs=0.03)
    assert value["cell_lines_sc_mixology"] == pytest.approx(1.0, abs=0.02)


def test_cells_of_the_shared_donor_are_marked(results):
    held = results["task"] == "heldout"  # that donor is in its training part
    assert (
        results.loc[held & (results["dataset"] == "pbmc_10x_chemistries"), "contaminated"].astype(str).eq("False").all()
    )
    results = results[~held]
    assert results.loc[results["dataset"] == "pbmc_10x_chemistries", "contaminated"].astype(str).ne("False").all()
    assert results.loc[results["dataset"] == "cell_lines_sc_mixology", "contaminated"].astype(str).eq("False").all()


def test_mouse_has_a_table_of_its_own(results):
    mouse = {"mouse_hspc_indrop", "mouse_brain_merfish", "pancreas_baron_mouse"}
    table = pd.read_csv(RESULTS / "tables" / "table8.csv")
    score = table[table["measure"] == "integration score"]
    assert set(zip(score["run"], score["pooling"], strict=True)) == ROWS
    assert score[sorted(mouse)].notna().all(axis=None)
    assert not mouse & set(pd.read_csv(RESULTS / "tables" / "table5.csv").columns)
    assert results.loc[results["dataset"].isin(mouse), "task"].str.endswith("_mus_musculus").all()


def test_fine_tuning_stands_beside_the_probe_on_the_same_cells(results):
    tuned, probe = (results[results["task"] == task] for task in ("finetune", "heldout"))
    human = {"brain_oligodendroglioma_tpm", "pancreas_baron_human_mouse", "pancreas_baron_lawlor"}
    assert set(tuned["dataset"]) == human
    n = [table[table["metric"] == "macro_f1"].groupby("dataset")["n"].unique() for table in (tuned, probe)]
    for name in human:
        assert n[0][name].tolist() == n[1][name].tolist()
    for table in (tuned, probe):
        wide = table.pivot_table(index=["run", "pooling", "dataset", "seed"], columns="metric", values="value")
        for metric in ("macro_f1", "accuracy"):
            assert wide[metric].between(wide[f"{metric}_low"] - 0.05, wide[f"{metric}_high"] + 0.05).all()
    assert (RESULTS / "figures" / "figure5" / "figure5.png").stat().st_size > 10_000


def test_the_corpus_is_the_four_deposits_split_by_cell():
    cells = pd.read_parquet(RESULTS / "corpus" / "selection" / "cells.parquet")
    assert set(cells["dataset_id"]) == {"pbmc_zheng_facs", "crohn_gut_scp1884", "spatial_her2_breast", "kang_ifnb"}
    assert cells["soma_joinid"].is_unique
    assert 8_500 < len(cells) <= 8_813
    assert (cells["split"] == "validation").sum() >= 1_800


def test_families_of_real_annotation():
    families = pd.read_csv(RESULTS / "annotation" / "families.csv").set_index("name")["n"]
    genes = pd.read_parquet(RESULTS / "annotation" / "genes.parquet")
    assert len(families) == 37
    assert families.sum() == len(genes)
    assert families["Mitochondrial Genome"] <= 13
    assert families["Ribosome (Cytosolic)"] == pytest.approx(91, abs=10)


@pytest.mark.parametrize("run", ["mlm", "wced", "mlm_hce", "wced_hce"])
def test_learnability_judges_reliable_genes(run):
    summary = json.loads((RESULTS / "learnability" / run / "0" / "summary.json").read_text())
    genes = pd.read_parquet(RESULTS / "learnability" / run / "0" / "genes.parquet")
    assert summary["reliable"] == genes["reliable"].sum() > 50
    assert set(genes.loc[genes["reliable"], "outcome"]) <= {"winner", "loser", "expected"}


def test_every_claim_has_a_verdict_and_the_page_shows_the_tables():
    claims = pd.read_csv(RESULTS / "claims.csv")
    assert set(claims["verdict"]) <= {"holds", "does not hold", "not tested here"}
    assert claims["reason"].notna().all()
    page = (RESULTS / "report.html").read_text()
    for number in range(1, 15):
        assert f"<strong>Table {number}." in page, number
    for number in (1, 2, 3, 4, 5, "S7", "S9"):
        assert f"<strong>Figure {number}." in page, number
    assert page.count("data:image/png;base64") >= 2
