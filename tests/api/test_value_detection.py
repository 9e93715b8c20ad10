"""What a matrix holds, told from the data: against matrices that are made of known counts."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from scfm.errors import ScfmError
from scfm.expression import detect_values


@pytest.fixture
def counts():
    """60 cells of 300 genes, with depths that differ, as negative binomials give them."""
    rng = np.random.default_rng(0)
    mean = rng.gamma(0.3, 3, 300) * rng.uniform(0.5, 2, (60, 1))
    return csr_matrix(rng.poisson(mean * rng.gamma(1.0, size=mean.shape)).astype(np.float64))


def scaled(counts, total):
    depth = np.asarray(counts.sum(1))
    return csr_matrix(counts.multiply(total / depth))


def logged(counts, total=1e4, base=np.e):
    x = scaled(counts, total)
    x.data = np.log1p(x.data) / np.log(base)
    return x


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.int32])
def test_whole_numbers_are_counts(counts, kind):
    assert detect_values(counts.astype(kind)) == ("counts", "whole numbers")
    assert detect_values(csr_matrix(counts.shape))[0] == "counts"


@pytest.mark.parametrize("total", [100, 1e4, 1e6])
def test_values_of_equal_totals_are_linear_and_their_logarithms_not(counts, total):
    assert detect_values(scaled(counts, total))[0] == "tpm"
    assert detect_values(logged(counts, total))[0] == "lognorm"


def test_a_part_of_the_genes_is_enough(counts):
    linear, logs = scaled(counts, 80)[:, ::4].tocsr(), logged(counts)[:, ::4].tocsr()
    assert detect_values(linear) == ("tpm", "no whole numbers, steps of one count")
    assert detect_values(logs.astype(np.float32)) == ("lognorm", "steps of one count without the logarithm")


def test_values_from_reads_go_by_the_largest(counts):
    rng = np.random.default_rng(1)
    reads = counts.copy()
    reads.data *= rng.lognormal(size=reads.nnz)
    part = scaled(reads, 1e6)[:, :200].tocsr()
    assert detect_values(part)[0] == "tpm"
    part.data = np.log1p(part.data / 100)
    assert detect_values(part) == ("lognorm", "no whole numbers, none above 10")
    part.data *= 15 / part.data.max()
    with pytest.raises(ScfmError, match="values up to 15 can be log-normalised or linear; say values"):
        detect_values(part)


@pytest.mark.parametrize(("base", "factor"), [(2, "0.6931"), (10, "2.3026")])
def test_another_base_is_refused_with_its_factor(counts, base, factor):
    with pytest.raises(ScfmError, match=rf"logarithms to base {base} .* = {factor} and say values lognorm"):
        detect_values(logged(counts, base=base))


def test_scaled_and_missing_values_are_refused(counts):
    for wrong in (-1.0, np.nan, np.inf):
        spoilt = logged(counts)
        spoilt.data[3] = wrong
        with pytest.raises(ScfmError, match="negative or missing"):
            detect_values(spoilt)
