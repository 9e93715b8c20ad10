"""Integrated gradients: completeness, planted markers, and the table of effects against its closed form."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import false_discovery_control, ttest_1samp

import scfm
from scfm.api.gradients import attributions, completeness
from scfm.api.targets import score_of
from scfm.errors import ScfmError
from scfm.models.bmfm.encoder import BACKBONES
from scfm.pretrain.train import train


@pytest.fixture(scope="module")
def model(toy_model):
    return scfm.load(toy_model, "cpu")


@pytest.mark.parametrize(("kind", "markers"), [("alpha", range(10)), ("beta", range(10, 20))])
def test_planted_markers_come_first(model, toy_adata, kind, markers):
    cells = toy_adata[toy_adata.obs["type"] == kind].copy()
    table = scfm.explain(cells, model, kind, verbose=False)
    assert table.attrs["completeness"] < 0.02
    assert set(table["gene"].head(5)) <= {f"G{i}" for i in markers}
    assert (table["p_adjusted"].head(5) < 0.05).all()
    pd.testing.assert_frame_equal(cells.uns["scfm_explain"]["table"], table)


def test_effects_add_up_to_the_difference(model, toy_adata):
    toy_adata = toy_adata[:16].copy()
    what, score = score_of(model, "CL:0000003", "cls")
    assert what == "log-odds of alpha (CL:0000003)"
    table = scfm.explain(toy_adata, model, "CL:0000003", verbose=False)
    differences, by_cell = [], []
    for _, view in model.views(toy_adata, "counts", 8):
        effects, difference, _ = attributions(model, view, score, "empty", 50)
        assert completeness(effects, difference, view) < 0.02
        with torch.no_grad():
            hidden = model.network.encode(view)
            odds = model.network.label_logits(hidden, view)["cell_type"]
            np.testing.assert_allclose(score(hidden, view), odds[:, 0] - odds[:, 1], atol=1e-4)  # two leaves
        differences.append(difference)
        dense = torch.zeros(len(view.cls), 42).index_put_((view.cell, view.gene), effects)
        assert (dense[:, 40:] == 0).all()  # CLS tokens stay
        by_cell.append(dense[:, :40])
    dense = torch.cat(by_cell).double().numpy()
    assert table["effect"].sum() == pytest.approx(torch.cat(differences).mean().item(), rel=0.02)
    table = table.set_index("gene")
    test = ttest_1samp(dense, 0)
    shown = table.index.str.removeprefix("G").astype(int)
    np.testing.assert_allclose(table["effect"], dense.mean(0)[shown], atol=1e-5)
    np.testing.assert_allclose(table["p"], test.pvalue[shown], rtol=1e-2, atol=1e-6)
    np.testing.assert_allclose(table["p_adjusted"], false_discovery_control(table["p"]))


TARGETS = {"gene": "gene:G3", "direction": np.arange(16.0), "root's child": "beta"}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("baseline", ["empty", "zero"])
def test_every_target_is_complete_from_either_baseline(model, toy_adata, target, baseline, capsys):
    table = scfm.explain(toy_adata[:6], model, TARGETS[target], baseline=baseline)
    assert table.attrs["completeness"] < 0.02
    assert "completeness off by" in capsys.readouterr().out
    if target == "gene":
        assert table["gene"].iloc[0] != table["gene"].iloc[-1]


def test_mean_pooled_directions_of_a_plain_model(toy_plain_model, toy_adata):
    table = scfm.explain(toy_adata[:4], toy_plain_model, np.ones(16), pooling="mean", verbose=False)
    assert table.attrs["completeness"] < 0.02


@pytest.mark.parametrize("backbone", [name for name in BACKBONES if name != "llama"])  # llama: all tests above
def test_every_backbone_finds_the_planted_markers(backbone, toy_run, toy_shards, toy_obo, toy_adata, tmp_path):
    run = toy_run(heads=True, epochs=10, accumulate=1, learning_rate=1e-2, validate_every=5)
    encoder = run.model.encoder.model_copy(update={"backbone": backbone})
    run = run.model_copy(update={"model": run.model.model_copy(update={"encoder": encoder})})
    train(run, "toy_hce/0", 0, toy_shards, toy_obo, tmp_path / "work", tmp_path / "model", 0)
    cells = toy_adata[toy_adata.obs["type"] == "alpha"].copy()
    table = scfm.explain(cells, tmp_path / "model", "alpha", verbose=False)
    assert table.attrs["completeness"] < 0.02
    assert set(table["gene"].head(3)) <= {f"G{i}" for i in range(10)}


def test_batches_change_nothing(model, toy_adata):
    one, all_ = (scfm.explain(toy_adata[:6], model, "alpha", batch_size=n, verbose=False) for n in (1, 6))
    both = one.merge(all_, on="gene")
    np.testing.assert_allclose(both["effect_x"], both["effect_y"], atol=0.02 * one["effect"].abs().max())


def test_bad_requests_are_sentences(model, toy_plain_model, toy_adata):
    for target, words in {
        "CL:0000009": "no term of the model",
        "cell": "every type of the model is cell",
        "gene:XY": "'XY' is not in the model's vocabulary",
    }.items():
        with pytest.raises(ScfmError, match=words):
            scfm.explain(toy_adata, model, target)
    with pytest.raises(ScfmError, match="no label head"):
        scfm.explain(toy_adata, toy_plain_model, "alpha")
    with pytest.raises(ScfmError, match="predicts no whole cell"):
        scfm.explain(toy_adata, toy_plain_model, "gene:G1")
    for wrong in (np.ones(3), np.zeros(16)):
        with pytest.raises(ScfmError, match="expected 16 numbers"):
            scfm.explain(toy_adata, model, wrong)
    with pytest.raises(ScfmError, match="baseline: 'none'"):
        scfm.explain(toy_adata, model, "alpha", baseline="none")
    with pytest.raises(ScfmError, match="there is one cell"):
        scfm.explain(toy_adata[:1], model, "alpha")
