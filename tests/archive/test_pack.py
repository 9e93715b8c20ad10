"""Which files an archive holds, in which form, and what stops it."""

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml
from toy_archive import EXTERNAL, MODEL, REPORT, RESULTS, STORE, record, write

from scfm.archive import pack
from scfm.archive.workflow import workflow_digest, workflow_files
from scfm.errors import ScfmError

ROOT = Path(__file__).parents[2]
OUT = "results/toy.tar"
SHARD = f"{RESULTS}/corpus/shards/shard-0/counts.npy"


@pytest.fixture
def packed(toy, request_for):
    """Function: pack the toy clone and return its entries by name."""

    def run(**changes) -> dict[str, tarfile.TarInfo]:
        pack(request_for(**changes), toy / OUT, toy)
        with tarfile.open(toy / OUT) as tar:
            return {entry.name: entry for entry in tar}

    return run


def refused(toy, request, message):
    """The archive is refused with a sentence, and nothing of it is left."""
    with pytest.raises(ScfmError, match=message):
        pack(request, toy / OUT, toy)
    assert not list((toy / "results").glob("*.tar"))
    assert not [path for path in (toy / "results").iterdir() if path.name.startswith(".")]


def test_it_holds_what_the_results_stem_from_and_nothing_else(packed):
    files = {name for name, entry in packed().items() if entry.isfile()}
    records = {name for name in files if name.startswith(".snakemake/")}
    logs = {f"logs/toy/{rule}.log" for rule in ("fetch", "build", "scatter", "gather", "train", "report")}
    assert files - records - logs == {
        *("Snakefile", "README.md", "config/config.yaml", "config/studies/toy.yaml", "src/scfm/__init__.py"),
        *(EXTERNAL, f"{EXTERNAL}.record.json", f"{STORE}/.snakemake_timestamp", f"{STORE}/array/data"),
        *(f"{RESULTS}/corpus/shards/manifest.json", SHARD, MODEL, REPORT, f"{RESULTS}/benchmark/train.tsv"),
        *(f"{RESULTS}/config.yaml", "ro-crate-metadata.json", "manifest-sha256.txt"),
    }
    assert logs <= files
    assert len(records) == 7  # of every output, that of the deleted scatter included


def test_folders_of_an_output_are_there_even_if_empty(packed):
    entries = packed()
    assert entries[f"{STORE}/array/empty"].isdir()
    assert entries[".snakemake/incomplete"].isdir()


def test_times_are_kept_and_owners_are_not(packed, toy):
    entries = packed()
    assert entries[MODEL].mtime == (toy / MODEL).stat().st_mtime == 1_700_000_000.25
    assert {(entry.uid, entry.gid, entry.uname, entry.gname) for entry in entries.values()} == {(0, 0, "", "")}


def test_the_same_results_give_the_same_bytes(packed, toy):
    packed()
    first = (toy / OUT).read_bytes()
    packed()
    assert (toy / OUT).read_bytes() == first
    write(toy, REPORT, "<html lang=en>")
    packed()
    assert (toy / OUT).read_bytes() != first


def test_checksums_are_those_of_the_files(packed, toy, tmp_path):
    packed()
    shutil.unpack_archive(toy / OUT, tmp_path / "unpacked", filter="data")
    lines = (tmp_path / "unpacked" / "manifest-sha256.txt").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    there = {p.relative_to(tmp_path / "unpacked") for p in (tmp_path / "unpacked").rglob("*") if p.is_file()}
    assert set(sums) == {str(path) for path in there} - {"manifest-sha256.txt"}
    for name, digest in sums.items():
        assert hashlib.sha256((tmp_path / "unpacked" / name).read_bytes()).hexdigest() == digest
    assert (
        subprocess.run(["sha256sum", "--quiet", "-c", "manifest-sha256.txt"], cwd=tmp_path / "unpacked").returncode == 0
    )


def test_the_given_settings_are_a_file_for_snakemake(packed, toy):
    packed()
    with tarfile.open(toy / OUT) as tar:
        text = tar.extractfile(f"{RESULTS}/config.yaml").read().decode()
    assert yaml.safe_load(text) == {"study": "toy", "pretrain": {"training": {"epochs": 1}}}
    assert text.startswith(f"# snakemake all --cores 1 --configfile {RESULTS}/config.yaml\n")


def test_shards_can_be_left_out(packed):
    names = packed(with_shards=False)
    assert SHARD not in names
    assert f"{RESULTS}/corpus/shards/manifest.json" in names


def test_outputs_of_an_earlier_form_of_a_job_are_no_results(packed, toy):
    write(toy, f"{RESULTS}/pretrain/mlm/0/old.csv", "a\n")
    record(toy, "train", [], [f"{RESULTS}/pretrain/mlm/0/old.csv"], 99, 10)
    assert f"{RESULTS}/pretrain/mlm/0/old.csv" not in packed()


def test_a_folder_outside_the_clone(toy, request_for):
    refused(toy, request_for(results="/data/toy"), "results: '/data/toy' is no folder of the clone")


def test_a_result_without_record(toy, request_for):
    shutil.rmtree(toy / ".snakemake")
    refused(toy, request_for(), f"{REPORT}: Snakemake has no record of it")


def test_a_record_of_another_form(toy, request_for):
    write(toy, ".snakemake/metadata/YQ==", "{}")
    refused(toy, request_for(), r"YQ==: not a record of Snakemake \(KeyError\)")


def test_an_input_of_unknown_origin(toy, request_for):
    record(toy, "report", [MODEL, "/elsewhere/cells.h5ad"], [REPORT], 7, 7000)
    refused(toy, request_for(), "/elsewhere/cells.h5ad: neither made by a job nor part of the workflow")


def test_a_result_that_is_gone(toy, request_for):
    (toy / MODEL).unlink()
    refused(toy, request_for(), f"{MODEL}: is gone, though other results stem from it; make it again with 'snakemake")


def test_a_file_that_vanishes_while_it_is_packed(toy, request_for, monkeypatch):
    add = tarfile.TarFile.addfile

    def vanish(*arguments):
        (toy / REPORT).unlink(missing_ok=True)
        add(*arguments)

    monkeypatch.setattr("tarfile.TarFile.addfile", vanish)
    refused(toy, request_for(), r"report.html: cannot be read any more \(No such file or directory\)")


def test_a_full_disk(toy, request_for, monkeypatch):
    opened = tarfile.open

    def full(path, mode, **options):
        Path(path).symlink_to("/dev/full")  # takes no byte
        return opened(path, mode, **options)

    monkeypatch.setattr("tarfile.open", full)
    refused(toy, request_for(), r"toy.tar: cannot be written \(No space left on device\); free some space or choose")


def test_workflow_files_are_those_of_the_repository():
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    known = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert workflow_files(ROOT) == sorted(name for name in known if (ROOT / name).is_file())


def test_workflow_files_are_not_what_tools_and_sites_leave(toy):
    before = workflow_files(toy)
    digest = workflow_digest(toy)
    for name in ("src/scfm/__pycache__/a.pyc", "src/scfm.egg-info/PKG-INFO", "slurm/partitions.yaml", "notes.txt"):
        write(toy, name, "x")
    assert workflow_files(toy) == before
    assert workflow_digest(toy) == digest
    write(toy, "config/studies/mine.yaml", "x")
    assert set(workflow_files(toy)) - set(before) == {"config/studies/mine.yaml"}
    assert workflow_digest(toy) != digest
