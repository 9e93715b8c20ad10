"""The table of perturbed cells: ceiling, models, baselines of each hold-out, with intervals and marks."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.benchmarks.results import Measurement, tidy
from scfm.errors import ScfmError
from scfm.paper.commands import app
from scfm.paper.tables.perturbation import perturbation_table
from scfm.paper.tidy import read_tidy


def results(run, value, seed=0, split="backgrounds", contaminated="false"):
    """What the task writes of one model or baseline on one dataset and split."""
    ends = (("", 0), ("_low", -0.1), ("_high", 0.1))
    rows = [Measurement(f"pearson_delta{end}", value + d, 40, split) for end, d in ends]
    rows += [Measurement(f"pds{end}", np.nan, 40, split) for end, _ in ends]
    if run != "ceiling":
        rows += [Measurement(f"score{end}", 0.5, 40, split) for end, _ in ends]
    rows.append(Measurement("perturbations", 8, 40, split))
    whose = {"study": "s", "run": run, "pooling": "", "dataset": "kang", "task": "perturbation", "seed": seed}
    return tidy(rows, **whose, contaminated=contaminated)


@pytest.fixture
def files(tmp_path):
    """CSV files of baselines and ceiling, and of a model with two seeds."""
    names = ("control_mean", "additive", "ceiling")
    tables = {"baselines": pd.concat([results(name, 0.1 * place) for place, name in enumerate(names)])}
    tables |= {f"stack{seed}": results("stack", 0.3 + 0.2 * seed, seed) for seed in (0, 1)}
    tables["other"] = results("additive", 0.7, split="combinations_2_seen", contaminated="true")
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    return [tmp_path / f"{name}.csv" for name in tables]


def test_a_row_for_each_hold_out_and_prediction(files):
    table = perturbation_table(read_tidy(files))
    rows = list(zip(table["held_out"], table["prediction"], table["seeds"], strict=True))
    assert rows == [
        ("backgrounds", "ceiling", 1),
        ("backgrounds", "stack", 2),
        ("backgrounds", "control_mean", 1),
        ("backgrounds", "additive", 1),
        ("combinations_2_seen", "additive", 1),
    ]
    assert table["pearson_delta"].tolist()[:2] == ["0.200 (0.100 to 0.300)", "0.400 (0.300 to 0.500)"]
    assert table["pearson_delta"].tolist()[-1] == "0.700 (0.600 to 0.800) †"
    assert set(table["pairs"]) == {8}
    assert set(table["cells"]) == {40}
    assert set(table["pds"]) == {"–"}
    assert table["score"].tolist()[0] == "", "a ceiling has no scaled score"
    assert "mae" not in table


def test_what_a_run_cannot_predict_is_said(files, tmp_path):
    other = results("additive", 0.7, split="combinations_2_seen")
    rows = other[other["metric"] == "perturbations"].assign(run="lingshu")
    rows.to_csv(tmp_path / "left_out.csv", index=False)
    table = perturbation_table(read_tidy([*files, tmp_path / "left_out.csv"])).set_index(["held_out", "prediction"])
    row = table.loc["combinations_2_seen", "lingshu"]
    assert row["pearson_delta"] == "no way to predict"
    assert (row["pairs"], row["cells"], row["score"]) == (8, 40, "")


def test_a_dataset_without_its_file_says_which_it_needs(files, tmp_path):
    table = perturbation_table(read_tidy(files), {"norman": "deposits/norman.h5ad"})
    row = table.iloc[-1]
    assert (row["dataset"], row["held_out"], row["prediction"]) == ("norman", "needs deposits/norman.h5ad", "")
    assert pd.isna(row["pairs"])
    assert len(table) == 6
    done = CliRunner().invoke(
        app, ["table", "perturbation", "--needs", "norman=deposits/norman.h5ad", "--out", str(tmp_path / "out.csv")]
    )
    assert done.exit_code == 0, done.output
    assert pd.read_csv(tmp_path / "out.csv")["held_out"].tolist() == ["needs deposits/norman.h5ad"]


def test_no_such_row_is_one_sentence(files):
    with pytest.raises(ScfmError, match="no measurement of task perturbation"):
        perturbation_table(read_tidy(files).assign(task="probe"))


def test_the_command_writes_the_table(files, tmp_path):
    out = tmp_path / "perturbation.csv"
    options = [text for path in files for text in ("--tidy", str(path))]
    done = CliRunner().invoke(app, ["table", "perturbation", *options, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert pd.read_csv(out)["prediction"].tolist()[:2] == ["ceiling", "stack"]
