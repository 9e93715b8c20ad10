"""The table of donors: a row for each vector and target, the composition once, marks and missing figures."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.benchmarks.results import Measurement, tidy
from scfm.errors import ScfmError
from scfm.paper.commands import app
from scfm.paper.tables.donors import donors_table


def results(run="wced", seed=0, shift=0.0, contaminated="false"):
    """Age and disease of one dataset by composition and mean, as the task writes them."""
    tables = []
    for pooling, base in (("composition", 0.3), ("cls:mean", 0.5 + shift)):
        rows = []
        for target, metric in (("age", "pearson"), ("ill", "auroc")):
            rows += [
                Measurement(metric, base - 0.1, 5, target, "0.0"),
                Measurement(metric, base + 0.1, 5, target, "0.1"),
            ]
            values = {"": base, "_low": base - 0.2, "_high": base + 0.2, "_permuted": 0.01}
            rows += [Measurement(f"{metric}{end}", value, 18, target) for end, value in values.items()]
        rows += [Measurement("mae", 9.5, 18, "age"), Measurement("accuracy", np.nan, 18, "ill")]
        top = {"retrieval_top1": 0.9, "retrieval_top1_low": 0.8, "retrieval_top1_high": 1.0}
        rows += [Measurement(name, value, 20) for name, value in (top | {"donors": 10, "samples": 20}).items()]
        whose = {"study": "s", "run": run, "pooling": pooling, "dataset": "blood", "task": "donor", "seed": seed}
        said = "false" if pooling == "composition" else contaminated
        tables.append(tidy(rows, **whose, contaminated=said))
    return pd.concat(tables, ignore_index=True)


def flagged(table):
    flags = {"contaminated": table["contaminated"] == "true", "training_unknown": table["contaminated"] == "unknown"}
    return table.assign(**flags)


def test_a_row_for_each_target_and_vector_with_the_composition_once():
    table = donors_table(flagged(pd.concat([results("pca"), results(), results(seed=1, shift=0.1)])))
    assert table[["target", "run", "pooling", "seeds"]].to_numpy().tolist() == [
        [target, run, pooling, seeds]
        for target in ("age", "ill")
        for run, pooling, seeds in (("cells", "composition", 1), ("wced", "cls:mean", 2), ("pca", "cls:mean", 1))
    ]
    ours = table[table["run"] == "wced"].iloc[0]
    assert ours["pearson"] == "0.550 (0.350 to 0.750)"
    assert ours["pearson_permuted"] == "0.010"
    assert ours[["donors", "samples"]].tolist() == [10, 18]
    assert ours["retrieval_top1"] == "0.900 (0.800 to 1.000)"
    assert ours["auroc"] == ""
    ill = table[table["target"] == "ill"]
    assert ill["accuracy"].tolist() == ["–"] * 3
    assert set(ill["mae"]) == {""}
    assert "mapping_mae" not in table


@pytest.mark.parametrize(("said", "mark"), [("true", " †"), ("partly", " †"), ("unknown", " §"), ("false", "")])
def test_donors_that_a_run_has_seen_are_marked(tmp_path, said, mark):
    from scfm.paper.tidy import read_tidy

    results(contaminated=said).to_csv(tmp_path / "t.csv", index=False)
    table = donors_table(read_tidy([tmp_path / "t.csv"]))
    assert table["pearson"].tolist()[:2] == ["0.300 (0.100 to 0.500)", f"0.500 (0.300 to 0.700){mark}"]


def test_donors_without_results_and_the_command(tmp_path):
    with pytest.raises(ScfmError, match="no measurement of task donor"):
        donors_table(flagged(results()).assign(task="moa"))
    results().to_csv(tmp_path / "t.csv", index=False)
    options = ["--tidy", str(tmp_path / "t.csv"), "--out", str(tmp_path / "out.csv")]
    result = CliRunner().invoke(app, ["table", "donors", *options])
    assert result.exit_code == 0, result.output
    assert result.output.strip() == "paper table donors: 4 rows, 14 columns"
    assert pd.read_csv(tmp_path / "out.csv")["run"].tolist() == ["cells", "wced"] * 2
