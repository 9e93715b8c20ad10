"""Nearest donors by cosine against scipy's distances, and the approximate index against exact search."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from scfm.benchmarks import donor_search
from scfm.benchmarks.donor_search import nearest_donors
from scfm.errors import ScfmError


@pytest.fixture
def vectors():
    """Function from numbers of rows and columns to normal vectors of uneven length."""
    rng = np.random.default_rng(0)
    return lambda rows, width: rng.normal(size=(rows, width)) * rng.uniform(0.1, 10, (rows, 1))


def test_exact_search_is_that_of_all_distances(vectors, monkeypatch):
    queries, references = vectors(23, 7), vectors(40, 7)
    distance = cdist(queries, references, "cosine")
    expected = distance.argsort(1)[:, :5]
    for block in (2**24, 100):  # at once, and two queries at a time
        monkeypatch.setattr(donor_search, "BLOCK", block)
        rows, cosines = nearest_donors(queries, references, 5)
        np.testing.assert_array_equal(rows, expected)
        np.testing.assert_allclose(cosines, 1 - np.take_along_axis(distance, expected, 1), atol=1e-6)
    assert rows.dtype == np.int64
    assert cosines.dtype == np.float32


def test_all_references_can_be_asked_for(vectors):
    rows, _ = nearest_donors(vectors(3, 4), vectors(6, 4), 6)
    assert np.array_equal(np.sort(rows, 1), np.tile(np.arange(6), (3, 1)))


def test_no_query_has_no_neighbours(vectors):
    rows, cosines = nearest_donors(np.empty((0, 4)), vectors(6, 4), 2)
    assert rows.shape == cosines.shape == (0, 2)


@pytest.mark.long
def test_many_references_are_searched_by_an_index(vectors, monkeypatch):
    monkeypatch.setattr(donor_search, "MANY", 3_999)
    references, queries = vectors(4_000, 16), vectors(200, 16)
    rows, cosines = nearest_donors(queries, references, 10, seed=3)
    exact, _ = nearest_donors(queries, references, 10, approximate=False)
    recall = np.mean([len(np.intersect1d(a, b)) for a, b in zip(rows, exact, strict=True)]) / 10
    assert recall >= 0.95
    np.testing.assert_allclose(
        cosines, 1 - np.take_along_axis(cdist(queries, references, "cosine"), rows, 1), atol=1e-5
    )
    assert (np.diff(cosines, axis=1) <= 0).all()
    again, _ = nearest_donors(queries, references, 10, seed=3)
    np.testing.assert_array_equal(rows, again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q, r: (q[:, :3], r, 2), "widths 3 and 4; embed both with one model"),
        (lambda q, r: (q, r, 7), "neighbors is 7, expected 1 to 6"),
        (lambda q, r: (q, r, 0), "neighbors is 0, expected 1 to 6"),
        (lambda q, r: (q * np.nan, r, 2), "queries: the vector of row 0 is zero or not finite"),
        (lambda q, r: (q, r * (np.arange(6) != 4)[:, None], 2), "references: the vector of row 4 is zero"),
        (lambda q, r: (q[0], r, 2), r"queries: vectors have shape \(4,\), expected \[donors, width\]"),
    ],
)
def test_what_cannot_be_compared_is_refused(vectors, change, message):
    with pytest.raises(ScfmError, match=message):
        nearest_donors(*change(vectors(3, 4), vectors(6, 4)))
