"""Tables of mechanisms and of the disease: our figures, published ones in their own column, missing files named."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.benchmarks.results import Measurement, tidy
from scfm.errors import ScfmError
from scfm.paper.commands import app
from scfm.paper.tables.disease import disease_table
from scfm.paper.tables.moa import COUNTS, FOLDS, moa_table
from scfm.paper.tidy import read_task

NEEDS = {"sciplex3_a549": "deposits/GSE139944"}


def moa_results(seed=0, run="wced", contaminated=False, shift=0.0):
    rows = [Measurement("auroc", 0.7 + shift, n=40, fold="0.0"), Measurement("auroc", 0.9 + shift, n=60, fold="0.1")]
    for name in FOLDS:
        rows += [Measurement(name, 0.8 + shift, n=100), Measurement(f"{name}_sd", 0.1, n=100)]
    rows += [Measurement(name, 4 + i, n=100) for i, name in enumerate(COUNTS)]
    rows += [Measurement("avg_bio", 0.3, n=100)]
    whose = {"study": "s", "run": run, "pooling": "cls", "dataset": "screen", "task": "moa"}
    return tidy(rows, **whose, seed=seed, contaminated=contaminated).assign(training_unknown=False)


def disease_results(found=True, seed=0):
    values = {"clusters": 5, "signature_up": 3, "signature_down": 6, "cluster_cells": 40, "found": int(found)}
    shares = ("case_share", "case_share_low", "case_share_high", "rest_case_share", "odds_ratio", "minus_log10_p")
    values |= dict(zip(shares, (0.8, 0.65, 0.9, 0.5, 4.0, 3.0) if found else (float("nan"),) * 6, strict=True))
    rows = [Measurement(name, value, n=300 if name == "clusters" else 40) for name, value in values.items()]
    whose = {"study": "s", "run": "wced", "pooling": "cls", "dataset": "cortex", "task": "disease"}
    return tidy(rows, **whose, seed=seed, contaminated=False)


@pytest.fixture
def published(pytestconfig):
    return pytestconfig.rootpath / "config/published/figure6.csv"


def test_ours_and_published_stand_in_columns_of_their_own(published):
    results = pd.concat([moa_results(0), moa_results(1, shift=0.1)])
    table = moa_table(results, published, NEEDS)
    ours = table.iloc[0]
    assert ours[["run", "pooling", "dataset"]].tolist() == ["wced", "cls", "screen"]
    assert ours[["seeds", "cells", *COUNTS]].tolist() == [2, 100, 4, 5, 6, 7]
    assert ours["auroc"] == "0.850 ± 0.100"
    assert pd.isna(ours["published_auroc"])
    printed = table[table["published_auroc"].notna()].set_index("run")
    assert printed["published_auroc"].to_dict() == pd.read_csv(published, index_col=0)["published_auroc"].to_dict()
    assert printed.loc["BMFM-RNA WCED", "published_auroc"] == 0.865
    assert printed["auroc"].isna().all()
    assert printed["drugs"].isna().all()
    assert set(printed["note"]) == {"published (paper): 9 classes, 39 drugs"}
    assert table.iloc[-1][["dataset", "note"]].tolist() == ["sciplex3_a549", "needs deposits/GSE139944"]


def test_difference_is_of_the_published_dataset_and_of_the_same_kind_of_run(published):
    results = [moa_results(run=run).assign(dataset="sciplex3_a549") for run in ("wced_multitask", "mlm", "wced_flat")]
    table = moa_table(pd.concat([*results, moa_results()]), published, {}).head(4)
    assert table["run"].tolist() == ["wced_multitask", "mlm", "wced_flat", "wced"]
    assert table["published_auroc"].fillna(0).tolist() == [0.865, 0.812, 0, 0]
    assert table["difference"].tolist() == pytest.approx(
        [0.8 - 0.865, 0.8 - 0.812, float("nan"), float("nan")], nan_ok=True
    )


def test_seen_cells_are_marked(published):
    assert moa_table(moa_results(contaminated=True), published, {}).iloc[0]["auroc"] == "0.800 ± 0.100 †"


def test_tables_without_any_result(published):
    table = moa_table(read_task([], "moa"), published, NEEDS)
    assert len(table) == 8
    assert table["note"].str.startswith(("published", "needs")).all()
    table = disease_table(read_task([], "disease"), {"cortex": "there"})
    assert table[["dataset", "note"]].to_numpy().tolist() == [["cortex", "needs there"]]


def test_disease_has_a_row_for_each_embedding(published):
    table = disease_table(pd.concat([disease_results(), disease_results(False, seed=1)]), {})
    assert table["seed"].tolist() == [0, 1]
    assert table["cells"].tolist() == [300, 300]
    assert table["case_share"].tolist() == ["0.800 (0.650 to 0.900)", "–"]
    assert table["p"].tolist() == ["0.001", "–"]
    assert table["found"].tolist() == [True, False]
    assert table["signature_down"].tolist() == [6, 6]


def test_disease_without_a_cluster_to_compare():
    rows = [Measurement("clusters", 1, n=30), Measurement("found", 0, n=30)]
    whose = {"study": "s", "run": "r", "pooling": "cls", "dataset": "d", "task": "disease", "seed": 0}
    table = disease_table(tidy(rows, **whose, contaminated=False), {})
    assert table["case_share"].tolist() == ["–"]
    assert table["signature_up"].isna().all()


def test_published_figures_of_another_form(tmp_path):
    (tmp_path / "p.csv").write_text("model\nx\n")
    with pytest.raises(ScfmError, match="column 'published_auroc' is missing"):
        moa_table(moa_results(), tmp_path / "p.csv", {})


def test_commands(tmp_path, published):
    paths = {"moa": tmp_path / "moa.csv", "disease": tmp_path / "disease.csv"}
    moa_results().to_csv(paths["moa"], index=False)
    disease_results().to_csv(paths["disease"], index=False)
    for name, path in paths.items():
        options = ["--published", str(published)] if name == "moa" else []
        options += ["--tidy", str(path), "--needs", "x=y/z", "--out", str(tmp_path / "out.csv")]
        result = CliRunner().invoke(app, ["table", name, *options])
        assert result.exit_code == 0, result.output
        table = pd.read_csv(tmp_path / "out.csv")
        assert table["run"].iloc[0] == "wced"
        assert table["note"].iloc[-1] == "needs y/z"
