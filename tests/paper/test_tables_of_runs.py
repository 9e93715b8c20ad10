import json

import anndata
import numpy as np
import pandas as pd
import pytest

from scfm.benchmarks.seen import COLUMNS
from scfm.datasets import read_datasets
from scfm.errors import ScfmError
from scfm.paper.tables.datasets import datasets_table
from scfm.paper.tables.families import families, rate_groups
from scfm.paper.tables.genes import called, losers
from scfm.paper.tables.hyperparameters import PUBLISHED, flatten, hyperparameters, read_run


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "table1.csv"
    rows = [("Width", "encoder.hidden", "384", "384", "paper"), ("GPUs", "", "4", "4", "paper")]
    pd.DataFrame(rows, columns=list(PUBLISHED)).to_csv(path, index=False)
    return path


def test_settings_meet_their_published_values(published):
    runs = {
        "mlm": flatten({"model": {"encoder": {"hidden": 64}}, "betas": [0.9, 0.99], "note": "a"}),
        "wced": flatten({"model": {"encoder": {"hidden": 128}, "objective": {"kind": "wced"}}, "heads": []}),
        "same": flatten({"model": {"encoder": {"hidden": 384.0}, "objective": {"kind": "wced"}}}),
    }
    table = hyperparameters(runs, published).set_index("setting")
    assert list(table.index) == ["Width", "GPUs", "betas.0", "betas.1", "heads", "model.objective.kind", "note"]
    assert table.loc["Width"].tolist() == ["model.encoder.hidden", "64", "128", "384.0", "384", "384", "wced", "paper"]
    assert table.loc["GPUs"].tolist() == ["", "", "", "", "4", "4", "", "paper"]
    assert table.loc["heads"].tolist() == ["heads", "", "[]", "", "", "", "", ""]


def test_settings_files_that_cannot_be_read(tmp_path, published):
    path = tmp_path / "config.json"
    path.write_text("{")
    with pytest.raises(ScfmError, match="not valid JSON"):
        read_run(path)
    path.write_text("[1]")
    with pytest.raises(ScfmError, match="expected a JSON mapping"):
        read_run(path)
    with pytest.raises(ScfmError, match="no run given"):
        hyperparameters({}, published)
    published.write_text("setting,key\n")
    with pytest.raises(ScfmError, match="column 'published_mlm' is missing"):
        hyperparameters({"mlm": {"a": "1"}}, published)


def test_published_keys_exist_in_the_settings_of_a_run(pytestconfig):
    from scfm.pretrain.settings import parse_run

    keys = set()
    for objective in ("mlm", "wced"):
        run = parse_run({"system": "bmfm", "model": {"objective": {"kind": objective}}}, "test")
        keys |= set(flatten(json.loads(run.model_dump_json())))
    printed = pd.read_csv(pytestconfig.rootpath / "config/published/table1.csv").key.dropna()
    missing = [key for key in printed if not any(full.endswith(f".{key}") or full == key for full in keys)]
    assert missing == ["parameters"]  # written by training beside the settings


def scored(path, rows):
    names = ["gene", "z", "outcome"]
    pd.DataFrame(rows, columns=names).assign(family="F", program="P", rescaled_mae=0.5, trend=0.4).to_parquet(path)
    return path


def test_losers_of_either_run_and_in_common(tmp_path):
    tables = {
        ("mlm", "0"): scored(tmp_path / "m0", [("A", 3, "loser"), ("B", 1, "expected"), ("C", 2.5, "loser")]),
        ("mlm", "1"): scored(tmp_path / "m1", [("A", 5, "loser"), ("B", 1, "expected"), ("C", 1, "expected")]),
        ("wced", "0"): scored(tmp_path / "w0", [("A", 9, "loser"), ("B", 1, "winner"), ("D", 8, "loser")]),
    }
    table = losers({key: path.rename(path.with_suffix(".parquet")) for key, path in tables.items()}).set_index("gene")
    assert list(table.index) == ["A", "D", "C"]
    assert table.in_common.tolist() == [True, False, False]
    assert table.loc["A", ["mlm_loser_seeds", "wced_loser_seeds"]].tolist() == ["2 of 2", "1 of 1"]
    assert table.loc["A", "mlm_z"] == 4
    assert table.loc["C", "mlm_loser_seeds"] == "1 of 2"
    assert np.isnan(table.loc["D", "mlm_z"])
    assert table.loc["D", "mlm_loser_seeds"] == "0 of 2"


