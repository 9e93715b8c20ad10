"""Model cards of systems that read sets of cells or donors: what each says of itself, and code that runs."""

import re

import numpy as np
import pandas as pd
import pytest

import scfm
from scfm.model_card import model_card
from scfm.models import description
from scfm.models.description import describe, smaller
from scfm.pretrain.settings import parse_run
from scfm.pretrain.train import train

DONORS = np.array([f"donor{i % 12:02d}" for i in range(240)])
SETS = {"sets": {"by": ["dataset", "donor"], "cells": 6}}
MODELS = {
    "cellplm": SETS
    | {
        "encoder": {"layers": 1, "hidden": 16, "heads": 2, "ffn": 16},
        "latent": {"kind": "mixture", "width": 8, "components": 4},
        "decoder": {"hidden": 16, "bottleneck": 8},
    },
    "pulsar": {
        "cells": {"run": "wced", "pooling": "mean"},
        "width": 16,
        "sampling": {"cells": 12, "replacement": False},
        "transformer": {"hidden": 16, "heads": 2, "ffn": 16, "encoder_layers": 1, "decoder_layers": 1},
        "masking": {"hidden": 8, "programs": 3},
        "heads": [{"label": "disease", "hidden": 8}],
    },
    "stack": SETS
    | {"transformer": {"modules": 4, "width": 4, "layers": 1, "heads": 2, "set_heads": 2, "ffn": 8}, "prompt": {}},
}
WORDS = {
    "cellplm": [
        "Gaussian mixture as prior of 4 components",
        "flow attention",
        "8 wide",
        "`latent`, `cell`",
        "blocks 1",
    ],
    "pulsar": ["share 0.85", "Contrast of two subsets", "Label `disease`: a class", "Donor embeddings: `donor`"],
    "stack": ["between 0.1 and 0.3", "Prompts: cells of one value of `condition`", "4 modules", "`modules`, `mean`"],
}


@pytest.fixture(scope="session")
def system_folders(tmp_path_factory, write_toy_shards):
    """Model directories by system, one epoch of training each, and the vectors that one of them reads."""
    folder = tmp_path_factory.mktemp("systems")
    columns = {"donor_id": DONORS, "tissue": "blood", "disease": np.where(np.arange(240) % 12 < 6, "flu", "normal")}
    columns["condition"] = np.array(["control", "drug"])[np.arange(240) % 2]
    shards = write_toy_shards(folder / "shards", **columns)
    np.save(folder / "vectors.npy", np.random.default_rng(0).normal(size=(240, 16)).astype(np.float32))
    training = {"epochs": 1, "batch_cells": 24, "validation_cells": 24, "warmup_steps": 0, "workers": 0}
    training |= {"precision": "32-true", "accumulate": 1}
    for system, model in MODELS.items():
        run = parse_run({"system": system, "description": "toy", "model": model, "training": training}, system)
        vectors = folder / "vectors.npy" if run.model.cell_encoder else None
        train(run, f"{system}/2", 2, shards, None, folder / "work" / system, folder / system, 0, vectors_path=vectors)
    return folder


@pytest.mark.parametrize("system", MODELS)
def test_a_card_says_what_the_system_is_and_the_numbers_of_its_files(system, system_folders):
    folder = system_folders / system
    card, model = model_card(folder, "mit", "hf:lab/toy"), scfm.load(folder, "cpu")
    assert f"- {system}\n" in card.split("---")[1]  # a tag
    assert f"# {system}, seed 2" in card
    for word in WORDS[system]:
        assert word in card
    assert f"{sum(p.numel() for p in model.network.parameters()):,} parameters" in card
    assert "192 cells, validation on 48 others" in card
    assert f"1 epochs, {model.about['updates']} updates" in card
    row = pd.read_csv(folder / "metrics.csv").iloc[-1].filter(regex="validate_")
    for name, value in row.items():
        assert f"| `{name}` | {value:.6g} | " in card
        assert name.removeprefix("validate_") in describe(system, model.network.settings).losses
    assert "that label" not in card
    assert "A small model:" in card
    assert "names no types" in card or system == "pulsar"


def used(card):
    """The lines of the card's code that come after the model and the cells are loaded."""
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL).group(1)
    assert code.splitlines()[1] == 'model = scfm.from_pretrained("hf:lab/toy")'
    return code.splitlines()[3:]


@pytest.mark.parametrize("system", MODELS)
def test_the_code_of_a_card_embeds(system, system_folders, toy_adata):
    folder = system_folders / system
    toy_adata.obs["donor_id"] = DONORS[:40]
    toy_adata.obsm["X_cells"] = np.random.default_rng(1).normal(size=(40, 16))
    names = {"adata": toy_adata, "model": scfm.load(folder, "cpu"), "scfm": scfm}
    exec("\n".join(used(model_card(folder, source="hf:lab/toy"))), names)
    table = names["vectors"] if system == "pulsar" else names["adata"].obsm["X_scfm"]
    assert len(table) == (12 if system == "pulsar" else 40)
    assert np.isfinite(table).all()


def test_a_card_says_which_cells_or_vectors_belong_together(system_folders):
    assert "sets of up to 6 cells that agree in `dataset`, `donor`" in model_card(system_folders / "cellplm")
    donors = model_card(system_folders / "pulsar")
    assert "of the run `wced`, embedding `mean`" in donors
    assert "`disease`: 2 labels" in donors
    assert "outside the vocabulary" not in donors


def test_a_system_that_says_nothing_of_itself_has_a_card_all_the_same(system_folders, monkeypatch):
    monkeypatch.setattr(description, "find_spec", lambda name: None)
    card = model_card(system_folders / "stack")
    assert "A model of the expression of single cells" in card
    assert "The losses under Metrics" in card


def test_a_model_of_published_size_is_not_called_small():
    assert smaller({"width": (16, 16), "blocks": (4, 2)}) == []
    assert smaller({"width": (8, 1024)}) == ["A small model: width 8 (published: 1,024)."]
    assert smaller({}) == []
