"""The genes in which perturbed cells are compared: those that vary beyond noise of counting."""

import anndata
import numpy as np
import pytest
from scipy.sparse import csr_matrix

from scfm.perturbation.genes import most_variable


@pytest.fixture
def planted():
    """200 cells of 60 genes, of which 12 follow a program; one gene is never seen, one cell is empty."""
    rng = np.random.default_rng(0)
    rate = np.tile(rng.gamma(2, 1, 60) + 0.5, (200, 1))
    rate[:, 10:22] *= np.where(rng.random(200) < 0.5, 4, 0.25)[:, None]
    rate[:, 59], rate[7] = 0, 0
    return anndata.AnnData(csr_matrix(rng.poisson(rate).astype(np.float32)))


def test_genes_of_a_program_are_found(planted):
    assert np.flatnonzero(most_variable(planted, 12)).tolist() == list(range(10, 22))


def test_more_genes_than_there_are_is_all_of_them(planted):
    assert most_variable(planted, 60).all()
    assert most_variable(planted, 59).sum() == 59


def test_a_gene_without_a_count_is_not_chosen(planted):
    assert not most_variable(planted, 59)[59]


def test_they_are_those_of_scanpy(planted):
    scanpy = pytest.importorskip("scanpy")
    counts = planted[np.arange(200) != 7, np.arange(60) != 59].copy()
    reference = scanpy.experimental.pp.highly_variable_genes(counts, n_top_genes=30, inplace=False)
    assert (most_variable(planted, 30)[:59] == reference["highly_variable"].to_numpy()).all()
