"""Deposits read in place give what the SOMA built from them gives, and what the files hold."""

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csc_matrix, csr_matrix

from scfm.corpus import Shards, hdf5
from scfm.corpus.build import build_soma
from scfm.corpus.deposits import open_deposits
from scfm.corpus.gather import gather
from scfm.corpus.scan import scan
from scfm.corpus.scatter import scatter
from scfm.corpus.select import select
from scfm.corpus.settings import Corpus, Files, ScanSettings, ScatterSettings, SelectSettings, Soma
from scfm.corpus.source import open_source
from scfm.corpus.synthetic import corpus_names, dataset_row
from scfm.datasets import Dataset
from scfm.errors import ScfmError

ROW = Dataset(name="d", organism="Homo sapiens", values="counts")
GENES = [f"G{i}" for i in range(6)]


@pytest.fixture
def counts():
    dense = np.random.default_rng(0).poisson(0.7, size=(11, 6))
    dense[3] = 0
    dense[2, 1] = 3_000_000
    return dense


def write(path, x, genes=GENES, obs=None, var=None, **parts):
    obs = pd.DataFrame(obs or {}, index=[f"c{i}" for i in range(x.shape[0])])
    AnnData(x, obs=obs, var=pd.DataFrame(var or {}, index=genes), **parts).write_h5ad(path)
    return path


def everything(store):
    joinids = store.obs(0, store.cells)["soma_joinid"].to_numpy()
    return store.counts(0, store.cells, joinids).toarray()


@pytest.fixture(scope="module")
def by_path(census, small, local_soma, tmp_path_factory):
    """Folders of the stage run on the same cells from the SOMA and from the files, in two parts."""
    names = corpus_names(small)
    deposits = [(census / f"{name}.h5ad", dataset_row(name)) for name in names]
    sources = {
        "soma": {"kind": "soma", "uri": str(local_soma), "value_filter": "tissue != 'lung'"},
        "files": {"kind": "files", "datasets": names, "value_filter": "tissue != 'lung'"},
    }
    folders = {}
    for name, source in sources.items():
        folder = folders[name] = tmp_path_factory.mktemp(name)
        corpus = Corpus.model_validate({"source": source, "block": 64, "shard_cells": 300})
        slices = [m(**{k: getattr(corpus, k) for k in m.model_fields}) for m in (ScanSettings, ScatterSettings)]
        chosen = SelectSettings(**{k: getattr(corpus, k) for k in SelectSettings.model_fields})
        own = deposits if name == "files" else ()
        for k in (0, 1):
            scan(slices[0], k, 2, folder / f"scan-{k}", None, own)
        hgnc = census / "annotation" / "hgnc.tsv"
        select(chosen, [folder / "scan-0", folder / "scan-1"], hgnc, folder / "selection")
        for k in (0, 1):
            scatter(slices[1], folder / "selection", k, 2, folder / f"scatter-{k}", None, own)
        gather(folder / "selection", [folder / "scatter-0", folder / "scatter-1"], folder / "shards")
    return folders


def test_the_stage_gives_the_same_bytes_from_files_and_from_a_soma(by_path):
    soma, files = (by_path[name] / "shards" for name in ("soma", "files"))
    written = [path.relative_to(soma) for path in soma.rglob("*") if path.is_file() and path.name != "manifest.json"]
    assert len(written) == 2 * 4 + 3
    for name in written:
        assert (soma / name).read_bytes() == (files / name).read_bytes(), name
    one, two = Shards.open(soma).manifest, Shards.open(files).manifest
    assert {key for key in one if one[key] != two[key]} == {"source"}


def test_the_selection_is_the_same_too(by_path):
    for name in ("cells.parquet", "genes.parquet", "features.parquet", "qc.csv", "split.csv", "gene_names.csv"):
        assert (by_path["soma"] / "selection" / name).read_bytes() == (
            by_path["files"] / "selection" / name
        ).read_bytes(), name


@pytest.mark.parametrize(
    "form",
    [csr_matrix, csc_matrix, np.asarray, lambda x: csr_matrix(x.astype(np.float64))],
    ids=["csr", "csc", "dense", "float"],
)
def test_every_form_of_matrix_is_read_in_ranges(tmp_path, monkeypatch, counts, form):
    # Smaller than the matrix, so that windows and chunks meet within a range.
    monkeypatch.setattr(hdf5, "CHUNK", 7)
    monkeypatch.setattr(hdf5, "WINDOW", 12)
    store = open_deposits([(write(tmp_path / "a.h5ad", form(counts)), ROW)])
    np.testing.assert_array_equal(everything(store), counts)
    for start, stop in ((0, 1), (3, 9), (10, 11), (2, 2)):
        np.testing.assert_array_equal(
            store.counts(start, stop, np.arange(start, stop)).toarray(), counts[start:stop].reshape(-1, 6)
        )
    np.testing.assert_array_equal(store.counts(1, 10, np.array([2, 7])).toarray(), counts[[2, 7]])


def test_only_the_range_is_read(tmp_path, monkeypatch, counts):
    path, read = write(tmp_path / "a.h5ad", csr_matrix(counts)), []
    original = h5py.Dataset.__getitem__

    def recorded(dataset, key, *more):
        out = original(dataset, key, *more)
        if dataset.name.startswith("/X/"):
            read.append(np.size(out))
        return out

    store = open_deposits([(path, ROW)])
    monkeypatch.setattr(h5py.Dataset, "__getitem__", recorded)
    store.counts(5, 7, np.array([5, 6]))
    assert sum(read) == 3 + 2 * (counts[5:7] > 0).sum()