def test_winners_farthest_below_the_trend_come_first(tmp_path):
    tables = {
        ("mlm", "0"): scored(tmp_path / "m0.parquet", [("A", -3, "winner"), ("B", 1, "loser"), ("C", -2.5, "winner")]),
        ("wced", "0"): scored(
            tmp_path / "w0.parquet", [("A", -2, "winner"), ("D", -8, "winner"), ("C", 1, "expected")]
        ),
    }
    table = called(tables, "winner").set_index("gene")
    assert list(table.index) == ["A", "D", "C"]
    assert table.loc["C", ["mlm_winner_seeds", "wced_winner_seeds"]].tolist() == ["1 of 1", "0 of 1"]


def test_no_loser_gives_an_empty_table_with_columns(tmp_path):
    path = scored(tmp_path / "a.parquet", [("A", 0, "expected")])
    table = losers({("mlm", "0"): path})
    assert len(table) == 0
    assert "mlm_z" in table
    with pytest.raises(ScfmError, match="no table given"):
        losers({})


def learnt_families(path, **columns):
    base = dict.fromkeys(
        [
            "evaluated",
            "winner_rate_annotated",
            "null_rate_annotated_shuffle",
            "null_rate_annotated_sign",
            "null_rate_evaluated_shuffle",
            "null_rate_evaluated_sign",
            "odds_ratio_reference",
            "fisher_q_reference",
            "median_rescaled_mae",
            "median_auc",
            "mannwhitney_q_others",
        ],
        1.0,
    )
    pd.DataFrame({"family": ["Kinase"], **base, **columns}).to_csv(path, index=False)
    return path


def test_families_over_seeds(tmp_path):
    sizes = tmp_path / "families.csv"
    rows = {"order": ["1", "2"], "name": ["Kinase", "Histone"], "n_paper": [632, None], "n": [600, 70]}
    pd.DataFrame(rows).to_csv(sizes, index=False)
    tables = {}
    for seed, (rate, odds, q) in enumerate([(0.1, 1.0, 0.01), (0.3, 4.0, 0.5)]):
        path = tmp_path / f"{seed}.csv"
        columns = {"winner_rate_evaluated": rate, "odds_ratio_others": odds, "fisher_q_others": q}
        tables["mlm", str(seed)] = learnt_families(path, **columns)
    table = families(sizes, tables).set_index("family")
    assert table.loc["Kinase", ["genes_published", "genes"]].tolist() == [632, 600]
    row = table.loc["Kinase"]
    assert row.mlm_winner_rate_evaluated == pytest.approx(0.2)
    assert (row.mlm_odds_ratio_others, row.mlm_fisher_q_others, row.mlm_seeds) == (2.5, 0.5, 2)
    assert row.mlm_winner_rate_group == "like"
    assert table.loc["Histone"].isna().sum() == 17
    with pytest.raises(ScfmError, match="no table given"):
        families(sizes, {})


def test_families_are_grouped_by_their_winner_rate():
    names = ["odds_ratio_others", "fisher_q_others", "evaluated"]
    rows = [(3.0, 0.01, 9), (0.3, 0.01, 9), (3.0, 0.2, 9), (np.nan, np.nan, 9), (np.nan, np.nan, 0)]
    groups = rate_groups(pd.DataFrame(rows, columns=names))
    assert list(groups) == ["above", "below", "like", "like", "not evaluated"]


