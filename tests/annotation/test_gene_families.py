"""The whole stage on the handmade vocabulary: first match wins, tables, command line, bad files."""

import json
from dataclasses import asdict

import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.annotation import AnnotationSettings, annotate
from scfm.annotation.assign import misplaced
from scfm.annotation.commands import app
from scfm.annotation.genes import read_vocabulary
from scfm.errors import ScfmError
from scfm.resources import Record
from scfm.settings import as_json, parse

SETTINGS = {
    "families": [
        {"order": "1", "name": "kinases", "group": "enzymes", "paper": 4, "rule": {"go": ["GO:0000002"]}},
        {"order": "2", "name": "K", "paper": 3, "rule": {"symbol_prefixes": ["KIN", "MT"]}},
        {"order": "3", "name": "never", "paper": 0, "rule": {"symbols": ["KIN1"]}},
        {"order": "4", "name": "other", "paper": 2, "rule": {"rest": True}},
    ],
    "programs": [
        {"order": "1", "name": "constitutive", "rule": {"housekeeping": True}},
        {"order": "2", "name": "unassigned", "rule": {"rest": True}},
    ],
}


@pytest.fixture
def rules():
    return parse(AnnotationSettings, SETTINGS, "test")


def test_first_match_wins(genes, files, rules):
    annotated, families, programs = annotate(genes, files, rules)
    assert dict(zip(annotated["gene"], annotated["family"], strict=True)) == {
        "MT-ND1": "K", "MTA1": "K", "KIN1": "kinases", "KIN2": "kinases", "REG1": "other", "PART1": "other",
        "ZNF1": "other", "OR1A1": "other", "ORC1": "kinases",
    }  # fmt: skip
    assert annotated.loc[annotated["gene"] == "KIN1", "family_group"].item() == "enzymes"
    assert annotated.loc[annotated["gene"] == "ZNF1", "family_group"].item() == "other"
    assert families["n"].tolist() == [3, 2, 0, 4]
    assert families["difference"].tolist() == [-1, -1, 0, 2]
    assert set(annotated.loc[annotated["program"] == "constitutive", "gene"]) == {"MTA1", "REG1"}
    assert programs["n"].sum() == len(genes)
    assert programs["n_paper"].isna().all()


def test_order_of_genes_is_kept(genes, files, rules):
    backwards = genes[::-1].reset_index(drop=True)
    forward, backward = annotate(genes, files, rules)[0], annotate(backwards, files, rules)[0]
    pd.testing.assert_frame_equal(forward[::-1].reset_index(drop=True), backward)


def test_releases_of_the_resources_that_a_rule_asks(genes, files, rules):
    families = annotate(genes, files, rules, {"gene_ontology": "2024", "tfclass": "2018"})[1]
    assert families["releases"].tolist() == ["gene_ontology 2024; go_annotation", "", "", ""]


def test_misplaced_genes_by_hand():
    # Ours scaled to the paper's ten: 5, 5, 0 beside 2, 4, 4.
    table = pd.DataFrame({"n_paper": [2, 4, 4], "n": [10, 10, 0]})
    assert misplaced(table) == pytest.approx((3 + 1 + 4) / 2)
    assert misplaced(pd.DataFrame({"n_paper": [2, 4], "n": [1, 2]})) == 0


def run(genes_path, files, tmp_path, settings, record=()):
    paths = {f"--{name.replace('_', '-')}": path for name, path in asdict(files).items()}
    outputs = {f"--out-{name}": tmp_path / "out" / f"{name}.out" for name in ("genes", "families", "programs")}
    options = {"--genes": genes_path, "--settings": settings, **paths, **outputs}
    arguments = [str(part) for pair in options.items() for part in pair]
    return CliRunner().invoke(app, ["genes", *arguments, *(str(p) for r in record for p in ("--record", r))])


def test_command_writes_three_tables(genes, files, rules, tmp_path):
    genes.to_parquet(tmp_path / "genes.parquet")
    entry = Record(
        name="go_annotation", file="f", size=1, sha256="0" * 64, verified="none", source="mirror:f", date="2025-01-01",
        release="2025-07", licence="CC BY 4.0", reader="gaf", note="",
    )  # fmt: skip
    (tmp_path / "record.json").write_text(json.dumps(entry.model_dump()))
    result = run(tmp_path / "genes.parquet", files, tmp_path, as_json(rules), [tmp_path / "record.json"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("annotation genes: 9 genes, 3 of 4 families and 2 of 2 programs present")
    annotated = pd.read_parquet(tmp_path / "out" / "genes.out")
    assert annotated.columns.tolist() == ["gene", "ensembl", "family", "family_group", "program"]
    families = pd.read_csv(tmp_path / "out" / "families.out")
    assert families["releases"][0] == "gene_ontology; go_annotation 2025-07"
    assert families["rule"][0] == "GO:0000002 with descendants by is_a"
    assert families["reading"][0] == "descendants by is_a; all evidence codes"


def test_bad_file_leaves_no_output(genes, files, rules, tmp_path):
    genes.to_parquet(tmp_path / "genes.parquet")
    files.go_annotation.unlink()
    result = run(tmp_path / "genes.parquet", files, tmp_path, as_json(rules))
    assert isinstance(result.exception, ScfmError)
    assert "check the resource 'go_annotation'" in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"gene": ["A"]}, "column 'ensembl' is missing"),
        ({"gene": [], "ensembl": []}, "holds no gene"),
        ({"gene": ["A", "A"], "ensembl": ["", ""]}, "gene 'A' stands there twice"),
    ],
)
def test_a_wrong_vocabulary_is_named(tmp_path, table, message):
    pd.DataFrame(table).to_parquet(tmp_path / "genes.parquet")
    with pytest.raises(ScfmError, match=message):
        read_vocabulary(tmp_path / "genes.parquet")


def test_a_vocabulary_that_is_no_parquet(tmp_path):
    (tmp_path / "genes.parquet").write_text("gene,ensembl\n")
    with pytest.raises(ScfmError, match="expected a Parquet table of genes"):
        read_vocabulary(tmp_path / "genes.parquet")
