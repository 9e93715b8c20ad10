"""A toy clone in which six jobs of a study `toy` ran, with Snakemake's records of them."""

import json
from pathlib import Path

import pytest
from toy_archive import EXTERNAL, MODEL, RECORD, REPORT, RESULTS, STORE, record, write

from scfm.archive import Request


@pytest.fixture
def toy(tmp_path) -> Path:
    """The toy clone's top folder."""
    root = tmp_path / "toy"
    for name in ("Snakefile", "README.md", "config/config.yaml", "config/studies/toy.yaml", "src/scfm/__init__.py"):
        write(root, name, f"# {name}\n")
    write(root, "private.txt", "none of the workflow's")
    write(root, EXTERNAL, "cells")
    write(root, f"{EXTERNAL}.record.json", json.dumps(RECORD))
    write(root, f"{STORE}/.snakemake_timestamp", "")
    write(root, f"{STORE}/array/data", "01")
    (root / STORE / "array" / "empty").mkdir()
    write(root, f"{RESULTS}/corpus/shards/manifest.json", "{}")
    write(root, f"{RESULTS}/corpus/shards/shard-0/counts.npy", "counts")
    write(root, MODEL, "weights")
    write(root, REPORT, "<html>")
    write(root, f"{RESULTS}/benchmark/train.tsv", "s\n1\n")
    write(root, f"{RESULTS}/tables/of_another_setting.csv", "a\n1\n")
    shards, scatter = f"{RESULTS}/corpus/shards/manifest.json", f"{RESULTS}/corpus/scatter/part-0"
    record(root, "fetch", [], [EXTERNAL, f"{EXTERNAL}.record.json"], 1, 1000)
    record(root, "build", [EXTERNAL], [STORE], 2, 2000)
    record(root, "scatter", [STORE], [scatter], 3, 3000)
    record(root, "gather", [scatter], [shards], 4, 4000)
    record(root, "train", [shards], [MODEL], 5, 5000)
    record(root, "report", [MODEL, "config/config.yaml"], [REPORT], 6, 6000)
    return root


@pytest.fixture
def request_for():
    """Function: what to pack of the toy clone; keywords replace fields."""

    def make(**changes) -> Request:
        fields = {
            "study": "toy",
            "given": {"study": "toy", "pretrain": {"training": {"epochs": 1}}},
            "targets": (REPORT,),
            "results": RESULTS,
            "timings": f"{RESULTS}/benchmark",
            "temporary": f"{RESULTS}/corpus/scatter",
            "shards": f"{RESULTS}/corpus/shards",
            "with_shards": True,
        }
        return Request(**fields | changes)

    return make
