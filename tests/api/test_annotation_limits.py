"""Where an annotation stops, what is unknown, and calibration against its closed form."""

import shutil

import numpy as np
import pytest

import scfm
from scfm.api.annotate import _entry
from scfm.api.lineages import calibrated, fit_temperature, lineages
from scfm.errors import ScfmError
from scfm.ontology import LabelTree

NAMES = {"C1": "cell", "C2": "T", "C3": "CD4 T", "C4": "Treg", "C5": "B", "C6": "memory"}
PARENTS = {"C1": (), "C2": ("C1",), "C3": ("C2",), "C4": ("C3", "C6"), "C5": ("C1",), "C6": ("C1",)}
TREE = LabelTree(NAMES, PARENTS)  # leaves C4, C5; Treg is a T cell and a memory cell


def entry(treg, decode="leaf", threshold=None, level=None):
    leaves = np.array([[treg, 1 - treg]], np.float32)
    chances = leaves @ TREE.membership.T.astype(np.float32)
    return _entry(TREE, lineages(TREE, leaves, decode)[0], chances[0], threshold, level)


def test_the_whole_lineage_with_its_confidence():
    assert entry(0.75)[:2] == ("C4", "Treg")
    assert entry(0.75)[3:] == ("cell > T > memory > CD4 T > Treg", "1.000 > 0.750 > 0.750 > 0.750 > 0.750")
    assert entry(0.75, "greedy")[3] == "cell > T > CD4 T > Treg"
    assert entry(0.25)[:2] == ("C5", "B")


def test_it_stops_where_it_is_no_longer_sure():
    deep = LabelTree(NAMES | {"C7": "Th1"}, PARENTS | {"C4": ("C3",), "C6": ("C1",), "C7": ("C3",)})
    leaves = np.array([[0.5, 0.1, 0.05, 0.35]], np.float32)
    assert deep.leaves == ["C4", "C5", "C6", "C7"]
    chances = (leaves @ deep.membership.T.astype(np.float32))[0]
    path = lineages(deep, leaves, "leaf")[0]
    assert [_entry(deep, path, chances, t, None)[1] for t in (0.4, 0.6, 0.85, 0.9)] == [
        "Treg",
        "CD4 T",
        "CD4 T",
        "unknown",
    ]
    assert _entry(deep, path, chances, 0.6, None)[2] == pytest.approx(0.85)
    assert [_entry(deep, path, chances, None, level)[1] for level in (0, 1, 2, 3, 9)] == [
        "unknown",
        "T",
        "CD4 T",
        "Treg",
        "Treg",
    ]


def test_terms_of_another_way_up_are_no_part_of_the_lineage():
    """At level 1, T and memory are both above Treg and neither above the other."""
    assert entry(0.75, level=1)[3] in ("cell > T", "cell > memory")


def test_labels_without_a_tree_are_roots_that_say_something():
    flat = LabelTree({"a": "a", "b": "b"}, {"a": (), "b": ()})
    leaves = np.array([[0.6, 0.4]], np.float32)
    path = lineages(flat, leaves, "leaf")[0]
    assert _entry(flat, path, leaves[0], None, None)[0] == "a"
    assert _entry(flat, path, leaves[0], 0.7, None)[0] == "unknown"


def test_thresholds_on_cells(toy_model, toy_adata):
    sure = scfm.annotate(toy_adata, toy_model, threshold=0.5, nodes=True, verbose=False).obs["scfm_name"]
    assert (sure == toy_adata.obs["type"]).mean() > 0.95
    assert toy_adata.obsm["scfm"].shape == (40, 4)
    np.testing.assert_allclose(toy_adata.obsm["scfm"][:, :2], 1, atol=1e-5)  # cell and blood cell
    np.testing.assert_allclose(toy_adata.obsm["scfm"][:, 2:].max(1), toy_adata.obs["scfm_probability"], atol=1e-5)
    scfm.annotate(toy_adata, toy_model, level=1, verbose=False)
    assert set(toy_adata.obs["scfm_name"]) == {"blood cell"}
    scfm.annotate(toy_adata, toy_model, level=0, verbose=False)
    assert set(toy_adata.obs["scfm_name"]) == {"unknown"}
    with pytest.raises(ScfmError, match="threshold 2"):
        scfm.annotate(toy_adata, toy_model, threshold=2)


def test_a_planted_temperature_is_found():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 5)) * 2
    truth = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (truth.cumsum(1) > rng.random((len(truth), 1))).argmax(1)
    sharp = np.exp(3 * logits) / np.exp(3 * logits).sum(1, keepdims=True)
    temperature, before, after = fit_temperature(sharp, np.eye(5, dtype=bool)[labels])
    assert temperature == pytest.approx(3, rel=0.03)
    assert after < before
    np.testing.assert_allclose(calibrated(sharp, 3.0), truth, atol=1e-5)
    everything = np.ones((len(sharp), 5), bool)
    with pytest.raises(ScfmError, match="no cell has a label below the root"):
        fit_temperature(sharp, everything)


def test_calibration_is_kept_in_the_directory_and_used(toy_model, toy_adata, tmp_path, capsys):
    folder = shutil.copytree(toy_model, tmp_path / "model")
    plain = scfm.load(folder).node_probabilities(toy_adata)
    found = scfm.calibrate(toy_adata, folder, verbose=False)
    assert found["cells"] == toy_adata.obs["cell_type_ontology_term_id"].isin(["CL:0000003", "CL:0000004"]).sum()
    assert found["loss_after"] <= found["loss_before"]
    scfm.annotate(toy_adata, folder)
    assert f"temperature {found['temperature']:.2f}" in capsys.readouterr().out
    assert toy_adata.uns["scfm"]["temperature"] == found["temperature"]
    own = calibrated(plain, found["temperature"]).max(1)
    np.testing.assert_allclose(toy_adata.obs["scfm_probability"], own, atol=1e-5)
    scfm.annotate(toy_adata, toy_model)
    assert "not calibrated" in capsys.readouterr().out
    with pytest.raises(ScfmError, match="no column 'label'"):
        scfm.calibrate(toy_adata, folder, "label")
