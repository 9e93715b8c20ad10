import multiprocessing

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scfm.corpus import Shards, write_shards
from scfm.corpus.csr import as_counts, write_csr
from scfm.errors import ScfmError


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    dense = rng.poisson(0.6, size=(23, 17)).astype(np.int64)
    dense[4] = 0
    dense[2, 3], dense[2, 4], dense[2, 5], dense[20, 0] = 65_534, 65_535, 65_536, 3_000_000_000
    return dense


@pytest.fixture
def shards(counts, tmp_path):
    genes = pd.DataFrame({"gene": [f"G{i}" for i in range(17)]})
    cells = pd.DataFrame({"dataset_id": ["a", "b"] * 11 + ["a"], "split": ["train"] * 20 + ["validation"] * 3})
    bounds = [(0, 9), (9, 10), (10, 23)]
    parts = [(as_counts(csr_matrix(counts[i:j])), cells.iloc[i:j]) for i, j in bounds]
    write_shards(tmp_path / "shards", parts, genes, ["b", "a"], np.ones((2, 17)), {"release": "x"})
    return Shards.open(tmp_path / "shards")


@pytest.mark.parametrize(
    "rows", [[], [3], [22, 0, 9, 9, 4, 2, 20, 21], list(range(23)), list(range(22, -1, -1))], ids=len
)
def test_rows_come_back_exactly_in_the_order_asked(shards, counts, rows, densify):
    read = shards.read(np.array(rows, dtype=np.int64))
    wide = any(counts[rows].max(axis=1, initial=0) >= 65_535)
    assert [array.dtype for array in read] == [np.uint16, np.int64 if wide else np.uint16, np.int64]
    np.testing.assert_array_equal(densify(read, 17), counts[rows])


def test_counts_that_do_not_fit_16_bits_survive(shards):
    gene, count, _ = shards.read(np.array([2, 20]))
    assert {65_534, 65_535, 65_536, 3_000_000_000} <= set(count.tolist())
    assert count[np.flatnonzero(gene == 0)[-1]] == 3_000_000_000


def test_tables(shards, counts):
    assert len(shards) == 23
    assert shards.manifest["release"] == "x"
    np.testing.assert_array_equal(shards.cells["n_counts"], counts.sum(1))
    np.testing.assert_array_equal(shards.cells["n_genes"], (counts > 0).sum(1))
    np.testing.assert_array_equal(shards.dataset_codes[:3], [1, 0, 1])
    np.testing.assert_array_equal(shards.rows("validation"), [20, 21, 22])
    assert shards.measured.dtype == bool
    assert shards.measured.shape == (2, 17)


def test_another_process_reads_the_same(shards, counts, densify):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        read = pool.apply(shards.read, (np.arange(23),))
    np.testing.assert_array_equal(densify(read, 17), counts)


def test_rows_outside_are_refused(shards):
    for row in (-1, 23):
        with pytest.raises(IndexError):
            shards.read(np.array([row]))


def test_more_genes_than_16_bits_is_an_error(tmp_path):
    genes = pd.DataFrame({"gene": [f"G{i}" for i in range(65_537)]})
    with pytest.raises(ScfmError, match="65,536"):
        write_shards(tmp_path / "s", [], genes, [], np.zeros((0, 65_537)))
    with pytest.raises(ScfmError, match="65,536"):
        write_csr(tmp_path / "c", [0, 1], [65_536], [1])
    assert not any(tmp_path.iterdir())


def test_what_is_no_count_or_not_of_one_length_is_an_error(tmp_path):
    genes, cells = pd.DataFrame({"gene": ["A", "B"]}), pd.DataFrame({"dataset_id": ["a"]})
    with pytest.raises(ScfmError, match="count -1 is negative"):
        as_counts(csr_matrix([[0, -1], [2, 3]]))
    gene, count = np.array([0, 1], np.uint16), np.array([5, 6], np.uint16)
    for wrong in ((gene[:1], count, [2]), (gene, count[:1], [2]), (gene, count, [1])):
        with pytest.raises(ScfmError, match="one of each for every nonzero"):
            write_shards(tmp_path / "s", [((*wrong[:2], np.array(wrong[2])), cells)], genes, ["a"], np.ones((1, 2)))
    assert not any(tmp_path.iterdir())


def test_the_last_gene_id_of_16_bits_fits(tmp_path):
    genes = pd.DataFrame({"gene": [f"G{i}" for i in range(65_536)]})
    one = csr_matrix(([7], ([0], [65_535])), shape=(1, 65_536))
    write_shards(
        tmp_path / "s", [(as_counts(one), pd.DataFrame({"dataset_id": ["a"]}))], genes, ["a"], np.ones((1, 65_536))
    )
    gene, count, _ = Shards.open(tmp_path / "s").read(np.array([0]))
    assert gene.tolist() == [65_535]
    assert count.tolist() == [7]


def test_no_cell_repeated_gene_and_missing_pieces_are_errors(tmp_path, shards):
    genes = pd.DataFrame({"gene": ["A", "A"]})
    with pytest.raises(ScfmError, match="'A' occurs twice"):
        write_shards(tmp_path / "s", [], genes, [], np.zeros((0, 2)))
    with pytest.raises(ScfmError, match="no cell"):
        write_shards(tmp_path / "s", [], genes.iloc[:1], [], np.zeros((0, 1)))
    assert not (tmp_path / "s").exists()
    with pytest.raises(ScfmError, match="manifest"):
        Shards.open(tmp_path / "nothing")
    np.save(shards.path / "shard-00000" / "overflow.npy", np.zeros((0, 2), dtype=np.int64))
    with pytest.raises(ScfmError, match="overflow"):
        Shards.open(shards.path).read(np.array([2]))
    (shards.path / "shard-00001" / "genes.npy").unlink()
    with pytest.raises(ScfmError, match="missing"):
        Shards.open(shards.path).read(np.array([9]))
