"""Everything that docs/objectives.md says to write is written in a copy of the repository, and used there."""

import os
import re
import shutil
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pandas as pd
import pytest
from clone import ROOT, clone

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("objectives page")]

PAGE = (ROOT / "docs" / "objectives.md").read_text()
TRAINING = """
import sys
from pathlib import Path

import anndata
import numpy as np
import torch

import scfm
from scfm.models.bmfm.label_losses import robust_sum
from scfm.pretrain.train import train
from scfm.settings import read_yaml
from scfm.study import Study

shards, obo, cells, out = map(Path, sys.argv[1:])
study = Study(read_yaml("config/config.yaml") | {"study": "tiny"}, Path("config"))
assert study.runs["mlm_norm"].model.encoder.embedding_norm
for name in ("wced_robust", "wced_deepset"):
    train(study.runs[name], f"{name}/0", 0, shards, obo, out / "work", out / name, 0)
    model = scfm.load(out / name, "cpu")
    probabilities = model.node_probabilities(anndata.read_h5ad(cells))
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
assert model.about["settings"]["model"]["encoder"]["backbone"] == "deepset"

logits, classes = torch.randn(50, 4), torch.arange(50) % 5 - 1
total, count = robust_sum(logits, classes, 0.7)
known = [(row.softmax(0)[label], label) for row, label in zip(logits, classes) if label >= 0]
assert count == len(known) == 40
torch.testing.assert_close(total, sum((1 - p**0.7) / 0.7 for p, _ in known))
"""


def blocks(language, section=PAGE):
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", section, re.M | re.S)


def part(heading):
    return PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]


def file_of(block):
    """Name that a block begins with, and the rest of it; None for a block that is no file."""
    name = re.match(r"# (\S+\.(?:py|yaml))\n", block)
    return (name[1], block[name.end() :]) if name else None


def hunks(lines):
    """Texts before and after, from lines with - and +."""
    groups = [(sign, "\n".join(line[1:] for line in own)) for sign, own in groupby(lines, key=lambda line: line[0])]
    assert [sign for sign, _ in groups] == ["-", "+"] * (len(groups) // 2)
    return [(before, after) for (_, before), (_, after) in zip(groups[::2], groups[1::2], strict=True)]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The repository with all of the page done to it."""
    changed = clone(tmp_path_factory.mktemp("page") / "clone")
    for name, text in filter(None, map(file_of, blocks("yaml") + blocks("python"))):
        assert not (changed.folder / name).exists()
        (changed.folder / name).write_text(text)
    for name, text in map(file_of, blocks("diff")):
        for before, after in hunks(text.splitlines()):
            changed.edit(name, before, after)
    return changed


@pytest.fixture
def do(copy):
    """Function that runs a command in the copy, with its library."""

    def run(command, folder=copy.folder):
        here = {"PYTHONPATH": str(copy.folder / "src"), "OMP_NUM_THREADS": "1", "PYTEST_ADDOPTS": ""}
        here |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST")} | here
        done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_the_new_backbone_does_what_every_backbone_must(do):
    (command,) = blocks("bash", part("A backbone"))
    printed = do(["bash", "-ec", command])
    assert re.search(r"[1-9]\d passed", printed)


def test_new_runs_train_and_annotate(do, toy_shards, toy_obo, toy_adata, tmp_path):
    toy_adata.write_h5ad(tmp_path / "cells.h5ad")
    do([sys.executable, "-c", TRAINING, toy_shards, toy_obo, tmp_path / "cells.h5ad", tmp_path])


def test_new_names_are_known_to_the_workflow(copy):
    study = ("--config", "study=tiny")
    names = copy.names("ablations", *study)
    assert {f"train {name}/0" for name in ("mlm_norm", "wced_robust", "wced_deepset")} <= names
    copy.edit("config/studies/tiny.yaml", "  random: {", "  wced_slow: { seeds: [0] }\n  random: {")
    assert "train wced_slow/0" in copy.names("all", *study)


def test_vectors_made_elsewhere_are_benchmarked(do, results, tmp_path):
    # The commands name files of the default study; here, those of the finished one stand in their places.
    for own, name in (
        ("datasets/synthetic_holdout.h5ad", "datasets/pbmc68k_reduced.h5ad"),
        ("probe/wced_hce/0.csv", "probe/wced/0.csv"),
    ):
        target = tmp_path / "results/demo/benchmarks" / name
        target.parent.mkdir(parents=True)
        shutil.copy(results / "benchmarks" / own, target)
    (code,), (commands,) = blocks("python", part("A system")), blocks("bash", part("A system"))
    do([sys.executable, "-c", code], tmp_path)
    do(["bash", "-ec", commands], tmp_path)
    table = pd.read_csv(tmp_path / "macro_f1.csv")
    assert {"mine", "wced_hce"} <= set(table.run)