@pytest.fixture
def prepared(tmp_path):
    obs = pd.DataFrame({"batch": ["a", "b", "b"], "cell_type": ["T", "unknown", "B"]}, index=list("123"))
    obs["cell_type_ontology_term_id"] = ["CL:0000084", "unknown", "unknown"]
    adata = anndata.AnnData(np.zeros((3, 5), dtype=np.float32), obs=obs)
    adata.uns["scfm"] = {"name": "pbmc_10x_chemistries", "contaminated": "partly"}
    path = tmp_path / "pbmc.h5ad"
    adata.write_h5ad(path)
    return path


def test_datasets_are_counted_and_named(pytestconfig, prepared, tmp_path):
    cells = tmp_path / "cells.parquet"
    rows = {"dataset_id": ["kang_ifnb"] * 3, "batch": "b", "cell_type": ["T", "B", "B"]}
    ids = {"cell_type_ontology_term_id": "unknown", "split": ["train", "train", "validation"]}
    pd.DataFrame(rows | ids).to_parquet(cells)
    sheet = read_datasets(pytestconfig.rootpath / "config/datasets.tsv")
    published = pytestconfig.rootpath / "config/published/table14.csv"
    table = datasets_table(sheet, [prepared], cells, published).set_index("dataset")
    assert table.loc["kang_ifnb", ["role", "split"]].tolist() == ["pretraining", "train 2, validation 1"]
    row = table.loc["pbmc_10x_chemistries"]
    assert row[["cells", "genes", "batches", "labels", "labels_with_id"]].tolist() == [3, 5, 2, 2, 1]
    assert (row.role, row.contaminated) == ("zero-shot", "partly")
    assert row.title == sheet["pbmc_10x_chemistries"].title
    assert table.loc["mhsp", "role"] == "needs its file"
    assert pd.isna(table.loc["mhsp", "cells"])
    assert set(table.index[table.published_cells.notna()]) == set(pd.read_csv(published).dataset)
    assert table.index.is_unique


@pytest.mark.parametrize(("said", "seen", "shown"), [("false", "yes", "true"), ("partly", "yes", "partly")])
def test_a_dataset_that_any_run_has_seen_is_contaminated(pytestconfig, tmp_path, said, seen, shown):
    sheet = read_datasets(pytestconfig.rootpath / "config/datasets.tsv")
    published = pytestconfig.rootpath / "config/published/table14.csv"
    obs = pd.DataFrame({"batch": "b", "cell_type": "T", "cell_type_ontology_term_id": "unknown"}, index=["c"])
    uns = {"scfm": {"name": "kang_ifnb", "contaminated": said}}
    anndata.AnnData(np.ones((1, 1), dtype=np.float32), obs=obs, uns=uns).write_h5ad(tmp_path / "a.h5ad")
    rows = [(run, "kang_ifnb", "", "10.1038/nbt.4042", "u", 3, word) for run, word in (("a", "not found"), ("b", seen))]
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(tmp_path / "contamination.csv", index=False)
    table = datasets_table(sheet, [tmp_path / "a.h5ad"], None, published, tmp_path / "contamination.csv")
    assert table.set_index("dataset").loc["kang_ifnb", "contaminated"] == shown


def test_files_that_are_no_prepared_dataset(pytestconfig, tmp_path):
    sheet = read_datasets(pytestconfig.rootpath / "config/datasets.tsv")
    published = pytestconfig.rootpath / "config/published/table14.csv"
    path = tmp_path / "a.h5ad"
    anndata.AnnData(np.zeros((2, 2), dtype=np.float32)).write_h5ad(path)
    with pytest.raises(ScfmError, match=r"uns\['scfm'\] is missing"):
        datasets_table(sheet, [path], None, published)
    path.write_text("no")
    with pytest.raises(ScfmError, match="not a readable h5ad"):
        datasets_table(sheet, [path], None, published)
