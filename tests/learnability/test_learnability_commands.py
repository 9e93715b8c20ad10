"""The commands: files in, files out, one sentence for bad input."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.errors import ScfmError
from scfm.learnability import FILES
from scfm.learnability.commands import app
from scfm.learnability.read import at_epoch, parse_tables, read_errors, read_names

FAST = json.dumps({"permutations": {"n": 5}, "bootstrap": {"n": 50}})


def call(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def inputs(folder, simulated, annotated, **options):
    last = simulated(n=400, winners=0.05, **options)
    errors = pd.concat([last.assign(epoch=0, rescaled_mae=1.0), last], ignore_index=True)
    errors.drop(columns="planted").to_parquet(folder / "errors.parquet")
    annotated(last.gene).to_parquet(folder / "annotation.parquet")
    pd.DataFrame({"name": ["Histone", "Kinase"], "group": ["Histone", "Kinase"]}).to_csv(
        folder / "families_all.csv", index=False
    )
    return last


def run_genes(folder, name="a", settings=FAST, *more):
    given = ["--errors", folder / "errors.parquet", "--annotation", folder / "annotation.parquet"]
    return call("genes", *given, "--out", folder / name, "--settings", settings, *more)


def test_genes_writes_every_table_twice_the_same(tmp_path, simulated, annotated):
    inputs(tmp_path, simulated, annotated)
    output = run_genes(tmp_path, "a", FAST, "--families", tmp_path / "families_all.csv")
    run_genes(tmp_path, "b", FAST, "--families", tmp_path / "families_all.csv")
    assert output.startswith("learnability genes: wced seed 0: ")
    assert output.count("\n") == 1
    assert {path.name for path in (tmp_path / "a").iterdir()} == set(FILES.values())
    for file in set(FILES.values()) - {"scatter.html"}:  # its ids count on within a process
        first, second = ((tmp_path / name / file).read_bytes() for name in "ab")
        assert first == second
    summary = json.loads((tmp_path / "a/summary.json").read_text())
    genes = pd.read_parquet(tmp_path / "a/genes.parquet")
    families = pd.read_csv(tmp_path / "a/families.csv")
    assert summary["epoch"] == 3
    assert summary["winners"] == (genes.outcome == "winner").sum() == families.winners.sum()
    assert families.family[0] == "Histone"
    assert len(families) == 5
    assert summary["winner_rate"] == summary["winners"] / summary["reliable"]
    assert f"({summary['winner_rate']:.1%}; {summary['null']['sign']['rate']:.1%} with residuals" in output
    assert set(summary["null"]) == {"shuffle", "sign", "normal"}
    assert summary["median_auc_genes"] == (genes.reliable & (genes.n - genes.n_nonzero >= 20)).sum()
    assert summary["note"] == ""


@pytest.mark.parametrize("reliable", [0, 1, 3, 20, 49])
def test_genes_survives_few_reliable_genes(tmp_path, simulated, annotated, reliable):
    last = inputs(tmp_path, simulated, annotated)
    enough = int(last.n_nonzero.nlargest(reliable).min()) if reliable else 10**6
    run_genes(tmp_path, settings=json.dumps({**json.loads(FAST), "min_nonzero": enough}))
    text = (tmp_path / "a/summary.json").read_text()
    summary = json.loads(text)
    assert "NaN" not in text
    assert summary["reliable"] == (last.n_nonzero >= enough).sum()
    assert summary["note"].startswith("No gene has" if not reliable else "Only ")
    families = pd.read_csv(tmp_path / "a/families.csv")
    assert families.evaluated.sum() == summary["reliable"]


def test_agreement_and_check(tmp_path, simulated, annotated):
    inputs(tmp_path, simulated, annotated)
    run_genes(tmp_path)
    table = tmp_path / "a/genes.parquet"
    given = ["--genes", f"mlm:0={table}", "--genes", f"wced:0={table}"]
    output = call("agreement", *given, "--pairs", "mlm:wced", "--out", tmp_path / "agreement.csv")
    rows = pd.read_csv(tmp_path / "agreement.csv")
    assert "mlm:wced seed 0" in output
    assert list(rows.universe.unique()) == ["first", "second", "both"]
    genes = pd.read_parquet(table)
    # Every winner is called noise, so that the check must fail.
    dealt = np.array(["type", "latent", "noise"])[np.arange(len(genes)) % 3]
    planted = np.where(genes.outcome == "winner", "noise", dealt)
    pd.DataFrame({"gene": genes.gene, "planted": planted}).to_parquet(tmp_path / "truth.parquet")
    given = ["--truth", tmp_path / "truth.parquet", "--genes", f"wced:0={table}", "--settings", FAST]
    assert "0 of 1 required" in call("check", *given, "--out", tmp_path / "check.csv")
    with pytest.raises(ScfmError, match="does not exceed that of noise"):
        call("check", *given, "--out", tmp_path / "strict.csv", "--strict")
    assert pd.read_csv(tmp_path / "strict.csv").check.is_unique


def test_bad_tables_are_named(tmp_path, simulated, annotated):
    last = inputs(tmp_path, simulated, annotated)
    with pytest.raises(ScfmError, match="not found"):
        read_errors(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(ScfmError, match="not a readable parquet file"):
        read_errors(tmp_path / "text.parquet")
    for broken, message in [
        (last.drop(columns="auc"), "column 'auc' is missing"),
        (pd.concat([last, last]), "occurs twice"),
        (last.assign(seed=[1] + [0] * (len(last) - 1)), "more than one run or seed"),
        (last.iloc[:0], "no row"),
    ]:
        broken.to_parquet(tmp_path / "broken.parquet")
        with pytest.raises(ScfmError, match=message):
            read_errors(tmp_path / "broken.parquet")
    (tmp_path / "names.csv").write_text("family\nHistone\n")
    with pytest.raises(ScfmError, match="columns name and group"):
        read_names(tmp_path / "names.csv")
    with pytest.raises(ScfmError, match="7 was not validated; the gene errors hold 3"):
        at_epoch(last, 7)


def test_gene_without_annotation_stops_before_any_output(tmp_path, simulated, annotated):
    last = inputs(tmp_path, simulated, annotated)
    annotated(last.gene[1:]).to_parquet(tmp_path / "annotation.parquet")
    with pytest.raises(ScfmError, match="gene G0 has no annotation"):
        run_genes(tmp_path)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("texts", [[], ["wced=a"], ["wced:x=a"], [":0=a"], ["wced:0="], ["wced:0=a", "wced:0=b"]])
def test_table_options_of_another_form(texts):
    with pytest.raises(ScfmError, match="--genes"):
        parse_tables(texts)


def test_unknown_settings_key_and_bad_pair(tmp_path, simulated, annotated):
    inputs(tmp_path, simulated, annotated)
    with pytest.raises(ScfmError, match="did you mean 'half_width'"):
        run_genes(tmp_path, settings='{"half_widht": 0.1}')
    with pytest.raises(ScfmError, match="FIRST:SECOND"):
        call("agreement", "--genes", "mlm:0=x", "--pairs", "mlm:mlm", "--out", tmp_path / "x.csv")
