"""Bad input through Snakemake itself: it ends, with exactly one sentence that says what is wrong."""

import re

import anndata
import pytest

STUDY = "config/studies/tiny.yaml"
HOLDOUT = "results/tiny/corpus/synthetic/synthetic_holdout.h5ad"


def complaint(clone, *arguments):
    """The one sentence of a run that must fail, and what was printed."""
    done = clone.run(*arguments, "--cores", "2")
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stdout
    # A failed job's log is shown once more at its end.
    sentences = set(re.findall(r"^scfm: error: (.+)$", done.stdout, re.M))
    assert len(sentences) == 1, done.stdout
    return sentences.pop()


def files(clone):
    """Everything under the folder of results, without its note."""
    folder = clone.folder / "results"
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"README.md"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("studdy=tiny", "config.yaml or --config: unknown key 'studdy'; did you mean 'study'?"),
        ("device=tpu", "config.yaml or --config: key 'device': Input should be 'auto', 'cpu' or 'gpu', got 'tpu'"),
        ("threads=many", "config.yaml or --config: key 'threads': Input should be a valid integer"),
        ("study=huge", "study: 'huge' does not exist; choose one of demo, mini, "),
        ("results=LICENSE/results", "results: 'LICENSE/results' cannot be made, since "),
        ("work=LICENSE", "work: 'LICENSE' cannot be made, since "),
    ],
)
def test_bad_command_line(fresh, given, expected):
    assert expected in complaint(fresh, "all", "--config", "study=tiny", given)
    assert files(fresh) == set()


def test_wrong_mirror(fresh):
    given = ("study=mini", "mirror=no/such/folder")
    assert complaint(fresh, "all", "--config", *given).startswith("no/such/folder: mirror folder not found")
    assert files(fresh) == set()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("min_counts:", "min_count:", "unknown key 'corpus.qc.min_count'; did you mean 'min_counts'?"),
        ("cells: 600", "cells: six hundred", "key 'corpus.source.synthetic.cells': Input should be a valid integer"),
        ("fraction: 0.3", "fraction: 1.3", "key 'corpus.split.fraction': Input should be less than 1, got 1.3"),
        ("  mlm: {", "  mlmm: {", "run 'mlmm' does not exist; choose among cellplm, lingshu, "),
        ("check_run: wced_hce", "check_run: wced", "check_run 'wced' is not among the runs"),
        ("learning_rate:", "learning_rat:", "unknown key 'training.learning_rat'; did you mean 'learning_rate'?"),
        ("classifiers: [lr]", "classifiers: [tree]", "key 'probe.classifiers.0': Input should be "),
        ("synthetic_holdout:", "holdout:", "dataset 'holdout' is not in "),
        ("description:", "description", "not valid YAML"),
    ],
)
def test_bad_study_file(fresh, old, new, expected):
    fresh.edit(STUDY, old, new)
    sentence = complaint(fresh, "all", "--config", "study=tiny")
    assert expected in sentence
    assert ".yaml" in sentence
    assert files(fresh) == set()


def test_file_missing_in_mirror(fresh, tmp_path):
    (tmp_path / "mirror").mkdir()
    given = ("--config", "study=mini", f"mirror={tmp_path / 'mirror'}")
    fetch = next(job for job in fresh.jobs("all", *given) if job.wildcards.get("resource") == "housekeeping")
    sentence = complaint(fresh, fetch.output[0], *given)
    assert sentence.startswith(f"{tmp_path / 'mirror'}/")
    assert "resource 'housekeeping' is missing in the mirror" in sentence
    assert files(fresh) == set()


@pytest.fixture
def broken(edited):
    """Function that gives all cells of the held-out dataset one value of columns."""

    def run(*columns):
        adata = anndata.read_h5ad(edited.folder / HOLDOUT)
        for column in columns:
            adata.obs[column] = str(adata.obs[column].iloc[0])
        adata.write_h5ad(edited.folder / HOLDOUT)
        return edited

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "task", "expected"),
    [
        (("cell_type", "cell_type_ontology_term_id"), "integration", "1 known cell type where integration needs two"),
        (("cell_type", "cell_type_ontology_term_id"), "probe", "1 class with 10 cells or more where the probe needs"),
        (("batch",), "integration", "holds the single batch 'batch_0' where integration needs two"),
    ],
)
def test_dataset_of_one_class_or_batch(broken, columns, task, expected):
    clone = broken(*columns)
    target = f"results/tiny/benchmarks/{task}/pca/0.csv"
    sentence = complaint(clone, target, "--config", "study=tiny")
    assert "synthetic_holdout" in sentence
    assert expected in sentence
    # What stood there was of another input; nothing unfinished stands there now, under whatever name.
    if columns != ("batch",):  # then the dataset itself cannot be prepared, and the scores are never begun
        assert not (clone.folder / target).exists()
    assert not [p for p in (clone.folder / "results").rglob(".*") if p.name != ".snakemake_timestamp"]


def test_bad_settings_stop_a_dry_run_too(fresh):
    done = fresh.run("all", "--dry-run", "--config", "study=tiny", "nonsense=1")
    assert done.returncode == 1
    assert "unknown key 'nonsense'" in done.stdout


def test_what_the_study_says_reaches_the_commands(fresh):
    fresh.edit(
        STUDY, "synthetic_holdout: { role: benchmark }", "synthetic_holdout: { role: benchmark, tasks: [probe] }"
    )
    fresh.edit(STUDY, "mlm: { seeds: [0] }", "mlm: { seeds: [2, 3] }")
    fresh.edit(STUDY, "wced_hce: { seeds: [0] }", "wced_hce: { seeds: [1, 3] }")
    done = fresh.run("all", "--dry-run", "--printshellcmds", "--config", "study=tiny", "device=cpu")
    assert done.returncode == 0, done.stdout
    assert re.search(r'"first": ?"mlm".*"second": ?"wced_hce".*"seed": ?3\b', done.stdout)
    embeds = [line for line in done.stdout.splitlines() if "scfm benchmarks embed" in line]
    assert embeds
    assert all("--device cpu " in line for line in embeds)
    assert "benchmarks probe" in done.stdout
    assert "benchmarks ontology" not in done.stdout


def test_a_dataset_of_no_task_is_given_none(fresh):
    fresh.edit(STUDY, "synthetic_holdout: { role: benchmark }", "synthetic_holdout: { role: benchmark, tasks: [] }")
    rules = {job.rule for job in fresh.jobs("all", "--config", "study=tiny")}
    assert "prepare" in rules
    assert not rules & {"integration", "probe", "ontology"}
