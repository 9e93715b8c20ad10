"""The compiled loops over nonzeros, against dense arithmetic."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import coo_matrix, csr_matrix

from scfm.corpus.common import FIXED_POINT
from scfm.corpus.kernels import (
    SMALL,
    add_gene_sums,
    count_triplets,
    map_columns,
    marked_sums,
    place_triplets,
    row_sums,
)


def matrix(seed, shape=(40, 150), dtype=np.int32):
    """Counts on both sides of SMALL, with empty rows and columns."""
    rng = np.random.default_rng(seed)
    dense = rng.poisson(0.5, shape) * rng.integers(1, 3 * SMALL, shape)
    dense[[0, 7, 8, shape[0] - 1]] = 0
    dense[:, [0, 5]] = 0
    return dense.astype(dtype)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint16])
def test_sums_of_rows_with_empty_ones_among_them(dtype):
    dense = matrix(1, dtype=dtype)
    counts, marked = csr_matrix(dense), np.arange(150) % 7 == 0
    np.testing.assert_array_equal(row_sums(counts.indptr, counts.data), dense.sum(1))
    parts = marked_sums(counts.indptr, counts.indices, counts.data, marked)
    np.testing.assert_array_equal(parts, dense[:, marked].sum(1))
    assert row_sums(np.zeros(1, np.int32), np.empty(0, dtype)).tolist() == []


def test_sums_wider_than_the_counts():
    for dtype in (np.uint16, np.int32):
        most = np.iinfo(dtype).max
        data, all_columns = np.full(3, most, dtype), np.ones(3, dtype=bool)
        assert row_sums(np.array([0, 3]), data).tolist() == [3 * int(most)]
        assert marked_sums(np.array([0, 3]), np.arange(3), data, all_columns).tolist() == [3 * int(most)]


def test_cells_without_counts():
    indptr, nothing = np.zeros(4, np.int32), np.empty(0, np.int32)
    assert row_sums(indptr, nothing).tolist() == [0, 0, 0]
    sums = np.zeros((1, 4, 4), np.int64)
    add_gene_sums(indptr, nothing, nothing, np.zeros(3, np.int64), np.zeros(3, np.int64), sums)
    assert not sums.any()
    assert [x.tolist() for x in map_columns(indptr, nothing, nothing, np.zeros(4, np.int32), 2)] == [[0] * 4, [], []]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_sums_of_genes_within_groups(dtype):
    dense, group = matrix(2, dtype=dtype), np.random.default_rng(2).integers(-1, 3, 40)
    counts, total = csr_matrix(dense), dense.sum(1).astype(np.int64)
    sums = np.zeros((3, 150, 4), np.int64)
    add_gene_sums(counts.indptr, counts.indices, counts.data, total, group, sums)
    log = np.log1p(1e4 * dense / np.maximum(total, 1)[:, None])
    for k in range(3):
        own = group == k
        np.testing.assert_array_equal(sums[k, :, 0], (dense[own] > 0).sum(0))
        np.testing.assert_array_equal(sums[k, :, 1], dense[own].sum(0))
        for j, y in ((2, log), (3, log**2)):
            np.testing.assert_array_equal(sums[k, :, j], np.rint(y[own] * FIXED_POINT).sum(0))
    once = sums.copy()
    add_gene_sums(counts.indptr, counts.indices, counts.data, total, group, sums)
    np.testing.assert_array_equal(sums, 2 * once)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("columns", [1, 63, 64, 65, 200])
def test_columns_are_renamed_dropped_and_summed_in_order(seed, columns):
    dense, rng = matrix(seed), np.random.default_rng(seed)
    new = rng.integers(-1, columns, 150).astype(np.int32)
    new[np.flatnonzero(new >= 0)[:1]] = columns - 1  # the last one is always there
    counts = csr_matrix(dense)
    shuffled = np.concatenate([low + rng.permutation(high - low) for low, high in pairwise(counts.indptr)])
    indptr, indices, data = map_columns(counts.indptr, counts.indices[shuffled], counts.data[shuffled], new, columns)
    out = csr_matrix((data, indices, indptr), shape=(40, columns))
    np.testing.assert_array_equal(out.toarray(), dense @ (new[:, None] == np.arange(columns)))
    assert out.has_canonical_format
    assert (data > 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64])
def test_triplets_in_any_order_become_rows_of_the_chosen_cells(dtype):
    dense, rng = matrix(3), np.random.default_rng(3)
    chosen = np.sort(rng.choice(40, 17, replace=False))
    position = np.full(40, -1, np.int32)
    position[chosen] = np.arange(17)
    all_of = coo_matrix(dense)
    order = rng.permutation(all_of.nnz)
    row, column, value = (
        x[order] for x in (all_of.row + 1_000, all_of.col.astype(np.int64), all_of.data.astype(dtype))
    )
    value[::50] = 0  # a stored zero is no count
    dense[row[::50] - 1_000, column[::50]] = 0
    lengths = np.zeros(17, np.int64)
    pieces = [slice(0, 300), slice(300, None)]
    checks = [count_triplets(row[p], value[p], 1_000, position, lengths) for p in pieces]
    np.testing.assert_array_equal(lengths, (dense[chosen] > 0).sum(1))
    assert [wrong for wrong, _ in checks] == [False, False]
    assert max(largest for _, largest in checks) == dense[chosen].max()
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    indices, data, following = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.int32), indptr[:-1].copy()
    for p in pieces:
        place_triplets(row[p], column[p], value[p], 1_000, position, following, indices, data)
    np.testing.assert_array_equal(following, indptr[1:])
    np.testing.assert_array_equal(csr_matrix((data, indices, indptr), shape=(17, 150)).toarray(), dense[chosen])


@pytest.mark.parametrize("wrong", [-1, 0.5, -0.5, np.nan, np.inf, -np.inf])
def test_what_is_no_count_is_seen_in_chosen_cells_only(wrong):
    row, value = np.array([0, 1]), np.array([3, wrong], np.float32)
    assert count_triplets(row, value, 0, np.array([0, 1], np.int32), np.zeros(2, np.int64))[0]
    assert not count_triplets(row, value, 0, np.array([0, -1], np.int32), np.zeros(2, np.int64))[0]
