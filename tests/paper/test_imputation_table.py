"""The table of hidden counts: a row for each way, baselines once and last, marks and missing figures."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.benchmarks.results import Measurement, tidy
from scfm.errors import ScfmError
from scfm.paper.commands import app
from scfm.paper.tables.imputation import imputation_table


def results(run="cellplm", seed=0, shift=0.0, contaminated="false"):
    """Both tasks on one dataset, as they write them."""
    tables = []
    ways = {"denoise": ["expected", "gene_mean"], "imputation": ["with_positions", "without_positions", "knn"]}
    metrics = {"denoise": ("rmse", "pearson"), "imputation": ("pearson_median", "pearson_mean")}
    for task, poolings in ways.items():
        for place, pooling in enumerate(poolings):
            of_model = pooling in ("expected", "with_positions", "without_positions")
            base = 0.5 + (shift if of_model else 0) - 0.1 * place
            values = {
                f"{m}{end}": base + d for m in metrics[task] for end, d in (("", 0), ("_low", -0.1), ("_high", 0.1))
            }
            if pooling == "gene_mean":
                values |= dict.fromkeys(("pearson", "pearson_low", "pearson_high"), np.nan)
            rows = [Measurement(name, value, 40) for name, value in values.items()]
            if of_model:
                rows.append(Measurement("cells_left_out", 2, 42))
            whose = {"study": "s", "run": run, "pooling": pooling, "dataset": "spots", "task": task, "seed": seed}
            tables.append(tidy(rows, **whose, contaminated=contaminated if of_model else "false"))
    return pd.concat(tables, ignore_index=True)


def flagged(table):
    flags = {"contaminated": table["contaminated"] == "true", "training_unknown": table["contaminated"] == "unknown"}
    return table.assign(**flags)


def test_a_row_for_each_way_with_baselines_once_at_the_end():
    parts = [results(), results(seed=1, shift=0.2), results("random_cellplm", shift=-0.2)]
    table = imputation_table(flagged(pd.concat(parts, ignore_index=True)))
    rows = list(zip(table["task"], table["run"], table["prediction"], strict=True))
    assert rows == [
        ("denoise", "cellplm", "expected"),
        ("denoise", "random_cellplm", "expected"),
        ("denoise", "baseline", "gene_mean"),
        ("imputation", "cellplm", "with_positions"),
        ("imputation", "cellplm", "without_positions"),
        ("imputation", "random_cellplm", "with_positions"),
        ("imputation", "random_cellplm", "without_positions"),
        ("imputation", "baseline", "knn"),
    ]
    assert table["seeds"].tolist() == [2, 1, 1, 2, 2, 1, 1, 1]
    assert set(table["n"]) == {40}
    assert table.loc[0, "rmse"] == "0.600 (0.500 to 0.700)"
    assert table.loc[2, "rmse"] == "0.400 (0.300 to 0.500)"
    assert table.loc[2, "pearson"] == "–"
    assert table.loc[0, "pearson_median"] == ""
    assert table.loc[7, "pearson_median"] == "0.300 (0.200 to 0.400)"
    assert "pearson_gain" not in table


def test_marks_of_what_a_run_has_seen():
    table = imputation_table(flagged(results(contaminated="true")))
    assert table.loc[0, "rmse"].endswith(" †")
    assert not table.loc[1, "rmse"].endswith("†")
    assert imputation_table(flagged(results(contaminated="unknown"))).loc[0, "rmse"].endswith(" §")


def test_no_such_row_is_one_sentence():
    with pytest.raises(ScfmError, match="no measurement of task denoise or imputation"):
        imputation_table(flagged(results().assign(task="probe")))


def test_the_command_writes_the_table(tmp_path):
    results().to_csv(tmp_path / "tidy.csv", index=False)
    out = tmp_path / "imputation.csv"
    done = CliRunner().invoke(app, ["table", "imputation", "--tidy", str(tmp_path / "tidy.csv"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert pd.read_csv(out, keep_default_na=False)["run"].tolist()[:2] == ["cellplm", "baseline"]
