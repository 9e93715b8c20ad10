import json
import subprocess
import sys

import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.errors import ScfmError
from scfm.paper.commands import app, by_run_and_seed, named


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, ScfmError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output.strip()


@pytest.fixture
def results(tidy, tmp_path):
    path = tmp_path / "results.csv"
    tidy.to_csv(path, index=False)
    return path


def test_tidy_joins_and_summarises(tidy, tmp_path):
    parts = []
    for run_name, part in tidy.groupby("run"):
        parts.append(tmp_path / f"{run_name}.csv")
        part.to_csv(parts[-1], index=False)
    line = run("tidy", *parts, "--out", tmp_path / "all.csv", "--out-summary", tmp_path / "summary.csv")
    assert line.splitlines()[-1] == "paper tidy: 108 rows, 12 columns"
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 54


@pytest.mark.parametrize(
    ("table", "options", "columns"),
    [
        ("5", [], ["run", "pooling", "seeds", "mean", "blood", "gut", "seen"]),
        ("6", [], ["run", "pooling", "seeds", "mean", "blood", "gut", "seen"]),
        ("macro-f1", [], ["run", "pooling", "seeds", "mean", "blood", "gut", "seen"]),
        (
            "controls",
            [],
            ["metric", "run", "pooling", "control", "datasets", "seeds", "control_seeds", "beaten", "mean_difference"],
        ),
        ("ranks", [], ["metric", "run", "pooling", "datasets", "mean_rank", "first", "of"]),
        ("pairs", ["--contrast", "wced/cls-mlm/cls"], ["metric", "contrast", "datasets", "seeds", "difference"]),
        ("4", ["--contrast", "wced/cls-mlm/cls"], ["contrast", "dataset", "n", "contaminated", "seeds"]),
    ],
)
def test_tables_from_tidy_results(results, tmp_path, table, options, columns):
    out = tmp_path / "out.csv"
    run("table", table, "--tidy", results, *options, "--out", out)
    first = out.read_bytes()
    assert list(pd.read_csv(out))[: len(columns)] == columns
    run("table", table, "--tidy", results, *options, "--out", out)
    assert out.read_bytes() == first


def test_a_table_that_cannot_be_made_leaves_no_file(results, tmp_path):
    with pytest.raises(ScfmError, match="no measurement integration/avg_batch"):
        run("table", "7", "--tidy", results, "--out", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_hyperparameters_and_datasets_of_the_repository(pytestconfig, tmp_path):
    config = pytestconfig.rootpath / "config"
    settings = tmp_path / "config.json"
    settings.write_text(json.dumps({"settings": {"training": {"learning_rate": 2e-3}}}))
    run(
        "table",
        "1",
        "--run",
        f"mlm={settings}",
        "--published",
        config / "published/table1.csv",
        "--out",
        tmp_path / "1.csv",
    )
    table = pd.read_csv(tmp_path / "1.csv").set_index("setting")
    assert table.loc["Learning rate", ["mlm", "published_mlm"]].astype(float).tolist() == [2e-3, 1e-4]
    run(
        "table",
        "14",
        "--datasets",
        config / "datasets.tsv",
        "--published",
        config / "published/table14.csv",
        "--out",
        tmp_path / "14.csv",
    )
    assert set(pd.read_csv(tmp_path / "14.csv").role) == {"needs its file", "of other systems, needs its file"}


def test_claims_and_report(results, pytestconfig, tmp_path):
    root = pytestconfig.rootpath
    claims = tmp_path / "claims.csv"
    line = run(
        "claims",
        "--claims",
        root / "config/claims.yaml",
        "--scale",
        "mini",
        "--tidy",
        results,
        "--settings",
        '{"bootstrap": 200}',
        "--out",
        claims,
    )
    table = pd.read_csv(claims).set_index("claim")
    assert table.loc["wced_over_mlm_cls_avg_bio", "verdict"] == "holds"
    assert table.loc["wced_over_mlm_mean_avg_bio", "verdict"] == "does not hold"
    assert table.loc["mechanism_of_action_cls", "verdict"] == "not tested here"
    assert table.loc["winners_overlap", "published"].startswith("13.67-fold")
    assert set(table.verdict) == {"holds", "does not hold", "not tested here"}
    assert line.startswith("paper claims: ")
    run("table", "5", "--tidy", results, "--out", tmp_path / "5.csv")
    line = run(
        "report",
        "--study",
        "mini",
        "--scale",
        "mini",
        "--claims",
        claims,
        "--captions",
        root / "workflow/report",
        "--table",
        f"table5={tmp_path / '5.csv'}",
        "--out",
        tmp_path / "r.html",
    )
    assert line.startswith("paper report: 1 tables, 0 figures")
    assert line.endswith("r.html")
    assert "<h2>Verdict on the claims</h2>" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["claims", "--claims", "x", "--scale", "huge", "--tidy", "x", "--out", "x"], "--scale: 'huge' is unknown"),
        (
            ["claims", "--claims", "x", "--scale", "demo", "--tidy", "TIDY", "--settings", '{"sed": 1}', "--out", "x"],
            "x: settings file not found",
        ),
        (
            [
                "report",
                "--study",
                "a",
                "--scale",
                "demo",
                "--claims",
                "x",
                "--captions",
                "x",
                "--out",
                "x",
                "--settings",
                "{",
            ],
            "--settings: not valid JSON",
        ),
        (
            [
                "report",
                "--study",
                "a",
                "--scale",
                "demo",
                "--claims",
                "x",
                "--captions",
                "x",
                "--out",
                "x",
                "--figure",
                "figure3=EMPTY",
            ],
            "no PNG file in this folder",
        ),
    ],
)
def test_bad_options_are_one_sentence(results, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    places = {"TIDY": str(results), "figure3=EMPTY": f"figure3={tmp_path / 'empty'}"}
    with pytest.raises(ScfmError, match=message):
        run(*[places.get(argument, argument) for argument in arguments])


def test_unknown_settings_key_has_a_hint(results, pytestconfig):
    claims = pytestconfig.rootpath / "config/claims.yaml"
    with pytest.raises(ScfmError, match="unknown key 'bootstrp'; did you mean 'bootstrap'"):
        run(
            "claims",
            "--claims",
            claims,
            "--scale",
            "demo",
            "--tidy",
            results,
            "--settings",
            '{"bootstrp": 1}',
            "--out",
            "x",
        )


def test_names_of_inputs():
    assert list(by_run_and_seed(["mlm/0=a", "mlm/1=b"], "--x")) == [("mlm", "0"), ("mlm", "1")]
    for text in ("mlm=a", "mlm/=a", "/0=a"):
        with pytest.raises(ScfmError, match=r"--x: .* has the wrong form; write RUN/SEED=PATH"):
            by_run_and_seed([text], "--x")
    for texts, message in ((["mlm"], "write NAME=PATH"), (["a=b", "a=c"], "'a' occurs twice")):
        with pytest.raises(ScfmError, match=message):
            named(texts, "--x")


def test_help_needs_no_heavy_library():
    code = "import scfm.paper.commands, sys; print([m for m in ('torch', 'pandas', 'scanpy') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
