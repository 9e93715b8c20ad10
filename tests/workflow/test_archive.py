"""`snakemake archive` on the finished study: unpacked at another path, nothing reruns but what an edit touches."""

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from clone import Clone, clone
from test_reruns import EDITS, MLM, SELECTED

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("archive")]

DEMO = ("results/demo/resources/manifest.tsv", "--config", "study=demo")


@pytest.fixture(scope="module")
def archive(finished, tmp_path_factory, tiny) -> Path:
    """The archive of the finished study."""
    copy = finished.copy(tmp_path_factory.mktemp("archive") / "clone")
    done = copy.run("archive", *tiny[1:], "--cores", "1")
    assert done.returncode == 0, done.stdout
    assert re.search(r"^archive pack: [\d,]+ files, [\d,]+ bytes in results/tiny.tar$", done.stdout, re.M)
    return copy.folder / "results" / "tiny.tar"


@pytest.fixture
def unpacked(archive, tmp_path) -> Clone:
    """A fresh clone, newer than the results, in which the archive was unpacked."""
    fresh = clone(tmp_path / "other" / "place")
    now = time.time()
    for path in fresh.folder.rglob("*"):
        os.utime(path, (now, now))
    subprocess.run(["tar", "--skip-old-files", "-xf", archive], cwd=fresh.folder, check=True)
    return fresh


def test_nothing_reruns_and_the_checksums_agree(unpacked, tiny):
    assert unpacked.jobs(*tiny) == []
    assert unpacked.jobs("all", "--configfile", "results/tiny/config.yaml") == []
    assert unpacked.jobs(*tiny, "work=elsewhere") == []
    assert subprocess.run(["sha256sum", "--quiet", "-c", "manifest-sha256.txt"], cwd=unpacked.folder).returncode == 0
    # By the checksums of inputs, and not by luck: the settings and notebooks are newer than what was made of them.
    made = (unpacked.folder / "results/tiny/figures/figure3/figure3.png").stat().st_mtime
    assert (unpacked.folder / "notebooks/figure3.ipynb").stat().st_mtime > made


def test_no_clone_is_needed(archive, tmp_path, tiny):
    (tmp_path / "empty").mkdir()
    subprocess.run(["tar", "-xf", archive], cwd=tmp_path / "empty", check=True)
    assert Clone(tmp_path / "empty").jobs(*tiny) == []


@pytest.mark.parametrize("what", ["learning rate of one run", "resolution of the figures", "notebook", "claim"])
def test_an_edit_reruns_only_its_chain(unpacked, tiny, what):
    *edit, expected = EDITS[what]
    unpacked.edit(*edit)
    assert unpacked.names(*tiny) == expected


def test_figures_are_made_again_without_training(unpacked, tiny):
    shutil.rmtree(unpacked.folder / "results/tiny/figures")
    done = unpacked.run("figures", *tiny[1:], "--cores", "1")
    assert done.returncode == 0, done.stdout
    assert set(re.findall(r"^(?:local)?rule (\w+):", done.stdout, re.M)) == {"figure2", "figure3", "figures"}
    assert {path.name for path in (unpacked.folder / "results/tiny/figures").glob("*/*.png")} == {
        "figure2.png",
        "figure3.png",
    }
    assert unpacked.names(*tiny) <= {"report"}


@pytest.mark.long
def test_without_shards_training_says_how_to_make_them_again(unpacked, tiny):
    folder = unpacked.folder / "results/tiny/corpus/shards"
    counts = next(folder.glob("*/counts.npy")).read_bytes()
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix in (".parquet", ".npz"):
            path.unlink()
    assert unpacked.jobs(*tiny) == []
    # The edit is one that changes the model and nothing on the way to it.
    unpacked.edit(*EDITS["learning rate of one run"][:3])
    assert unpacked.names(*tiny) == EDITS["learning rate of one run"][3]
    train = ("results/tiny/pretrain/mlm/0/metrics.csv", *tiny[1:], "--cores", "1")
    done = unpacked.run(*train)
    sentences = set(re.findall(r"^scfm: error: (.+)$", done.stdout, re.M))
    assert len(sentences) == 1, done.stdout
    advice = re.search(r"make them again with 'snakemake (.+)' and the study's --config", sentences.pop())[1]
    done = unpacked.run(*shlex.split(advice), *tiny[1:], "--cores", "1")
    assert done.returncode == 0, done.stdout
    assert next(folder.glob("*/counts.npy")).read_bytes() == counts
    assert unpacked.names(*tiny) == MLM | {"table1", "run_settings mlm"}
    assert unpacked.run(*train).returncode == 0


def test_without_scatter_a_new_selection_is_still_possible(unpacked, tiny):
    unpacked.edit(*EDITS["quality threshold of genes"][:3])
    assert unpacked.names(*tiny) == SELECTED


def commands(clone, target, *given):
    """Commands of all jobs, in alphabetic order."""
    done = clone.run(target, "--dry-run", "--printshellcmds", *given)
    assert done.returncode == 0, done.stdout
    return sorted(re.findall(r"python -m scfm .*", done.stdout))


def test_shards_of_the_paper_study_stay_where_they_are(fresh):
    def pack(study):
        return next(line for line in commands(fresh, "archive", "--config", study) if "archive pack" in line)

    assert "--without-shards" in pack("study=paper")
    assert "--with-shards" in pack("study=tiny")


def test_what_was_given_is_a_file_that_makes_the_same_study(fresh):
    given = ("--config", "study=tiny", "device=cpu", "pretrain={training: {epochs: 1, precision: bf16-mixed}}")
    line = next(line for line in commands(fresh, "archive", *given, "work=elsewhere") if "archive pack" in line)
    words = shlex.split(line)
    settings = json.loads(words[words.index("--given") + 1])
    assert set(settings) == {"study", "device", "pretrain"}  # where unfinished work lies is nobody else's business
    (fresh.folder / "given.yaml").write_text(yaml.safe_dump(settings))
    assert commands(fresh, "all", "--configfile", "given.yaml") == commands(fresh, "all", *given)


def test_the_bundled_dataset_and_folders_of_this_machine_are_no_reason_to_rerun(fresh, tmp_path):
    done = fresh.run(*DEMO, "--cores", "1")
    assert done.returncode == 0, done.stdout
    moved = fresh.copy(tmp_path / "moved")
    assert moved.jobs(*DEMO) == []
    # A mirror that is not there, and another work folder: nothing has to be fetched.
    assert moved.jobs(*DEMO, "mirror=no/such/folder", "work=elsewhere") == []


def test_a_mirror_is_needed_only_to_fetch(fresh, tmp_path):
    (tmp_path / "mirror").mkdir()
    given = ("--config", "study=mini")
    fetches = [job for job in fresh.jobs("all", *given, f"mirror={tmp_path / 'mirror'}") if job.rule == "fetch"]
    done = fresh.run("all", *given, "mirror=no/such/folder", "--dry-run")
    assert "scfm: error: no/such/folder: mirror folder not found; check the path\n" in done.stdout
    for path in [path for job in fetches for path in job.output]:
        (fresh.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (fresh.folder / path).touch()
    jobs = fresh.jobs("all", *given, "mirror=no/such/folder")
    assert jobs
    assert not [job for job in jobs if job.rule == "fetch"]
