"""From counts of features to ordered runs of counts of genes."""

import json
import time

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random

from scfm.corpus.ahead import ahead
from scfm.corpus.common import WIDE, raw_counts
from scfm.corpus.gather import gather
from scfm.corpus.scan import blocks, scan
from scfm.corpus.scatter import onto_genes, scatter
from scfm.corpus.settings import CellQC, ScanSettings, ScatterSettings
from scfm.corpus.soma import SomaStore
from scfm.errors import ScfmError


def test_reading_ahead_keeps_order_and_raises_where_the_error_was():
    assert list(ahead(iter(range(5)))) == [0, 1, 2, 3, 4]
    assert list(ahead([])) == []
    seen: list[int] = []

    def items():
        yield 1
        yield 2
        raise ScfmError("the third")

    with pytest.raises(ScfmError, match="the third"):
        seen.extend(ahead(items()))
    assert seen == [1, 2]


def test_blocks_are_cut_at_multiples_of_their_size():
    assert list(blocks(0, 10, 4)) == [(0, 4), (4, 8), (8, 10)]
    assert list(blocks(3, 9, 4)) == [(3, 4), (4, 8), (8, 9)]
    assert list(blocks(5, 7, 4)) == [(5, 7)]
    assert list(blocks(8, 8, 4)) == []


@pytest.mark.parametrize("seed", range(5))
def test_features_become_genes_as_in_a_product_of_matrices(seed):
    rng = np.random.default_rng(seed)
    counts = random(30, 50, 0.2, format="csr", random_state=rng, data_rvs=lambda n: rng.integers(1, 9, n)).astype(int)
    counts[4] = 0
    counts.eliminate_zeros()
    gene_of = rng.integers(-1, 12, 50).astype(np.int32)
    product = counts.toarray() @ (gene_of[:, None] == np.arange(12)).astype(int)
    out = onto_genes(counts, gene_of, 12)
    np.testing.assert_array_equal(out.toarray(), product)
    assert out.has_canonical_format
    assert (out.data > 0).all()


def test_counts_stay_narrow_until_they_are_large():
    small, large = csr_matrix([[1.0, 0.0, 3.0]]), csr_matrix([[WIDE, 1]])
    assert raw_counts(small, "x").dtype == np.int32
    assert raw_counts(large, "x").dtype == np.int64
    assert raw_counts(csr_matrix([[2**40]]), "x").data.tolist() == [2**40]
    zero = csr_matrix((np.array([0, 2]), np.array([0, 1]), np.array([0, 2])), shape=(1, 2))
    assert raw_counts(zero, "x").nnz == 1
    for wrong in ([[0.5]], [[-1]], [[-1.0]]):
        with pytest.raises(ScfmError, match="raw counts"):
            raw_counts(csr_matrix(wrong), "x")


def test_short_runs_give_the_same_shards(prepare, built, small, local_soma, tmp_path):
    prepare(tmp_path, steps=("select",), shard_cells=300)
    settings = ScatterSettings(source=small, block=64)
    done = scatter(settings, tmp_path / "selection", 0, 1, tmp_path / "part", local_soma, run=2_000)
    assert done["runs"] > 3
    assert json.loads((tmp_path / "part" / "part.json").read_text()) == done
    manifest = gather(tmp_path / "selection", [tmp_path / "part"], tmp_path / "shards")
    assert manifest["files"] == json.loads((built / "shards" / "manifest.json").read_text())["files"]


@pytest.mark.parametrize("step", ["scan", "scatter"])
def test_no_read_is_under_way_after_an_error(prepare, small, local_soma, monkeypatch, tmp_path, step):
    """What was read is refused while the next block is read; the store must not be closed under that read."""
    prepare(tmp_path, steps=("select",))
    under_way, read = [], SomaStore._triplets

    def slowly(store, joinids):
        under_way.append(joinids)
        time.sleep(0.2)
        found = read(store, joinids)
        under_way.pop()
        return found

    def refuse(*_):
        time.sleep(0.1)
        raise ScfmError("refused")

    monkeypatch.setattr(SomaStore, "_triplets", slowly)
    monkeypatch.setattr("scfm.corpus.soma.refuse_no_counts", refuse)
    slices = {"source": small, "block": 64}
    part = (0, 1, tmp_path / "again", local_soma)
    run = {
        "scan": lambda: scan(ScanSettings(**slices, qc=CellQC()), *part),
        "scatter": lambda: scatter(ScatterSettings(**slices), tmp_path / "selection", *part),
    }[step]
    with pytest.raises(ScfmError, match="refused"):
        run()
    assert under_way == []
    assert not (tmp_path / "again").exists()
