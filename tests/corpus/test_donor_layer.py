"""Age and disease of the synthetic census's donors: what is planted is there, and without them nothing changes."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scfm.benchmarks.donor import donor
from scfm.benchmarks.embed import embed
from scfm.benchmarks.embedders import PcaEmbedder
from scfm.benchmarks.prepare import prepare
from scfm.benchmarks.settings import Pca, Preparation
from scfm.benchmarks.task_settings import DonorTask
from scfm.corpus.synthetic import HOLDOUT, synthesize
from scfm.corpus.synthetic.cells import cell_table, cell_types
from scfm.corpus.synthetic.counts import draw_counts
from scfm.corpus.synthetic.donors import DISEASE, ageing, in_state, minor_types, state_effects
from scfm.corpus.synthetic.genes import gene_table
from scfm.corpus.synthetic_settings import DonorTruth, Synthetic
from scfm.datasets import read_datasets
from scfm.genes import read_hgnc

OFF = Synthetic(kind="synthetic", cells=600, genes=300, planted=20, types=8, datasets=2, donors=60, holdout_cells=6000)
ON = OFF.model_copy(update={"donor_truth": DonorTruth()})


@pytest.fixture(scope="module")
def cells():
    """The cells of the held-out dataset."""
    table = cell_table(ON)
    return table[table["dataset_id"] == HOLDOUT].reset_index(drop=True)


def test_the_layer_changes_whose_the_cells_are_and_nothing_else():
    off, on = cell_table(OFF), cell_table(ON)
    assert [name for name in on if name not in off] == ["age", "disease"]
    changed = [name for name in off if not off[name].equals(on[name])]
    assert set(changed) <= {"donor_id", "sex"}
    assert "age" not in off


def test_donors_are_half_ill_and_keep_one_age(cells):
    donors = cells.drop_duplicates("donor_id")
    assert len(donors) == 60
    assert (donors["disease"] == DISEASE).sum() == 30
    assert donors["age"].between(20, 90).all()
    assert (cells.groupby("donor_id")[["age", "disease", "sex"]].nunique() == 1).all(axis=None)
    assert abs(donors["age"].corr(donors["disease"] == DISEASE)) < 0.3


def test_composition_follows_age_and_minor_types_follow_the_disease(cells):
    types = cell_types(ON)
    shares = pd.crosstab(cells["donor_id"], cells["type"], normalize="index")
    donors = cells.drop_duplicates("donor_id").set_index("donor_id").loc[shares.index]
    sign, minor = ageing(types), minor_types(types)
    assert minor.sum() == 2
    assert not minor[-1]
    assert (sign[minor] == 0).all()
    assert {*sign[~minor]} == {-1.0, 1.0}
    assert (shares @ sign).corr(donors["age"]) > 0.8
    for kind in np.flatnonzero(sign):
        assert shares[kind].corr(donors["age"]) * sign[kind] > 0
    both = shares.loc[:, minor].sum(axis=1)
    assert both[donors["disease"] == DISEASE].mean() > 1.2 * both[donors["disease"] != DISEASE].mean()


def test_the_state_is_in_minor_cells_of_the_ill_alone():
    genes, types, cells = gene_table(ON), cell_types(ON), cell_table(ON)
    counts = draw_counts(cells, types, genes, ON)
    effects, minor = state_effects(genes, ON), minor_types(types)[cells["type"].to_numpy()]
    ill = (cells["disease"] == DISEASE).to_numpy()
    assert (in_state(cells, types) == (ill & minor)).all()
    changed = effects != 0
    assert (np.abs(effects[changed]) == 1.0).all()
    assert (genes.loc[changed, "planted"] == "background").all()

    def log_ratio(of: np.ndarray) -> np.ndarray:
        """Of the ill to the healthy, per unit of depth."""
        mean = [counts[of & side].mean(0).A1 / cells["depth"][of & side].mean() for side in (ill, ~ill)]
        return np.log(mean[0][changed] / mean[1][changed])

    np.testing.assert_allclose(log_ratio(minor).mean(), effects[changed].mean(), atol=0.15)
    assert np.corrcoef(log_ratio(minor), effects[changed])[0, 1] > 0.95
    assert np.abs(log_ratio(~minor)).mean() < 0.1


def test_deposits_hold_age_and_disease_and_the_task_finds_them(tmp_path, pytestconfig):
    out = tmp_path / "census"
    synthesize(ON, out)
    deposit = anndata.read_h5ad(out / f"{HOLDOUT}.h5ad")
    assert set(deposit.obs["disease"]) == {DISEASE, "normal"}
    row = read_datasets(pytestconfig.rootpath / "config" / "datasets.tsv")["synthetic_donors"]
    hgnc = read_hgnc(out / "annotation" / "hgnc.tsv")
    prepare(out / f"{HOLDOUT}.h5ad", Preparation(dataset=row), hgnc).write_h5ad(tmp_path / "d.h5ad")
    embed(PcaEmbedder(Pca(components=20)), [tmp_path / "d.h5ad"], "pca", 0).write_h5ad(tmp_path / "e.h5ad")
    table = donor(tmp_path / "e.h5ad", DonorTask(repeats=3), "s")
    values = table[table["fold"] == ""].set_index(["split", "metric", "pooling"])["value"]
    assert values["age", "pearson", "composition"] > 0.8
    assert values["age", "pearson", "pca:mean"] > 0.7
    assert values["disease", "auroc", "composition"] > 0.7
    assert values["disease", "auroc", "pca:mean"] > 0.7
    assert 0.3 < values["disease", "auroc_permuted", "pca:mean"] < 0.7


def test_two_data_sets_of_a_census_without_the_layer_have_no_age(tmp_path):
    synthesize(OFF.model_copy(update={"holdout_cells": 100}), tmp_path / "census")
    obs = anndata.read_h5ad(tmp_path / "census" / f"{HOLDOUT}.h5ad").obs
    assert "age" not in obs
    assert set(obs["disease"]) == {"normal"}
