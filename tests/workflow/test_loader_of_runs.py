"""A run whose loader is `soma` is trained from the selection and the store; others are not touched by it."""

import json

import pytest

pytestmark = pytest.mark.slow

STUDY = "config/studies/tiny.yaml"
RUN = ("mlm: { seeds: [0] }", "mlm: { seeds: [0], override: { training: { loader: soma } } }")
MODEL = "results/tiny/pretrain/mlm/0/model.safetensors"
TARGET = (MODEL, "--config", "study=tiny")
SELECTION = {"cells.parquet", "genes.parquet", "features.parquet", "measured.npz", "manifest.json"}


def test_only_the_inputs_of_that_run_change(fresh, tiny):
    before = {job.name: job for job in fresh.jobs(*tiny)}
    fresh.edit(STUDY, *RUN)
    after = {job.name: job for job in fresh.jobs(*tiny)}
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == {"train mlm/0"}
    corpus = "results/tiny/corpus"
    shared = set(before["train mlm/0"].input) - {f"{corpus}/shards/manifest.json"}
    direct = {f"{corpus}/soma", *(f"{corpus}/selection/{name}" for name in SELECTION)}
    assert set(after["train mlm/0"].input) == shared | direct


def test_it_trains_without_shards(fresh):
    fresh.edit(STUDY, *RUN)
    done = fresh.run(*TARGET, "--cores", "1")
    assert done.returncode == 0, done.stdout
    about = json.loads((fresh.folder / MODEL).with_name("config.json").read_text())
    assert about["settings"]["training"]["loader"] == "soma"
    assert not (fresh.folder / "results/tiny/corpus/shards").exists()
    assert fresh.names(*TARGET) == set()
