"""A file of gene vectors is an input of the trainings that read it, and of no other."""

import os

import pytest

MODEL = "results/tiny/pretrain/{}/0/model.safetensors"
OUTPUTS = ("model.safetensors", "config.json", "genes.parquet", "labels.json", "metrics.csv", "gene_errors.parquet")
INPUTS = ("results/tiny/corpus/shards/manifest.json", "results/tiny/corpus/synthetic/annotation/cell_ontology.obo")


@pytest.fixture
def study(fresh):
    """A copy in which run mlm reads vectors; files stand for the models and what they are trained on."""
    override = "mlm: { seeds: [0], override: { model: { input: { gene_vectors: { file: vectors.csv } } } } }"
    fresh.edit("config/studies/tiny.yaml", "mlm: { seeds: [0] }", override)
    models = [MODEL.format(run).replace("model.safetensors", name) for run in ("mlm", "wced_hce") for name in OUTPUTS]
    for age, names in ((3, INPUTS), (2, ["vectors.csv"]), (1, models)):
        for path in (fresh.folder / name for name in names):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{path.name}\n")
            os.utime(path, times=(path.stat().st_mtime - 1000 * age,) * 2)
    return fresh


def test_a_change_of_the_file_trains_the_runs_that_read_it(study):
    targets = [MODEL.format("mlm"), MODEL.format("wced_hce"), "--config", "study=tiny", "--allowed-rules", "train"]
    assert study.names(*targets) == set()
    (study.folder / "vectors.csv").write_text("others\n")
    (job,) = study.jobs(*targets)
    assert job.name == "train mlm/0"
    assert "vectors.csv" in job.input


def test_a_missing_file_is_named_before_anything_runs(study):
    (study.folder / "vectors.csv").unlink()
    (study.folder / MODEL.format("mlm")).unlink()
    done = study.run("all", "--config", "study=tiny", "--dry-run")
    assert done.returncode != 0
    assert "vectors.csv" in done.stdout
