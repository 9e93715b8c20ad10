"""Cells read direct from the store are those of the shards."""

import multiprocessing
import pickle
import shutil

import anndata
import numpy as np
import pandas as pd
import pytest

import scfm.corpus.direct as module
from scfm.corpus import Shards
from scfm.corpus.build import build_soma
from scfm.corpus.direct import Direct
from scfm.corpus.settings import Corpus, SourceSettings
from scfm.corpus.synthetic import corpus_names, dataset_row
from scfm.errors import ScfmError


@pytest.fixture(scope="session")
def source(small):
    return SourceSettings(source=small, retry={"attempts": 2, "seconds": 0})


@pytest.fixture
def direct(built, local_soma, source):
    return Direct.open(built / "selection", source, local_soma)


@pytest.fixture
def shards(built):
    return Shards.open(built / "shards")


@pytest.fixture
def dense(shards, densify):
    """Counts of the shards, int64 [cells, genes]; no cell of this census lacks every kept gene."""
    assert shards.manifest["cells_without_kept_gene"] == 0
    return densify(shards.read(np.arange(len(shards))), len(shards.genes))


def test_its_tables_are_those_of_the_shards(direct, shards):
    assert len(direct) == len(shards) == len(direct.cells)
    totals = ["n_counts", "n_genes"]  # over all features here, over the kept genes there
    pd.testing.assert_frame_equal(direct.cells.drop(columns=totals), shards.cells.drop(columns=totals))
    assert (direct.cells[totals] >= shards.cells[totals]).all(axis=None)
    pd.testing.assert_frame_equal(direct.genes[shards.genes.columns], shards.genes)
    assert direct.datasets == shards.datasets
    np.testing.assert_array_equal(direct.measured, shards.measured)
    np.testing.assert_array_equal(direct.dataset_codes, shards.dataset_codes)
    np.testing.assert_array_equal(direct.rows("train"), shards.rows("train"))


@pytest.mark.parametrize("io_cells", [1, 7, 64, 100_000])
@pytest.mark.parametrize("sizes", [[500], [1] * 9, [0, 5, 0, 33, 7], [8] * 20, []])
def test_every_span_holds_the_counts_of_the_shards(direct, shards, dense, densify, monkeypatch, io_cells, sizes):
    monkeypatch.setattr(module, "IO_CELLS", io_cells)
    rng = np.random.default_rng(len(sizes))
    spans = [rng.integers(0, len(direct), size) for size in sizes]  # any order, with repeats
    held = list(direct.stream(iter(spans)))
    assert len(held) == len(spans)
    for span, found in zip(spans, held, strict=True):
        np.testing.assert_array_equal(densify(found, dense.shape[1]), dense[span])
        for array, expected in zip(found, shards.read(span), strict=True):
            assert array.dtype == expected.dtype
            np.testing.assert_array_equal(array, expected)  # genes of a cell in the same order too


def test_reads_hold_so_many_cells_at_most(direct, monkeypatch):
    monkeypatch.setattr(module, "IO_CELLS", 20)
    reads, original = [], module._io_batch
    monkeypatch.setattr(module, "_io_batch", lambda store, ids: reads.append(len(ids)) or original(store, ids))
    assert len(list(direct.stream([np.arange(8)] * 5 + [np.arange(30), np.arange(3)]))) == 7
    assert reads == [8, 8, 8, 30, 3]  # of 16, 16, 8, 30 and 3 rows, without repeats


def test_reading_order_is_that_of_the_store(direct, shards):
    rows = np.random.default_rng(0).permutation(len(direct))[:100]
    ordered = direct.reading_order(rows)
    assert (np.diff(direct.joinids[ordered]) > 0).all()
    assert set(ordered) == set(rows)
    np.testing.assert_array_equal(shards.reading_order(rows), rows)


def test_a_stream_that_is_left_early_lets_go_of_the_store(direct, monkeypatch):
    monkeypatch.setattr(module, "IO_CELLS", 4)
    stream = direct.stream(np.arange(4) + start for start in range(0, 400, 4))
    assert len(next(stream)[2]) == 4
    stream.close()
    assert len(next(direct.stream([np.arange(3)]))[2]) == 3


def test_a_cell_without_any_kept_gene_has_no_count(built, local_soma, source, direct, dense, densify, tmp_path):
    selection = tmp_path / "selection"
    shutil.copytree(built / "selection", selection)
    gene = int(np.argmin(np.abs((dense > 0).mean(0) - 0.5)))  # keep one gene, which half of the cells express
    features = pd.read_parquet(selection / "features.parquet")
    features[features["gene"] == gene].assign(gene=0).to_parquet(selection / "features.parquet")
    pd.read_parquet(selection / "genes.parquet").iloc[[gene]].to_parquet(selection / "genes.parquet")
    one = Direct.open(selection, source, local_soma)
    empty = np.flatnonzero(dense[:, gene] == 0)
    assert len(empty) > 3
    spans = [np.arange(40), empty[:3]]
    for span, found in zip(spans, one.stream(spans), strict=True):
        np.testing.assert_array_equal(densify(found, 1), dense[span][:, [gene]])


def _total(direct):
    return sum(int(count.sum()) for _, count, _ in direct.stream([np.arange(20), np.arange(20, 50)]))


def test_another_process_reads_the_same(direct, dense):
    assert pickle.loads(pickle.dumps(direct)).path == direct.path
    with multiprocessing.get_context(direct.start_method).Pool(1) as pool:
        assert pool.apply(_total, (direct,)) == dense[:50].sum()


def test_what_is_not_its_store_is_refused(built, census, local_soma, source, small, tmp_path):
    selection = built / "selection"
    name = corpus_names(small)[0]
    adata = anndata.read_h5ad(census / f"{name}.h5ad")[:, :-3]
    adata.write_h5ad(tmp_path / "fewer.h5ad")
    build_soma([tmp_path / "fewer.h5ad"], [dataset_row(name)], tmp_path / "fewer")
    other = source.model_copy(update={"source": small.model_copy(update={"seed": 1})})
    for settings, path, message in (
        (source, tmp_path / "fewer", "selected from another store"),
        (other, local_soma, "selected from another store"),
        (source, tmp_path / "none", "cannot open"),
        (source, None, "--soma: missing"),
    ):
        with pytest.raises(ScfmError, match=message) as error:
            Direct.open(selection, settings, path)
        assert "\n" not in str(error.value)
    with pytest.raises(ScfmError, match="selection"):
        Direct.open(tmp_path, source, local_soma)


def test_files_without_a_soma_are_refused(built):
    files = Corpus.model_validate({"source": {"kind": "files", "datasets": ["a"]}}).source
    with pytest.raises(ScfmError, match=r"training.loader: 'soma' needs a SOMA.*loader: shards"):
        Direct.open(built / "selection", SourceSettings(source=files))


def test_a_read_that_fails_is_tried_again(direct, dense, densify, monkeypatch):
    original, failures = module._io_batch, [OSError("connection reset")]

    def once(store, joinids):
        if failures:
            raise failures.pop()
        return original(store, joinids)

    monkeypatch.setattr(module, "_io_batch", once)
    (found,) = direct.stream([np.arange(5)])
    np.testing.assert_array_equal(densify(found, dense.shape[1]), dense[:5])
    failures += [OSError("gone")] * 2
    with pytest.raises(ScfmError, match=r"cannot be read after 2 attempts \(gone\)"):
        list(direct.stream([np.arange(5)]))
