"""Copies of stretches, against NumPy's slices; a stretch that does not exist is an error, never foreign memory."""

import pickle

import numpy as np
import pytest

from scfm.corpus.csr import CountsFolder, write_csr
from scfm.corpus.spans import Spans
from scfm.errors import ScfmError


def joined(arrays, of, start, stop):
    return np.concatenate([arrays[k][a:b] for k, a, b in zip(of, start, stop, strict=True)])


@pytest.mark.parametrize("types", [["u2"] * 3, ["i8"] * 3, ["u2", "i8", "u2"], ["i4"] * 3])
def test_any_stretches_in_any_order(types):
    rng = np.random.default_rng(0)
    sizes = (5_000, 1, 700)
    genes = [rng.integers(0, 60_000, size).astype(np.uint16) for size in sizes]
    counts = [rng.integers(0, 65_000, size).astype(kind) for size, kind in zip(sizes, types, strict=True)]
    of = rng.integers(0, 3, 400)
    size = np.array(sizes)[of]
    start, stop = np.sort(rng.integers(0, size[:, None] + 1, (400, 2)), axis=1).T
    gene, count, largest = Spans(genes, counts).copy(of, start, stop)
    np.testing.assert_array_equal(gene, joined(genes, of, start, stop))
    np.testing.assert_array_equal(count, joined(counts, of, start, stop))
    assert (gene.dtype, count.dtype) == (np.uint16, np.result_type(*types))
    assert largest == count.max()
    assert (start == stop).any()
    assert (stop == size).any()


def test_arrays_that_are_read_only_mapped_or_strided(tmp_path):
    numbers = np.arange(100, dtype=np.uint16)
    np.save(tmp_path / "a.npy", numbers)
    arrays = [np.load(tmp_path / "a.npy", mmap_mode="r"), numbers[::3], np.empty(0, np.uint16)]
    of, start, stop = np.array([1, 0, 2, 0]), np.array([4, 90, 0, 3]), np.array([9, 100, 0, 5])
    gene, count, largest = Spans(arrays, arrays).copy(of, start, stop)
    assert gene.tolist() == count.tolist() == [12, 15, 18, 21, 24, *range(90, 100), 3, 4]
    assert largest == 99
    gene[0] = 1  # the copy is the caller's own


def test_nothing_of_nothing():
    nothing = np.empty(0, np.int64)
    for places in ([], [np.arange(3)]):
        gene, count, largest = Spans(places, places).copy(nothing, nothing, nothing)
        assert (gene.tolist(), count.tolist(), largest) == ([], [], 0)


@pytest.mark.parametrize(
    ("start", "stop", "wrong"),
    [
        ([0, 5], [2, 11], 1),
        ([-1, 0], [2, 2], 0),
        ([0, 8], [2, 3], 1),
        ([3, 0], [1, 10], 0),
        ([0, 12], [2, 13], 1),
        ([0, -(2**60)], [2, 2**60], 1),
    ],
)
def test_stretch_that_does_not_exist(start, stop, wrong):
    long, short = np.arange(12, dtype=np.uint16), np.arange(10, dtype=np.uint16)
    for places in (([long], [short]), ([short], [long])):
        with pytest.raises(IndexError) as error:
            Spans(*places).copy(np.zeros(2, np.int64), np.array(start), np.array(stop))
        assert error.value.args == (wrong, 10)


def test_place_that_does_not_exist():
    numbers, zero = np.arange(10, dtype=np.uint16), np.zeros(1, np.int64)
    for place in (-1, 1, 7):
        with pytest.raises(IndexError) as error:
            Spans([numbers], [numbers]).copy(np.array([place]), zero, zero)
        assert error.value.args == (0, 0)
    with pytest.raises(ValueError, match="2 places, 1 starts and 1 stops"):
        Spans([numbers], [numbers]).copy(np.zeros(2, np.int64), zero, zero)


def test_copies_of_it_read_their_own_arrays():
    numbers = np.arange(10, dtype=np.uint16)
    other = pickle.loads(pickle.dumps(Spans([numbers], [numbers])))
    numbers[:] = 0
    assert other.copy(np.array([0]), np.array([7]), np.array([10]))[0].tolist() == [7, 8, 9]


def test_bounds_past_the_counts_name_the_folder(tmp_path):
    write_csr(tmp_path / "shard", [0, 2, 3], [1, 2, 0], [5, 6, 7])
    np.save(tmp_path / "shard" / "indptr.npy", np.array([0, 2, 30]))
    assert CountsFolder(tmp_path / "shard").read(np.array([0]))[1].tolist() == [5, 6]
    with pytest.raises(ScfmError, match=r"shard: indptr\.npy asks for 2 to 30 of 3 counts"):
        CountsFolder(tmp_path / "shard").read(np.array([1, 0]))