def test_union_of_genes_and_who_measured_them(tmp_path):
    a = write(tmp_path / "a.h5ad", csr_matrix([[1, 2]]), ["CD4", "CD8A"], var={"ensembl_id": ["", "ENSG2"]})
    b = write(
        tmp_path / "b.h5ad", csr_matrix([[3, 4, 5]]), ["GNLY", "CD4", "CD8A"], var={"ensembl": ["", "ENSG1", "ENSG9"]}
    )
    store = open_deposits([(a, ROW.model_copy(update={"name": "a"})), (b, ROW.model_copy(update={"name": "b"}))])
    assert store.features["feature_name"].tolist() == ["CD4", "CD8A", "GNLY"]
    assert store.features["feature_id"].tolist() == ["ENSG1", "ENSG2", "GNLY"]
    assert store.features["other_id"].tolist() == ["", "ENSG9", ""]
    assert store.measured.loc["a"].tolist() == [True, True, False]
    assert store.measured.loc["b"].all()
    assert everything(store).tolist() == [[1, 2, 0], [4, 5, 3]]


def test_cells_that_the_sheet_leaves_out_have_no_number(tmp_path, counts):
    obs = {"species": ["human", "mouse"] * 5 + ["human"]}
    path = write(tmp_path / "a.h5ad", csr_matrix(counts), obs=obs, obsm={"spatial": np.arange(33.0).reshape(11, 3)})
    store = open_deposits([(path, ROW.model_copy(update={"keep": "species == human"}))])
    assert store.cells == 6
    np.testing.assert_array_equal(everything(store), counts[::2])
    assert store.obs(2, 4)[["soma_joinid", "x", "y"]].to_numpy().tolist() == [[2, 12, 13], [3, 18, 19]]


def test_the_matrix_of_raw(tmp_path, counts):
    adata = AnnData(csr_matrix(counts), var=pd.DataFrame(index=GENES))
    adata.raw = adata.copy()
    adata = adata[:, :2].copy()
    adata.X = csr_matrix(np.full((11, 2), 0.5))
    adata.write_h5ad(tmp_path / "a.h5ad")
    store = open_deposits([(tmp_path / "a.h5ad", ROW.model_copy(update={"matrix": "raw"}))])
    np.testing.assert_array_equal(everything(store), counts)
    with pytest.raises(ScfmError, match="non-integer"):
        everything(open_deposits([(tmp_path / "a.h5ad", ROW)]))


def test_files_and_the_soma_built_from_them_number_cells_alike(tmp_path, counts):
    a = write(tmp_path / "a.h5ad", csr_matrix(counts), obs={"kind": ["x", "y"] * 5 + ["x"]})
    b = write(tmp_path / "b.h5ad", csr_matrix(counts[:, ::-1]), GENES[::-1], obs={"tissue": "blood"})
    rows = [ROW.model_copy(update={"name": "a", "keep": "kind == y"}), ROW.model_copy(update={"name": "b"})]
    build_soma([a, b], rows, tmp_path / "soma")
    files = open_source(Files(kind="files", datasets=("a", "b")), None, [(a, rows[0]), (b, rows[1])])
    with files as direct, open_source(Soma(kind="soma", uri=str(tmp_path / "soma"))) as built:
        pd.testing.assert_frame_equal(direct.obs(0, 16), built.obs(0, 16))
        pd.testing.assert_frame_equal(direct.measured, built.measured)
        np.testing.assert_array_equal(everything(direct), everything(built))
        pd.testing.assert_frame_equal(direct.features[built.features.columns], built.features)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_column": "celltype"}, "obs column 'celltype' .cell type|'celltype'"),
        ({"keep": "tissue == moon"}, "no cell is left by 'tissue == moon'|'tissue'"),
        ({"values": "tpm"}, "a corpus needs raw counts"),
        ({"organism": ""}, "no organism"),
        ({"matrix": "raw"}, "raw"),
    ],
)
def test_what_a_row_says_and_the_file_has_not(tmp_path, counts, changes, message):
    path = write(tmp_path / "a.h5ad", csr_matrix(counts), obs={"tissue": "blood"})
    with pytest.raises(ScfmError, match=message) as raised:
        open_deposits([(path, ROW.model_copy(update=changes))]).obs(0, 5)
    assert "\n" not in str(raised.value)


def test_damaged_and_missing_files(tmp_path, counts):
    path = write(tmp_path / "a.h5ad", csr_matrix(counts))
    store = open_deposits([(path, ROW)])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ScfmError, match="rows 0 to 4 of 'X' cannot be read"):
        store.counts(0, 5, np.arange(5))
    with pytest.raises(ScfmError, match="not a readable h5ad"):
        open_deposits([(path, ROW)])
    with pytest.raises(ScfmError, match="not found"):
        open_deposits([(tmp_path / "none.h5ad", ROW)])
    with pytest.raises(ScfmError, match="'d' occurs twice"):
        open_deposits([(path, ROW), (path, ROW)])
    with pytest.raises(ScfmError, match="convert"):
        open_deposits([(tmp_path, ROW)])


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_one_symbol_twice_in_a_file(tmp_path):
    path = write(tmp_path / "a.h5ad", csr_matrix([[1, 2]]), ["CD4", "CD4"])
    with pytest.raises(ScfmError, match="gene 'CD4' occurs more than once"):
        open_deposits([(path, ROW)])


def test_rows_must_be_those_of_the_source(tmp_path):
    with (
        pytest.raises(ScfmError, match="--datasets: rows of d for "),
        open_source(Files(kind="files", datasets=("a", "b")), None, [(tmp_path / "x.h5ad", ROW)]),
    ):
        pass
