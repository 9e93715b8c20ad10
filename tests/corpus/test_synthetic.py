"""The planted truth of the synthetic census, checked on the deposited files."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.stats import kruskal, spearmanr

from scfm.corpus.settings import Synthetic
from scfm.corpus.synthetic import HOLDOUT, corpus_names, synthesize
from scfm.corpus.synthetic.cells import cell_table, cell_types
from scfm.corpus.synthetic.counts import solve_base
from scfm.corpus.synthetic.genes import gene_table
from scfm.errors import ScfmError
from scfm.ontology import LabelTree, Ontology

SETTINGS = Synthetic(kind="synthetic", cells=2000, genes=300, planted=40, holdout_cells=200)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A census large enough for statistics: folder, truth, corpus (AnnData over all its datasets)."""
    folder = tmp_path_factory.mktemp("drawn") / "synthetic"
    synthesize(SETTINGS, folder)
    parts = [anndata.read_h5ad(folder / f"{name}.h5ad") for name in corpus_names(SETTINGS)]
    corpus = anndata.concat(parts, join="inner", keys=corpus_names(SETTINGS), label="dataset_id", index_unique="-")
    return folder, pd.read_parquet(folder / "truth.parquet"), corpus


def test_base_rates_hit_the_zero_fraction():
    log_rate = np.random.default_rng(0).normal(size=(500, 3))
    target = np.array([0.05, 0.5, 0.95])
    for overdispersion in (0.0, 0.4):
        mean = np.exp(log_rate + solve_base(log_rate, target, overdispersion))
        zero = np.exp(-mean) if overdispersion == 0 else (1 + overdispersion * mean) ** (-1 / overdispersion)
        np.testing.assert_allclose(zero.mean(0), target, atol=1e-6)


def test_programs_have_matched_zero_fractions_over_a_wide_range(drawn):
    _, truth, _ = drawn
    programs = [truth[truth["planted"] == name].sort_values("pair") for name in ("type", "latent", "noise")]
    for one in programs:
        assert len(one) == 40
        assert one["zero_fraction"].min() < 0.1
        assert one["zero_fraction"].max() > 0.84
        for other in programs:
            np.testing.assert_allclose(one["zero_fraction"], other["zero_fraction"].to_numpy(), atol=0.05)
            assert abs(one["zero_fraction"].mean() - other["zero_fraction"].mean()) < 0.005


def test_truth_holds_what_is_in_the_files(drawn):
    _, truth, corpus = drawn
    cells = cell_table(SETTINGS)
    good = (cells["state"] == "good").to_numpy()[: len(corpus)]
    shared = truth[truth["gene"].isin(corpus.var_names)]
    assert set(truth["gene"][truth["planted"] != "background"]) <= set(shared["gene"])
    found = 1 - corpus[good, shared["gene"]].X.getnnz(axis=0) / good.sum()
    np.testing.assert_allclose(shared["zero_fraction"], found)


def test_only_type_genes_differ_between_types(drawn):
    _, truth, corpus = drawn
    total = np.asarray(corpus.X.sum(axis=1)).reshape(-1, 1)
    log = np.log1p(1e4 * corpus.X.toarray() / total)
    groups = list(corpus.obs.reset_index().groupby("planted_type", observed=True).indices.values())
    share = {}
    for program in ("type", "latent", "noise"):
        genes = corpus.var_names.get_indexer(truth["gene"][truth["planted"] == program])
        pvalues = np.array([kruskal(*(log[rows, gene] for rows in groups)).pvalue for gene in genes])
        share[program] = (pvalues < 1e-6).mean()
    assert share["type"] > 0.9
    assert share["noise"] < 0.2
    assert share["latent"] < 0.2


def test_latent_genes_follow_their_latent_alone(drawn):
    _, truth, corpus = drawn
    cells = cell_table(SETTINGS).iloc[: len(corpus)]
    for latent in ("cell_cycle", "dissociation"):
        own, others = (truth["planted"] == "latent") & (truth["latent"] == latent), truth["planted"] == "noise"
        strength = {}
        for name, chosen in (("own", own), ("noise", others)):
            x = corpus[:, truth["gene"][chosen]].X.toarray() / cells["depth"].to_numpy()[:, None]
            strength[name] = [abs(spearmanr(column, cells[latent]).statistic) for column in x.T]
        assert np.median(strength["own"]) > 0.3
        assert np.median(strength["noise"]) < 0.05


def test_labels_stand_at_mixed_depth_and_belong_to_the_ontology(drawn):
    folder, _, corpus = drawn
    ontology = Ontology.read(folder / "annotation" / "cell_ontology.obo")
    types = cell_types(SETTINGS)
    tree = LabelTree.prune(ontology, corpus.obs["cell_type_ontology_term_id"])
    assert set(tree.leaves) == set(types["id"])
    for row in types.itertuples():
        assert {row.coarse, row.coarser} <= ontology.ancestors(row.id)
        assert ontology.names[row.id] == row.name
    label, truth = corpus.obs["cell_type_ontology_term_id"].astype(str), corpus.obs["planted_type"].astype(str)
    assert 0.01 < (label == "unknown").mean() < 0.05
    assert 0.15 < ((label != truth) & (label != "unknown")).mean() < 0.25
    known = (label != "unknown").to_numpy()
    assert all(a == b or a in ontology.ancestors(b) for a, b in set(zip(label[known], truth[known], strict=True)))


def test_holdout_has_leaf_labels_two_batches_and_is_no_part_of_the_corpus(drawn):
    folder, _, _ = drawn
    holdout = anndata.read_h5ad(folder / f"{HOLDOUT}.h5ad")
    assert holdout.n_obs == 200
    assert holdout.obs["batch"].nunique() == 2
    assert (holdout.obs["cell_type_ontology_term_id"].astype(str) == holdout.obs["planted_type"].astype(str)).all()
    assert HOLDOUT not in corpus_names(SETTINGS)


def test_default_size_has_a_validation_dataset_with_reliable_genes():
    cells = cell_table(Synthetic(kind="synthetic"))
    second = cells[cells["dataset_id"] == "corpus_01"]
    labels = cells.groupby("dataset_id")["cell_type_ontology_term_id"].agg(set)
    assert labels["corpus_01"] < labels["corpus_00"]
    assert len(second) == 1500
    genes = gene_table(Synthetic(kind="synthetic"))
    planted = genes[genes["planted"] != "background"]
    assert ((1 - planted["target"]) * len(second) >= 100).all()
    assert planted["planted"].value_counts().min() >= 60
    assert genes["gene"].is_unique


def test_the_same_seed_gives_the_same_counts(tmp_path):
    small = Synthetic(kind="synthetic", cells=120, genes=200, planted=20, types=4, datasets=2, holdout_cells=50)
    for name in ("a", "b"):
        synthesize(small, tmp_path / name)
    synthesize(small.model_copy(update={"seed": 1}), tmp_path / "c")
    first = [anndata.read_h5ad(tmp_path / name / "corpus_01.h5ad") for name in "abc"]
    assert (first[0].X != first[1].X).nnz == 0
    pd.testing.assert_frame_equal(first[0].obs, first[1].obs)
    assert first[0].shape != first[2].shape or (first[0].X != first[2].X).nnz > 0
    for path in sorted((tmp_path / "a").rglob("*.*")):
        if path.suffix != ".h5ad" and path.is_file():
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_too_few_genes_is_one_sentence(tmp_path):
    with pytest.raises(ScfmError, match="at least 60"):
        synthesize(Synthetic(kind="synthetic", genes=200, planted=60), tmp_path / "x")
    assert not (tmp_path / "x").exists()
