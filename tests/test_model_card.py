"""The model card: front matter as YAML, and every number against the files of the directory."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

import scfm
from scfm.errors import ScfmError
from scfm.files import write_json
from scfm.model_card import model_card


def front(card):
    _, text, body = card.split("---\n", 2)
    return yaml.safe_load(text), body


def test_front_matter_is_what_the_hub_reads(toy_model):
    found, _ = front(model_card(toy_model, "cc-by-4.0", "hf:lab/toy", ["lab/cells"]))
    tags = ["biology", "single-cell", "transcriptomics", "wced"]
    assert found == {"license": "cc-by-4.0", "library_name": "scfm", "tags": tags, "datasets": ["lab/cells"]}
    without, body = front(model_card(toy_model))
    assert "license" not in without
    assert "datasets" not in without
    assert "None is given yet" in body
    assert "does not record its datasets" in body


def test_numbers_are_those_of_the_files(toy_model):
    _, body = front(model_card(toy_model, "mit", "hf:lab/toy"))
    about = json.loads((toy_model / "config.json").read_text())
    genes, metrics = pd.read_parquet(toy_model / "genes.parquet"), pd.read_csv(toy_model / "metrics.csv")
    tree = json.loads((toy_model / "labels.json").read_text())["cell_type"]
    training = about["settings"]["training"]
    assert f"{about['parameters']:,} parameters" in body
    assert f"{about['train_cells']:,} cells, validation on {about['validation_cells']:,} others" in body
    assert f"{len(genes):,} genes" in body
    assert f"{training['epochs']} epochs, {about['updates']:,} updates" in body
    assert f"precision `{training['precision']}`, seed {about['seed']}" in body
    last = metrics[metrics["epoch"] == about["weights_of_epoch"]].iloc[0]
    for name in ("validate_value", "validate_is_zero", "validate_cell_type_hce"):
        assert f"| `{name}` | {last[name]:.6g} |" in body
    assert f"{len(tree['names']):,} terms, 2 of them leaves" in body
    assert "WCED" in body
    assert "hierarchical cross-entropy" in body
    assert 'scfm.from_pretrained("hf:lab/toy")' in body
    assert "not calibrated" in body


def test_a_control_says_that_it_is_one(toy_plain_model):
    found, body = front(model_card(toy_plain_model, "mit"))
    assert found["tags"][-1] == "mlm"
    assert "Its weights are random" in body
    assert "None; weights drawn with seed 3" in body
    assert "names no types" in body
    assert "calibrated" not in body


def test_a_calibrated_model_says_on_what(toy_model, tmp_path):
    folder = shutil.copytree(toy_model, tmp_path / "m")
    write_json(folder / "calibration.json", {"temperature": 1.25, "cells": 1234})
    assert "calibrated on 1,234 cells, temperature 1.250" in model_card(folder)


def test_a_fine_tuned_model_says_from_what(toy_model, toy_adata, tmp_path):
    out = tmp_path / "tuned"
    tuned = scfm.finetune(toy_adata, toy_model, "type", out, training={"epochs": 2}, verbose=False)
    _, body = front(model_card(out, "mit"))
    kept = pd.read_csv(out / "metrics.csv").query("kept").iloc[0]
    assert "Fine-tuned from the run `toy_hce`, seed 0, on the column `type`" in body
    held_out = tuned.about["finetuned"]["held_out"]["cells"]
    assert f"Fine-tuning: {len(toy_adata) - held_out} cells, {held_out} others held out" in body
    assert f"| `dev_loss` | {kept['dev_loss']:.6g} |" in body
    assert f"{sum(p.numel() for p in tuned.network.parameters()):,} parameters" in body
    assert "at most 2 epochs" in body
    assert "may share donors" in body


def test_a_model_of_numbers_says_what_it_predicts_and_how_well(toy_model, toy_adata, tmp_path):
    toy_adata.obs["age"] = np.linspace(20, 60, len(toy_adata)) + 0.5
    out = tmp_path / "tuned"
    tuned = scfm.finetune(toy_adata, toy_model, "age", out, training={"epochs": 2}, verbose=False)
    _, body = front(model_card(out, "mit"))
    found, target = tuned.about["finetuned"]["held_out"], tuned.about["target"]
    assert f"| `r2` | {found['r2']:.6g} |" in body
    assert f"| `mae` | {found['mae']:.6g} |" in body
    assert f"The number `age`: {target['mean']:.6g} ± {target['sd']:.6g}" in body
    assert "adata = scfm.predict(" in body
    assert "names no types" not in body


def test_what_is_no_model_directory_is_a_sentence(toy_model, tmp_path):
    with pytest.raises(ScfmError, match="not found"):
        model_card(tmp_path)
    folder = shutil.copytree(toy_model, tmp_path / "m")
    (folder / "metrics.csv").unlink()
    with pytest.raises(ScfmError, match=r"metrics\.csv: part of a model directory not found"):
        model_card(folder)
    shutil.copy(toy_model / "metrics.csv", folder)
    about = json.loads((folder / "config.json").read_text())
    del about["train_cells"]
    write_json(folder / "config.json", about)
    with pytest.raises(ScfmError, match="lacks the key 'train_cells'"):
        model_card(folder)
