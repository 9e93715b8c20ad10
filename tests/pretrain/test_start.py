"""A training that begins with the weights of another run, on some of the corpus's cells."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from scfm.errors import ScfmError
from scfm.files import write_json
from scfm.model_card import model_card
from scfm.pretrain.settings import parse_run
from scfm.pretrain.train import train

DONORS = np.array([f"donor{i % 12:02d}" for i in range(240)])
TISSUE = np.where(np.arange(240) % 12 < 8, "blood", "lung")
SMALL = {"epochs": 2, "batch_cells": 24, "validation_cells": 24, "accumulate": 1, "learning_rate": 3e-3}
SMALL |= {"warmup_steps": 0, "precision": "32-true", "workers": 0}
SETS = {"sets": {"by": ["dataset", "donor"], "cells": 6}}
MODELS = {
    "cellplm": SETS
    | {
        "encoder": {"layers": 1, "hidden": 16, "heads": 2, "ffn": 16, "gene_std": 0.3},
        "latent": {"kind": "mixture", "width": 8, "components": 4},
        "decoder": {"hidden": 16, "bottleneck": 8},
    },
    "pulsar": {
        "cells": {"run": "wced", "pooling": "mean"},
        "width": 16,
        "sampling": {"cells": 12, "replacement": False},
        "transformer": {"hidden": 16, "heads": 2, "ffn": 16, "encoder_layers": 1, "decoder_layers": 1},
        "masking": {"hidden": 8, "programs": 3},
    },
    "stack": SETS | {"transformer": {"modules": 4, "width": 4, "layers": 1, "heads": 2, "set_heads": 2, "ffn": 8}},
}


def run_of(system, first=None, cells=None, model=None, **training):
    data = {"system": system, "model": MODELS[system] | (model or {}), "training": SMALL | training}
    data |= {"start": {"run": first}} if first else {}
    return parse_run(data | ({"cells": cells} if cells else {}), system)


BLOOD = {"column": "tissue", "values": ["blood"]}
AT_ONCE = {"epochs": 1, "learning_rate": 1e-12}
"""A training that hardly moves a weight."""


@pytest.fixture(scope="module")
def place(tmp_path_factory, write_toy_shards):
    """Shards, vectors of their cells, and a model of each system called `first`."""
    folder = tmp_path_factory.mktemp("start")
    condition = np.array(["control", "drug"])[np.arange(240) % 2]
    write_toy_shards(folder / "shards", donor_id=DONORS, tissue=TISSUE, condition=condition)
    np.save(folder / "vectors.npy", np.random.default_rng(0).normal(size=(240, 16)).astype(np.float32))
    for system in MODELS:
        fit(folder, run_of(system), "first", folder / system)
    return folder


def fit(place, run, name, out, start=None, seed=0):
    vectors = place / "vectors.npy" if run.model.cell_encoder else None
    work = out.parent / f"{out.name}-work"
    shards = place / "shards"
    train(run, f"{name}/{seed}", seed, shards, None, work, out, 0, vectors_path=vectors, start_path=start)
    return load_file(out / "model.safetensors")


@pytest.mark.parametrize("system", MODELS)
def test_a_training_begins_with_the_weights_and_takes_its_cells_alone(system, place, tmp_path, capsys):
    before = load_file(place / system / "model.safetensors")
    run = run_of(system, "first", BLOOD, **AT_ONCE)
    after = fit(place, run, "blood", tmp_path / "blood", place / system, seed=5)
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, atol=1e-6, rtol=1e-6)
    assert "blood/5: begins with the weights of 'first', seed 0\n" in capsys.readouterr().err
    about = json.loads((tmp_path / "blood" / "config.json").read_text())
    assert about["train_cells"] == (TISSUE[:192] == "blood").sum()
    assert about["validation_cells"] == (TISSUE[192:] == "blood").sum()
    assert about["settings"]["start"] == {"run": "first"}
    random = fit(place, run_of(system, None, BLOOD, **AT_ONCE), "random", tmp_path / "random", seed=5)
    assert max((random[name].float() - before[name].float()).abs().max() for name in before) > 1e-2


@pytest.mark.parametrize("system", MODELS)
def test_other_weights_to_begin_with_are_another_training(system, place, tmp_path):
    run = run_of(system, "first", BLOOD)
    one = fit(place, run, "blood", tmp_path / "blood", place / system)
    again = fit(place, run, "blood", tmp_path / "blood", place / system)  # from its checkpoint
    assert all(torch.equal(one[name], again[name]) for name in one)
    fit(place, run_of(system, learning_rate=1e-3), "first", tmp_path / "other")
    other = fit(place, run, "blood", tmp_path / "blood", tmp_path / "other")
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert len(list((tmp_path / "blood-work").glob("**/*.ckpt"))) == 2


def test_other_vectors_are_another_training(place, tmp_path):
    one = fit(place, run_of("pulsar"), "p", tmp_path / "p")
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "shards").symlink_to(place / "shards")
    np.save(moved / "vectors.npy", 2 * np.load(place / "vectors.npy"))
    other = fit(moved, run_of("pulsar"), "p", tmp_path / "p")
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_second_phase_begins_with_the_first_and_its_own_parts_are_new(place, tmp_path, capsys):
    prompted = {"sets": {"by": ["dataset"], "cells": 24}, "prompt": {"rows": 12}}
    run = run_of("stack", "first", model=prompted, **AT_ONCE)
    after = fit(place, run, "prompted", tmp_path / "prompted", place / "stack")
    before = load_file(place / "stack" / "model.safetensors")
    line = capsys.readouterr().err
    own = [name for name in after if name not in before]
    assert f"not in them, hence new: prompting ({len(own)})" in line
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, atol=1e-6, rtol=1e-6)
        if name.startswith("encoder."):  # whose copy the teacher starts as
            torch.testing.assert_close(after[f"prompting.teacher.{name.removeprefix('encoder.')}"], tensor)
    fit(place, run_of("stack", "prompted", **AT_ONCE), "back", tmp_path / "back", tmp_path / "prompted")
    assert f"not taken: prompting ({len(own)})" in capsys.readouterr().err
    card = model_card(tmp_path / "prompted")
    assert "Began with the weights of the run `first`" in card


def test_a_card_says_which_cells_were_taken(place, tmp_path):
    fit(place, run_of("cellplm", None, BLOOD, **AT_ONCE), "blood", tmp_path / "blood")
    assert "Of these only cells whose `tissue` is blood." in model_card(tmp_path / "blood")


@pytest.mark.parametrize(
    ("system", "start", "first", "model", "fault"),
    [
        ("cellplm", "cellplm", "other", {}, "is a model of run 'first', but start names 'other'"),
        ("cellplm", "stack", "first", {}, "is a model of the system 'stack', and weights for 'cellplm' are needed"),
        ("cellplm", "nowhere", "first", {}, r"model\.safetensors: part of the model directory to begin with not found"),
        ("cellplm", None, "first", {}, "name its model with --start"),
        ("cellplm", "cellplm", None, {}, "but start names no run"),
        (
            "cellplm",
            "cellplm",
            "first",
            {"latent": {"kind": "mixture", "width": 4, "components": 4}},
            r"has the shape \(.*8.*\) there and \(.*4.*\) here; give both runs the same sizes",
        ),
    ],
)
def test_a_start_that_does_not_fit_is_told_in_a_sentence(system, start, first, model, fault, place, tmp_path):
    with pytest.raises(ScfmError, match=fault):
        fit(place, run_of(system, first, model=model), "r", tmp_path / "r", place / start if start else None)
    assert not (tmp_path / "r").exists()


def test_a_start_of_other_genes_or_labels_is_told_in_a_sentence(place, tmp_path, write_toy_shards):
    folder = shutil.copytree(place / "cellplm", tmp_path / "first")
    genes = pd.read_parquet(folder / "genes.parquet")
    genes.iloc[::-1].to_parquet(folder / "genes.parquet")
    with pytest.raises(ScfmError, match="its 40 genes are not the 40 of this corpus in their order"):
        fit(place, run_of("cellplm", "first"), "r", tmp_path / "r", folder)
    genes.to_parquet(folder / "genes.parquet")
    about = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", about | {"datasets": 3})
    with pytest.raises(ScfmError, match=r"'datasets' in config\.json is another"):
        fit(place, run_of("cellplm", "first"), "r", tmp_path / "r", folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ScfmError, match="the model directory is damaged"):
        fit(place, run_of("cellplm", "first"), "r", tmp_path / "r", folder)
    heads = {"heads": [{"label": "tissue", "hidden": 8}]}
    fit(place, run_of("pulsar", model=heads), "first", tmp_path / "p")
    labels = json.loads((tmp_path / "p" / "labels.json").read_text())
    write_json(tmp_path / "p" / "labels.json", labels | {"tissue": {"classes": ["lung", "blood"]}})
    with pytest.raises(ScfmError, match="label group 'tissue' has 2 labels there and 2 others here"):
        fit(place, run_of("pulsar", "first", model=heads), "r", tmp_path / "r", tmp_path / "p")


def test_a_control_begins_with_no_other_run():
    with pytest.raises(ScfmError, match="a run with random weights begins with no other"):
        parse_run({"system": "stack", "trained": False, "start": {"run": "stack"}, "model": {}}, "random_stack")
