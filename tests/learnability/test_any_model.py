"""`scfm learnability table`: per-gene errors of any model, as far as their columns go, and what is refused."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.errors import ScfmError
from scfm.learnability import FILES
from scfm.learnability.commands import app
from scfm.learnability.outcomes import score
from scfm.learnability.read import ANNOTATION, ERRORS
from scfm.learnability.settings import Learnability

FAST = json.dumps({"permutations": {"n": 5}})
NEEDED = ["gene", "n_nonzero", "zero_fraction", "rescaled_mae"]
OF_GROUPS = {"families.csv", "family_groups.csv", "programs.csv", "crosstab.csv"}


def call(*arguments):
    result = CliRunner().invoke(app, ["table", *map(str, arguments), "--settings", FAST])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    assert result.output.count("\n") == 1
    return result.output


def save(table, path):
    if path.name.endswith("parquet"):
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, sep="\t" if ".tsv" in path.name else ",", index=False)
    return path


@pytest.mark.parametrize("name", ["mine.csv", "mine.tsv", "mine.parquet", "mine.csv.gz"])
def test_the_needed_columns_are_enough(tmp_path, simulated, name):
    errors = simulated(n=400, winners=0.05)
    path = save(errors[NEEDED].assign(score=2.5, source="lab"), tmp_path / name)
    said = call(path, "--out", tmp_path / "out")
    reliable = (errors.n_nonzero >= 100).sum()
    assert said.startswith(f"learnability table: {path}: {reliable} of 400 genes reliable, ")
    for absent in ("epoch: training dynamics", "rescaled_mae_ungated", "rescaled_mae_null", "auc: detection", "n: det"):
        assert f"no {absent}" in said
    assert "no annotation: families and programs left out" in said
    assert "kept as they are: score, source" in said
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"genes.parquet", "sensitivity.csv", "summary.json", "scatter.png", "scatter.html"}
    genes = pd.read_parquet(tmp_path / "out/genes.parquet")
    np.testing.assert_allclose(genes.z, score(errors, Learnability()).z, rtol=1e-9)
    assert list(genes)[:4] == NEEDED
    assert genes.score.eq(2.5).all()
    assert not {"n", "auc", "family", "rescaled_mae_ungated", "rescaled_mae_null"} & set(genes)
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["run"] == "mine"
    assert not [key for key in summary if "auc" in key or key in ("epoch", "median_rescaled_mae_ungated")]


def test_all_columns_and_an_annotation_give_every_table(tmp_path, simulated, annotated):
    errors = pd.concat([simulated(n=400, winners=0.05).assign(epoch=epoch) for epoch in (1, 2)])
    path = save(errors.drop(columns="planted"), tmp_path / "errors.csv")
    known = save(annotated(errors.gene[:400]), tmp_path / "annotation.csv")
    said = call(path, "--out", tmp_path / "out", "--annotation", known)
    assert said.endswith(f"losers; {len(FILES)} files in {tmp_path / 'out'}\n")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(FILES.values())
    assert set(pd.read_csv(tmp_path / "out/dynamics.csv").epoch) == {1, 2}
    assert set(pd.read_csv(tmp_path / "out/detection.csv").axis) == {"all", "family", "program"}
    # Again without annotation: tables of groups that were there would be of another analysis.
    call(path, "--out", tmp_path / "out")
    assert not OF_GROUPS & {path.name for path in (tmp_path / "out").iterdir()}


def test_genes_without_annotation_are_counted_and_in_no_family(tmp_path, simulated, annotated):
    errors = simulated(n=400)
    path = save(errors[NEEDED], tmp_path / "errors.csv")
    known = save(annotated(errors.gene[:300]), tmp_path / "annotation.parquet")
    assert "100 genes without annotation are in no family" in call(path, "--out", tmp_path / "o", "--annotation", known)
    families = pd.read_csv(tmp_path / "o/families.csv")
    assert families.annotated.sum() == 300
    assert families.family.notna().all()
    assert not {"median_auc", "share_beating_null"} & set(families)
    others = save(annotated(errors.gene[:10] + "x"), tmp_path / "others.parquet")
    with pytest.raises(ScfmError, match="gene G0 has no annotation"):
        call(path, "--out", tmp_path / "o", "--annotation", others)


def test_a_gene_may_be_called_na(tmp_path, simulated):
    errors = simulated(n=100)[NEEDED].assign(gene=["NA", *(f"G{i}" for i in range(99))])
    call(save(errors, tmp_path / "errors.csv"), "--out", tmp_path / "out")
    assert pd.read_parquet(tmp_path / "out/genes.parquet").gene[0] == "NA"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"zero_fraction": 0.5}, "All reliable genes have the zero fraction 0.5: the trend is the mean"),
        ({"n_nonzero": [500] * 40 + [5] * 60}, "Only 40 reliable genes, fewer than the 50 of one window"),
        ({"n_nonzero": 3}, "No gene has 100 nonzero validation observations"),
    ],
)
def test_what_weakens_an_analysis_is_said(tmp_path, simulated, change, sentence):
    path = save(simulated(n=100)[NEEDED].assign(**{"n_nonzero": 500} | change), tmp_path / "errors.csv")
    assert sentence in call(path, "--out", tmp_path / "out")
    assert sentence in json.loads((tmp_path / "out/summary.json").read_text())["note"]


def broken(errors, row, **values):
    """The table with other values in one row."""
    changed = errors.astype(dict.fromkeys(values, object))
    for name, value in values.items():
        changed.loc[row, name] = value
    return changed


BAD = {
    "column missing": (
        lambda e: e.drop(columns="n_nonzero"),
        "column 'n_nonzero' is missing; .* needs gene, n_nonzero",
    ),
    "gene twice": (lambda e: pd.concat([e, e.iloc[[7]]]), "gene G7 occurs twice"),
    "gene twice in an epoch": (lambda e: pd.concat([e, e.iloc[[7]]]).assign(epoch=1), "gene G7 occurs twice"),
    "gene without a name": (lambda e: broken(e, 3, gene=""), "1 rows have no gene"),
    "error missing": (lambda e: broken(e, 3, rescaled_mae=np.nan), "rescaled_mae of gene G3 is nan .1 such rows"),
    "error infinite": (lambda e: broken(e, 3, rescaled_mae=np.inf), "rescaled_mae of gene G3 is inf"),
    "error negative": (lambda e: broken(e, 3, rescaled_mae=-1.0), "rescaled_mae of gene G3 is -1"),
    "every error missing": (lambda e: e.assign(rescaled_mae=np.nan), r"rescaled_mae of gene G0 is nan \(100 such rows"),
    "count missing": (lambda e: broken(e, 3, n_nonzero=np.nan), "n_nonzero of gene G3 is nan"),
    "zero fraction in percent": (lambda e: e.assign(zero_fraction=55.0), "zero_fraction of gene G0 is 55.*from 0 to 1"),
    "text for a number": (lambda e: broken(e, 3, rescaled_mae="0,31"), "column 'rescaled_mae' holds '0,31'"),
    "two runs": (lambda e: pd.concat([e.assign(run="a"), e.assign(run="b")]), "more than one run or seed"),
    "no row": (lambda e: e.iloc[:0], "no row"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_tables_are_one_sentence_and_leave_nothing(tmp_path, simulated, what):
    change, sentence = BAD[what]
    path = save(change(simulated(n=100)[NEEDED].assign(n_nonzero=500)), tmp_path / "errors.csv")
    with pytest.raises(ScfmError, match=sentence) as error:
        call(path, "--out", tmp_path / "out")
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert not re.search(r"[.!?]\s", text)
    assert not (tmp_path / "out").exists()


def test_gene_never_expressed_needs_no_error(tmp_path, simulated):
    errors = simulated(n=100)[NEEDED].assign(n_nonzero=500)
    errors.loc[3, ["n_nonzero", "rescaled_mae", "zero_fraction"]] = [0, np.nan, np.nan]
    assert "99 of 100 genes reliable" in call(save(errors, tmp_path / "errors.csv"), "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"\x89PNG\r\n\x1a\n\x00\xff", "not a readable csv file"),
        ("a.csv", b"", "not a readable csv file"),
        ("a.csv", b">gene1\nACGT\n", "column 'gene' is missing"),
        ("a.parquet", b"gene,n\n", "not a readable parquet file"),
        ("a.xlsx", b"", "of unknown format; .* ends in .parquet, .csv or .tsv"),
        ("a.csv.gz", b"gene", "not a readable csv file"),
    ],
)
def test_files_of_another_kind(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScfmError, match=sentence):
        call(tmp_path / name, "--out", tmp_path / "out")


def test_ungated_errors_are_needed_where_the_settings_ask_for_them(tmp_path, simulated):
    path = save(simulated(n=100)[NEEDED], tmp_path / "errors.csv")
    with pytest.raises(ScfmError, match="'rescaled_mae_ungated' is missing; gated: false needs it"):
        CliRunner().invoke(
            app,
            ["table", str(path), "--out", str(tmp_path / "o"), "--settings", '{"gated": false}'],
            catch_exceptions=False,
        )


def test_every_column_and_file_is_documented(pytestconfig):
    page = (pytestconfig.rootpath / "docs/learnability.md").read_text()
    for name in (*ERRORS, *ANNOTATION, *FILES.values()):
        assert f"`{name}`" in page, name
