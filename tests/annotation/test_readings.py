"""Other readings of the rules, laid over a study's: what each would change, and what it says if it cannot be had."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from scfm.annotation import AnnotationSettings
from scfm.annotation.commands import app
from scfm.annotation.readings import compare
from scfm.annotation.settings import read_alternatives
from scfm.errors import ScfmError
from scfm.settings import as_json, parse, read_yaml
from scfm.study import Study

CONFIG = Path(__file__).parents[2] / "config"

SETTINGS = {
    "families": [
        {"order": "1", "name": "kinases", "paper": 4, "rule": {"go": ["GO:0000002"]}},
        {"order": "2", "name": "factors", "paper": 1, "rule": {"tfclass": [1, 2]}},
        {"order": "3", "name": "other", "paper": 4, "rule": {"rest": True}},
    ],
    "programs": [
        {"order": "1", "name": "constitutive", "paper": 3, "rule": {"housekeeping": True}},
        {"order": "2", "name": "unassigned", "paper": 6, "rule": {"rest": True}},
    ],
}
READINGS = {
    "From a term down": {
        "is_a": {"relations": ["is_a"]},
        "with parts": {"relations": ["is_a", "part_of"]},
        "of another ontology": {"relations": ["is_a", "has_part"]},
    },
    "Evidence": {"all": {"evidence": None}, "by experiment": {"evidence": ["IDA"]}, "none": {"evidence": ["XYZ"]}},
    "Factors": {
        "any label": {"tfclass_by": "any_label"},
        "cross-reference": {"tfclass_by": "cross_reference"},
        "other release": {"tfclass_by": "cross_reference", "resources": {"tfclass": "old"}},
    },
    "Lists": {"alias": {"housekeeping_by": "alias"}},
    "Kinases": {
        "direct": {"rules": {"kinases": {"go_direct": ["GO:0000002"]}}},
        "unknown": {"rules": {"kinases": {"go": ["GO:0000099"]}}},
    },
}
OLD = (
    "format-version: 1.2\nontology: tfclass\n\n[Term]\nid: 1.1.1.1.1\nname: x\n"
    'xref: UNIPROT:P00005 "HUMAN"\nxref: ENSEMBL:ENSG00000000006 "with antibody"\n'
)


@pytest.fixture
def rules():
    return parse(AnnotationSettings, SETTINGS, "test")


@pytest.fixture
def alternatives(tmp_path, rules):
    """Function: readings as the file has them."""

    def read(readings):
        (tmp_path / "readings.yaml").write_text(yaml.safe_dump({"readings": readings}, sort_keys=False))
        return read_alternatives(tmp_path / "readings.yaml", rules)

    return read


@pytest.fixture
def tables(genes, files, rules, alternatives, tmp_path):
    (tmp_path / "old.obo").write_text(OLD)
    readings, counts = compare(genes["gene"], files, rules, alternatives(READINGS), {"old": tmp_path / "old.obo"})
    return readings.set_index(["question", "reading"]), counts.set_index(["kind", "name"])


def test_every_reading_is_a_row_below_the_study(tables):
    names = [("", "this study"), *((question, name) for question, answers in READINGS.items() for name in answers)]
    assert tables[0].index.tolist() == names
    assert tables[0].index[tables[0]["chosen"]].tolist() == [
        ("", "this study"), ("From a term down", "is_a"), ("Evidence", "all"),
    ]  # fmt: skip


# By hand: kinases are KIN1, KIN2, ORC1; the factor is ZNF1; MTA1 and REG1 are listed, OLDKIN too.
@pytest.mark.parametrize(
    ("reading", "numbers", "moved"),
    [
        (("", "this study"), [3, 1, 5, 2, 7], [0, 0]),
        (("From a term down", "with parts"), [4, 1, 4, 2, 7], [1, 0]),
        (("Evidence", "by experiment"), [2, 1, 6, 2, 7], [1, 0]),
        (("Factors", "any label"), [3, 2, 4, 2, 7], [1, 0]),
        (("Factors", "other release"), [3, 2, 4, 2, 7], [3, 0]),
        (("Lists", "alias"), [3, 1, 5, 3, 6], [0, 1]),
        (("Kinases", "direct"), [2, 1, 6, 2, 7], [1, 0]),
    ],
)
def test_numbers_under_each_reading(tables, reading, numbers, moved):
    readings, counts = tables
    assert counts[": ".join(filter(None, reading))].tolist() == numbers
    assert readings.loc[reading, ["families_moved", "programs_moved"]].tolist() == moved
    difference = sum(abs(a - b) for a, b in zip(numbers[:3], (4, 1, 4), strict=True)) / 2
    assert readings.loc[reading, "families_misplaced"] == pytest.approx(difference)
    assert readings.loc[reading, "note"] == ""


def test_without_published_numbers_nothing_is_misplaced(genes, files, settings, tmp_path):
    rules = settings({"symbols": ["KIN1"]})
    (tmp_path / "r.yaml").write_text("readings: {Q: {alias: {housekeeping_by: alias}}}\n")
    readings, _ = compare(genes["gene"], files, rules, read_alternatives(tmp_path / "r.yaml", rules), {})
    assert readings[["families_misplaced", "programs_misplaced"]].isna().all(axis=None)
    assert readings["families_moved"].tolist() == [0, 0]


def test_the_largest_changes_in_words(tables):
    assert tables[0].loc[("", "this study"), "most_changed"] == ""
    assert tables[0].loc[("Kinases", "direct"), "most_changed"] == "kinases -1; other +1"


@pytest.mark.parametrize(
    ("reading", "note"),
    [
        (("From a term down", "of another ontology"), r"'has_part' occurs nowhere in .*gene_ontology\.obo"),
        (("Evidence", "none"), r"no row of .* has one of the codes XYZ, only IDA, IEA"),
        (("Factors", "cross-reference"), r"tfclass\.csv has no cross-references"),
        (("Kinases", "unknown"), r"GO:0000099: not a live term"),
    ],
)
def test_a_reading_that_cannot_be_had_says_so(tables, reading, note):
    row = tables[0].loc[reading]
    pd.testing.assert_series_equal(pd.Series([row["note"]]).str.contains(note), pd.Series([True]))
    assert row.drop(["note", "chosen"]).isna().all()
    assert ": ".join(reading) not in tables[1]


def test_a_resource_that_the_study_does_not_have_is_said(genes, files, rules, alternatives):
    one = alternatives({"Factors": {"other release": READINGS["Factors"]["other release"]}})
    readings, _ = compare(genes["gene"], files, rules, one, {})
    assert readings["note"].tolist() == ["", "the resource 'old' is not part of this study"]


def test_a_damaged_file_is_no_reading(genes, files, rules, alternatives, tmp_path):
    (tmp_path / "old.obo").write_bytes(b"\xff\xfe")
    with pytest.raises(ScfmError, match=r"old\.obo"):
        compare(genes["gene"], files, rules, alternatives(READINGS), {"old": tmp_path / "old.obo"})


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        ({"rules": {"kinase": {"rest": True}}}, "'kinase' under 'Q: A' is neither family nor program"),
        ({"rules": {"kinases": {}}}, "a rule needs a condition"),
        ({"rules": {"other": {"symbols": ["KIN1"]}}}, "'Q: A': key 'families': the last row, and no other, must have"),
        ({"relation": ["is_a"]}, "did you mean 'relations'"),
        ({"tfclass_by": "name"}, "tfclass_by"),
        ({"resources": {"tf": "old"}}, "resources"),
    ],
)
def test_a_wrong_reading_is_one_sentence(alternatives, reading, message):
    with pytest.raises(ScfmError, match=message) as caught:
        alternatives({"Q": {"A": reading}})
    assert "readings.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_of_readings_are_files_of_a_study_on_real_cells(tmp_path):
    folder = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    mini, tiny = (Study(read_yaml(folder / "config.yaml") | {"study": name}, folder) for name in ("mini", "tiny"))
    assert (mini.other_readings, tiny.other_readings) == (["tfclass_2014"], [])
    assert "tfclass_2014" in mini.external
    path = folder / "readings.yaml"
    path.write_text(path.read_text().replace("tfclass: tfclass_2014", "tfclass: tfclass_2041"))
    with pytest.raises(ScfmError, match=r"'tfclass_2041' is not in .*resources\.yaml; add it there"):
        Study(read_yaml(folder / "config.yaml") | {"study": "mini"}, folder).external  # noqa: B018


def test_command_writes_both_tables(genes, files, rules, alternatives, tmp_path):
    genes.to_parquet(tmp_path / "genes.parquet")
    (tmp_path / "old.obo").write_text(OLD)
    alternatives(READINGS)
    paths = {f"--{name.replace('_', '-')}": getattr(files, name) for name in files.__dataclass_fields__}
    options = {"--genes": tmp_path / "genes.parquet", "--settings": as_json(rules), **paths}
    options |= {"--alternatives": tmp_path / "readings.yaml", "--other": f"old={tmp_path / 'old.obo'}"}
    options |= {"--out": tmp_path / "readings.csv", "--out-counts": tmp_path / "counts.csv"}
    result = CliRunner().invoke(app, ["readings", *(str(part) for pair in options.items() for part in pair)])
    assert result.exit_code == 0, result.output
    assert result.stdout == "annotation readings: 8 of 12 readings compared with this study's\n"
    assert len(pd.read_csv(tmp_path / "readings.csv")) == 13
    assert len(pd.read_csv(tmp_path / "counts.csv")) == 5
