"""Trainings with several label groups: vocabularies from the training cells, model directory, annotation."""

import json

import numpy as np
import pandas as pd
import pytest

from scfm.api import annotate
from scfm.errors import ScfmError
from scfm.model import load
from scfm.models.bmfm.labels import label_classes, label_codes
from scfm.models.bmfm.objectives import CrossEntropy, Focal, Hce
from scfm.pretrain.train import train

GROUPS = [
    {"label": "cell_type", "loss": "hce"},
    {"label": "tissue", "loss": "focal"},
    {"label": "donor_id", "loss": "focal", "weight": 0.05, "reversal": 1.0},
    {"label": "sex", "loss": "cross_entropy"},
]


@pytest.fixture
def shards(write_toy_shards, tmp_path):
    """Toy shards with columns of tissue, donor and sex; a fourth tissue is in validation cells alone."""
    tissue = np.array(["blood", "gut", "skin"], object)[np.arange(240) % 3]
    tissue[200:] = "spleen"
    tissue[::11] = "unknown"
    donor, sex = np.arange(240) % 4, np.arange(240) % 2
    return write_toy_shards(
        tmp_path / "shards", tissue=tissue, donor_id=[f"p{i}" for i in donor], sex=np.where(sex, "female", "male")
    )


@pytest.fixture
def fit(toy_run, shards, toy_obo, tmp_path):
    """Function that trains with some heads and gives the model directory."""

    def run(objective="wced", heads=GROUPS, ontology=toy_obo, shards=shards, name="m", **training):
        settings = toy_run(objective, **training)
        settings = type(settings).model_validate(
            settings.model_dump() | {"model": settings.model.model_dump() | {"heads": heads}}
        )
        train(settings, "toy/0", 0, shards, ontology, tmp_path / f"{name}-work", tmp_path / name, 0)
        return tmp_path / name

    return run


def test_classes_are_the_known_labels_of_the_training_cells():
    cells = pd.DataFrame(
        {
            "tissue": ["gut", "blood", "unknown", None, "skin"],
            "cell_type_ontology_term_id": ["CL:2", "CL:1", "unknown", "CL:1", "CL:3"],
        }
    )
    heads = [Focal(label="tissue", loss="focal"), CrossEntropy(label="cell_type", loss="cross_entropy")]
    classes = label_classes(cells, np.arange(4), heads)
    assert classes == {"tissue": ["blood", "gut"], "cell_type": ["CL:1", "CL:2"]}
    codes = label_codes(cells, None, classes)
    assert codes["tissue"].tolist() == [1, 0, -1, -1, -1]
    assert codes["cell_type"].tolist() == [1, 0, -1, 0, -1]
    assert label_classes(cells, np.arange(4), [Hce()]) == {}
    with pytest.raises(ScfmError, match="no column 'sex'"):
        label_classes(cells, np.arange(4), [Focal(label="sex", loss="focal")])
    with pytest.raises(ScfmError, match="'tissue' holds 1 known labels"):
        label_classes(cells, np.arange(1), heads[:1])


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_a_run_with_all_label_groups(fit, objective, toy_adata):
    folder = fit(objective)
    labels = json.loads((folder / "labels.json").read_text())
    assert labels["tissue"] == {"classes": ["blood", "gut", "skin"]}
    assert labels["donor_id"] == {"classes": ["p0", "p1", "p2", "p3"]}
    assert labels["sex"] == {"classes": ["female", "male"]}
    assert set(labels["cell_type"]) == {"names", "parents"}
    metrics = pd.read_csv(folder / "metrics.csv")
    tasks = ("cell_type_hce", "tissue_focal", "donor_id_focal", "sex_cross_entropy")
    assert metrics[[f"{split}_{task}" for split in ("train", "validate") for task in tasks]].notna().all(axis=None)
    model = load(folder, "cpu")
    assert model.classes == {group: labels[group]["classes"] for group in ("tissue", "donor_id", "sex")}
    again = load(folder, "cpu").embed(toy_adata)
    for name, vectors in model.embed(toy_adata).items():
        np.testing.assert_array_equal(vectors, again[name])
    assert set(annotate(toy_adata, model).obs["scfm_id"]) <= {"CL:0000003", "CL:0000004"}


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "sigmoid"])
def test_other_heads_of_cell_types_annotate_too(fit, loss, toy_adata):
    heads = [{"label": "cell_type", "loss": loss}]
    model = load(fit(heads=heads, epochs=10, validate_every=10, accumulate=1, learning_rate=1e-2), "cpu")
    assert model.classes.get("cell_type", ["CL:0000002", "CL:0000003", "CL:0000004"]) == [
        "CL:0000002",
        "CL:0000003",
        "CL:0000004",
    ]
    probabilities = model.node_probabilities(toy_adata)
    assert probabilities.shape == (40, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    for decode in ("leaf", "greedy"):
        named = annotate(toy_adata.copy(), model, decode).obs["scfm_name"].to_numpy()
        assert (named == toy_adata.obs["type"].to_numpy()).mean() > 0.95


def test_heads_without_cell_types_need_no_ontology(fit, toy_adata):
    model = load(fit(heads=[{"label": "sex", "loss": "cross_entropy"}], ontology=None, epochs=1), "cpu")
    assert model.tree is None
    with pytest.raises(ScfmError, match="no label head for cell types"):
        model.node_probabilities(toy_adata)


def test_a_label_group_that_the_corpus_lacks_is_a_sentence(fit, toy_shards):
    with pytest.raises(ScfmError, match="no column 'sex'; remove the head 'sex'"):
        fit(heads=[{"label": "sex", "loss": "focal"}], shards=toy_shards)


def test_epochs_before_the_labels_are_those_without_them(fit):
    heads = [{"label": "sex", "loss": "cross_entropy", "from_epoch": 2, "dropout": 0.0}]
    other = [heads[0] | {"weight": 9.0}]
    one, two = (pd.read_csv(fit(heads=h, name=n, epochs=3) / "metrics.csv") for n, h in (("a", heads), ("b", other)))
    losses = ["train_value", "train_is_zero", "validate_value"]
    assert one[losses].iloc[:2].equals(two[losses].iloc[:2])
    assert not one[losses].iloc[2:].equals(two[losses].iloc[2:])


def test_a_head_that_never_counts_is_refused(fit):
    with pytest.raises(ValueError, match="head 'sex' has no weight in any of 2 training epochs"):
        fit(heads=[{"label": "sex", "loss": "focal", "from_epoch": 2}])
