"""config/resources.yaml, the settings of a resource, the manifest and the command line."""

import csv
import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scfm.errors import ScfmError
from scfm.resources import Record, Resource, read_resources
from scfm.resources.commands import app
from scfm.resources.manifest import write_manifest
from scfm.settings import as_json, parse

ROOT = Path(__file__).parents[2]
NEEDED = {
    "hgnc", "gene_ontology", "go_annotation", "tfclass", "tfclass_2014", "protein_atlas", "protein_atlas_enriched",
    "housekeeping", "cell_ontology", "cell_ontology_2025", "cell_ontology_2022", "dissociation", "mouse_orthologs",
    "cell_cycle_regev", "sciplex_wells", "sciplex_library", "gene_aliases_2024", "protein_coding_2024",
}  # fmt: skip
BASE = {"title": "t", "reader": "tsv", "licence": "CC0"}


@pytest.fixture(scope="module")
def listed():
    return read_resources(ROOT / "config" / "resources.yaml")


def test_every_resource_of_the_study_is_listed(listed):
    assert set(listed) >= NEEDED
    datasets = {name for name, resource in listed.items() if resource.reader == "h5ad"}
    mirrored = {name for name in datasets if not listed[name].package}
    assert all(listed[name].filename(True) == f"{name}.h5ad" for name in mirrored)


def test_every_dataset_names_a_listed_resource(listed):
    with (ROOT / "config" / "datasets.tsv").open() as handle:
        named = {row["resource"] for row in csv.DictReader(handle, delimiter="\t")}
    assert {name for name in named if name and ":" not in name} <= set(listed)


def test_file_name_depends_on_the_origin(listed):
    assert listed["protein_atlas"].filename(True) == "proteinatlas_v20.0.tsv.gz"
    assert listed["protein_atlas"].filename(False) == "proteinatlas.tsv"
    assert listed["gene_ontology"].filename(False) == "go-basic.obo"


def test_the_mirror_holds_what_the_list_says(listed, mirror_folder):
    for name, resource in listed.items():
        if not resource.mirror:
            continue
        data = (mirror_folder / resource.mirror).read_bytes()
        assert hashlib.sha256(data).hexdigest() == resource.mirror_sha256, name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "neither url nor mirror"),
        ({"url": "ftp://x/y"}, "url"),
        ({"url": "https://x/y", "sha256": "abc"}, "sha256"),
        ({"url": "https://x/y", "mirror_release": "1"}, "but mirror is absent"),
        ({"mirror": "x/y", "release": "1"}, "but url is absent"),
        ({"url": "https://x/y", "sha265": "0" * 64}, "did you mean 'sha256'"),
        ({"url": "https://x/y", "title": 3}, "title"),
        ({"package": "scanpy/a.h5ad"}, "a file of a package needs sha256, and no url"),
        ({"package": "scanpy/a.h5ad", "sha256": "0" * 64, "mirror": "a.h5ad"}, "a file of a package needs sha256"),
        ({"package": "scanpy", "sha256": "0" * 64}, "package"),
    ],
)
def test_a_wrong_entry_is_one_sentence(fields, message):
    with pytest.raises(ScfmError, match=message):
        parse(Resource, {**BASE, **fields}, "resources.yaml: thing")


def record(folder, name, **changes):
    entry = Record(
        name=name, file="f", size=3, sha256="0" * 64, verified="none", source="mirror:f", date="2025-01-01", release="",
        licence="CC0", reader="tsv", note='a "note"',
    )  # fmt: skip
    path = folder / f"{name}{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps(entry.model_dump() | changes))
    return path


def test_manifest_is_sorted_by_name_and_independent_of_the_order_given(tmp_path):
    paths = [record(tmp_path, name) for name in ("b", "a", "c")]
    write_manifest(paths, tmp_path / "one.tsv")
    write_manifest(paths[::-1], tmp_path / "two.tsv")
    assert (tmp_path / "one.tsv").read_bytes() == (tmp_path / "two.tsv").read_bytes()
    with (tmp_path / "one.tsv").open() as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert [row["name"] for row in rows] == ["a", "b", "c"]
    assert rows[0]["note"] == 'a "note"'


def test_manifest_refuses_two_records_of_a_name(tmp_path):
    with pytest.raises(ScfmError, match="resource 'a': two records"):
        write_manifest([record(tmp_path, "a"), record(tmp_path, "a")], tmp_path / "out.tsv")


def test_manifest_names_a_malformed_record(tmp_path):
    with pytest.raises(ScfmError, match="unknown key 'colour'"):
        write_manifest([record(tmp_path, "a", colour="red")], tmp_path / "out.tsv")
    with pytest.raises(ScfmError, match="record of a fetched resource not found"):
        write_manifest([tmp_path / "absent.json"], tmp_path / "out.tsv")
    assert not (tmp_path / "out.tsv").exists()


def test_commands_fetch_and_list(tmp_path):
    (tmp_path / "copy.tsv").write_text("x\n")
    entry = as_json(Resource(**BASE, mirror="copy.tsv", mirror_release="1"))
    out, fetched, listing = tmp_path / "got" / "copy.tsv", tmp_path / "r.json", tmp_path / "manifest.tsv"
    arguments = ["fetch", "thing", "--settings", entry, "--mirror", tmp_path, "--partial", tmp_path / "p"]
    result = CliRunner().invoke(app, [*map(str, arguments), "--out", str(out), "--record", str(fetched)])
    assert result.exit_code == 0, result.output
    assert result.stdout == "resources fetch: thing, 2 bytes from mirror:copy.tsv, verified by none\n"
    result = CliRunner().invoke(app, ["manifest", str(fetched), "--out", str(listing)])
    assert result.exit_code == 0, result.output
    assert out.read_text() == "x\n"
    assert listing.read_text().splitlines()[1].startswith("thing\tcopy.tsv\t2\t")
