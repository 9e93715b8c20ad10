"""Tissues of the synthetic census: layers are there, by place and not by type, and without them nothing changes."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from scfm.benchmarks.prepare import prepare
from scfm.benchmarks.settings import Preparation
from scfm.corpus.build import build_soma
from scfm.corpus.settings import Retry
from scfm.corpus.soma import open_soma
from scfm.corpus.synthetic import HOLDOUT, corpus_names, dataset_row, synthesize
from scfm.corpus.synthetic.cells import cell_table, cell_types
from scfm.corpus.synthetic.counts import draw_counts
from scfm.corpus.synthetic.genes import gene_table
from scfm.corpus.synthetic.tissue import layer_effects
from scfm.corpus.synthetic_settings import Synthetic, Tissue
from scfm.datasets import read_datasets
from scfm.genes import read_hgnc

OFF = Synthetic(kind="synthetic", cells=400, genes=300, planted=20, types=8, datasets=2, holdout_cells=2000)
ON = OFF.model_copy(update={"tissue": Tissue()})


def test_the_layer_adds_places_and_changes_no_other_column():
    off, on = cell_table(OFF), cell_table(ON)
    assert [name for name in on if name not in off] == ["x", "y", "layer"]
    assert all(off[name].equals(on[name]) for name in off)
    assert on[["x", "y"]].to_numpy().min() >= 0
    assert on[["x", "y"]].to_numpy().max() < 1000
    assert np.array_equal(on["layer"], on["y"] // 250)


def test_a_layer_without_effect_leaves_every_count_as_it_was():
    still = OFF.model_copy(update={"tissue": Tissue(effect=0.0)})
    one, other = (draw_counts(cell_table(s), cell_types(s), gene_table(s), s) for s in (OFF, still))
    assert np.array_equal(one.toarray(), other.toarray())


def test_programs_are_of_one_layer_each_and_of_background_genes():
    genes = gene_table(ON)
    effects = layer_effects(genes, ON)
    assert ((effects != 0).sum(0) <= 1).all()
    assert (effects != 0).sum(1).tolist() == [15] * 4
    changed = genes[(effects != 0).any(0)]
    assert (changed["planted"] == "background").all()
    assert (changed["role"] == "plain").all()
    assert np.array_equal(effects, layer_effects(genes, ON))
    assert not np.array_equal(effects, layer_effects(genes, ON.model_copy(update={"seed": 1})))


def test_counts_are_higher_in_the_layer_of_their_program_and_zero_fractions_as_planned():
    genes, types, cells = gene_table(ON), cell_types(ON), cell_table(ON)
    counts, effects = draw_counts(cells, types, genes, ON), layer_effects(genes, ON)
    layer, depth = cells["layer"].to_numpy(), cells["depth"].to_numpy()
    mean = np.stack([counts[layer == k].sum(0).A1 / depth[layer == k].sum() for k in range(4)])
    for own in range(4):
        mine = effects[own] != 0
        ratio = np.log(mean[own, mine] / mean[np.arange(4) != own][:, mine].mean(0))
        assert abs(ratio.mean() - 1) < 0.15
    background = (genes["role"] == "plain").to_numpy() & ~(effects != 0).any(0)
    assert abs(np.log(mean[0, background].sum() / mean[1:, background].mean(0).sum())) < 0.05
    kept = (cells["dataset_id"] != HOLDOUT).to_numpy() & (cells["state"] == "good").to_numpy()
    zero = 1 - counts[kept].getnnz(axis=0) / kept.sum()
    changed = (effects != 0).any(0)
    assert np.abs(zero[changed] - genes["target"].to_numpy()[changed]).mean() < 0.03


def test_types_are_no_nearer_to_a_layer():
    cells = cell_table(ON)
    assert abs(pearsonr(cells["type"], cells["layer"])[0]) < 0.05


@pytest.fixture(scope="module")
def census(tmp_path_factory):
    out = tmp_path_factory.mktemp("tissue") / "census"
    synthesize(ON, out)
    return out


def test_coordinates_reach_the_prepared_dataset(census, pytestconfig):
    row = read_datasets(pytestconfig.rootpath / "config" / "datasets.tsv")["synthetic_tissue"]
    hgnc = read_hgnc(census / "annotation" / "hgnc.tsv")
    adata = prepare(census / f"{HOLDOUT}.h5ad", Preparation(dataset=row), hgnc)
    deposit = anndata.read_h5ad(census / f"{HOLDOUT}.h5ad")
    assert np.array_equal(adata.obs[["x", "y"]].to_numpy(), deposit[adata.obs_names].obsm["spatial"])
    assert adata.obs["batch"].tolist() == deposit[adata.obs_names].obs["donor_id"].tolist()
    assert adata.uns["scfm"]["tasks"] == "denoise,imputation"


def test_coordinates_reach_the_corpus(census, tmp_path):
    names = corpus_names(ON)
    build_soma([census / f"{name}.h5ad" for name in names], [dataset_row(name) for name in names], tmp_path / "soma")
    with open_soma(str(tmp_path / "soma"), {}, "homo_sapiens", "", Retry()) as store:
        found = store.obs(0, store.cells)
    truth = pd.concat([pd.DataFrame(anndata.read_h5ad(census / f"{name}.h5ad").obsm["spatial"]) for name in names])
    np.testing.assert_allclose(found[["x", "y"]].to_numpy(), truth.to_numpy())


def test_without_the_layer_deposits_have_no_places(tmp_path):
    synthesize(OFF.model_copy(update={"holdout_cells": 60}), tmp_path / "census")
    deposit = anndata.read_h5ad(tmp_path / "census" / f"{HOLDOUT}.h5ad")
    assert "spatial" not in deposit.obsm
    assert "planted_layer" not in deposit.obs
