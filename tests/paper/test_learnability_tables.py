"""The learnability of all runs in tables: hand-made folders of two runs, whose means are known."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.errors import ScfmError
from scfm.paper.commands import app
from scfm.paper.tables.learnability import crosstabs, learnability_tables, overview


def write(folder, winners, share):
    """A run's folder with so many winners of 10 reliable genes."""
    folder.mkdir(parents=True)
    record = {"rate": 0.05, "share": 0.5 / winners if winners else None}
    summary = dict.fromkeys(("epoch", "losers", "sparse_winners", "median_rescaled_mae", "median_auc"), 1)
    summary |= {"genes": 20, "reliable": 10, "winners": winners, "winner_rate": winners / 10, "note": ""}
    summary |= {"median_rescaled_mae_ungated": 0.5, "median_rescaled_mae_null": None}
    summary |= {"null": dict.fromkeys(("shuffle", "sign", "normal"), record), "sparsity": {"r2": 0.7}}
    summary["sparsity"]["spearman_squared"] = 0.6
    summary["planted"] = {"recall": 0.68, "false_share": 0.13}
    (folder / "summary.json").write_text(json.dumps(summary))
    z = {"z": [-3.0, 0.0], "rescaled_mae": 0.5, "trend": 0.6, "outcome": ["winner", "expected"]}
    pd.DataFrame({"gene": ["A", "B"], "family": "F", "program": "P"} | z).to_parquet(folder / "genes.parquet")
    cells = {"family": ["Kinase", "Kinase", "Synapse"], "program": ["own", "rest", "rest"], "annotated": [4, 6, 10]}
    counts = {"evaluated": [4, 6, 0], "winners": [winners, 0, 0], "losers": 0}
    pd.DataFrame(cells | counts).to_csv(folder / "crosstab.csv", index=False)
    pd.DataFrame({"family": ["Synapse", "Histone", "Kinase"]}).to_csv(folder / "families.csv", index=False)
    pd.DataFrame({"program": ["rest", "own"]}).to_csv(folder / "programs.csv", index=False)
    grid = {"half_width": 0.05, "t": [1.5, 2.0], "sparse_cut": 0.65, "default": [False, True], "winners": winners}
    pd.DataFrame(grid).to_csv(folder / "sensitivity.csv", index=False)
    axis = pd.DataFrame({"axis": ["all", "family"], "group": ["all", "Kinase"], "genes": 10, "share": share})
    for name in ("detection", "gating"):
        axis.to_csv(folder / f"{name}.csv", index=False)
    return folder


@pytest.fixture
def folders(tmp_path):
    return {
        ("mlm", "0"): write(tmp_path / "mlm/0", 1, 0.2),
        ("wced", "0"): write(tmp_path / "wced/0", 2, 0.4),
        ("wced", "1"): write(tmp_path / "wced/1", 3, 0.6),
    }


def test_null_rates_stand_beside_the_winner_rate(folders):
    table = overview(folders).set_index(["run", "seed"])
    assert list(table.index) == list(folders)
    row = table.loc[("wced", "1")]
    assert (row.winner_rate, row.null_rate_shuffle, row.null_rate_sign, row.null_rate_normal) == (0.3, 0.05, 0.05, 0.05)
    assert (row.null_share_sign, row.r2) == (0.5 / 3, 0.7)
    assert (row.planted_sensitivity, row.planted_false_discovery) == (0.68, 0.13)
    position = list(table).index
    assert position("null_rate_shuffle") == position("sparse_winners") + 1 == position("winner_rate") + 3


def test_crosstab_sums_families_and_programs(folders):
    table = crosstabs(folders).set_index("family")
    assert list(table.index) == ["Synapse", "Kinase", "all"]
    assert list(table)[:5] == ["rest", "own", "genes", "mlm_rest", "mlm_own"]
    assert table.loc["Kinase", ["own", "rest", "genes"]].tolist() == [4, 6, 10]
    assert table.loc["all", ["own", "rest", "genes"]].tolist() == [4, 16, 20]
    assert table.loc["Kinase", ["mlm_own", "wced_own"]].tolist() == ["1/4", "2.5/4"]
    assert table.loc["Synapse", ["mlm_own", "mlm_rest"]].tolist() == ["", ""]
    assert table.loc["all", "wced_rest"] == "0/6"


def test_other_tables_are_means_over_seeds(folders):
    tables = learnability_tables(folders)
    assert list(tables) == ["learnability", "winners", "crosstab", "sensitivity", "detection", "gating"]
    detection = tables["detection"].set_index(["run", "group"])
    assert detection.share.to_dict()["wced", "Kinase"] == 0.5
    assert detection.seeds.to_dict() == {("mlm", "all"): 1, ("mlm", "Kinase"): 1} | {
        ("wced", "all"): 2,
        ("wced", "Kinase"): 2,
    }
    sensitivity = tables["sensitivity"]
    assert sensitivity[sensitivity.default].winners.tolist() == [1, 2.5]
    assert tables["winners"].gene.tolist() == ["A"]
    assert tables["winners"].wced_winner_seeds.tolist() == ["2 of 2"]


def test_command_writes_them_all(folders, tmp_path):
    given = [part for (run, seed), folder in folders.items() for part in ("--learnability", f"{run}/{seed}={folder}")]
    result = CliRunner().invoke(app, ["table", "learnability", *given, "--out", str(tmp_path / "tables")])
    assert result.exit_code == 0
    assert result.output.startswith("paper table learnability: learnability 3 rows, winners 1 rows, crosstab 3 rows")
    assert len(list((tmp_path / "tables").glob("*.csv"))) == 6


def test_folders_that_cannot_be_read(folders):
    with pytest.raises(ScfmError, match="no folder given"):
        learnability_tables({})
    folder = folders["mlm", "0"]
    (folder / "summary.json").write_text('{"null": {}}')
    with pytest.raises(ScfmError, match=r"summary\.json: key 'epoch' is missing"):
        overview(folders)
    (folder / "crosstab.csv").unlink()
    with pytest.raises(ScfmError, match=r"crosstab\.csv: a cross-tabulation .* not found"):
        crosstabs(folders)
