"""What Cell Ranger writes: HDF5 of two generations, and folders."""

import gzip

import h5py
import numpy as np
import pytest
from scipy.sparse import csc_matrix

from scfm.corpus import tenx
from scfm.corpus.deposits import open_deposits
from scfm.corpus.tenx import convert_mtx
from scfm.datasets import Dataset
from scfm.errors import ScfmError

ROW = Dataset(name="d", organism="Homo sapiens", values="counts")
# Genes by cells, as Cell Ranger writes; the last row is an antibody, the second cell is empty, TBCE repeats.
COUNTS = np.array([[1, 0, 0, 70_000], [0, 0, 2, 3], [4, 0, 0, 5], [9, 9, 9, 9]])
NAMES = ["CD4", "TBCE", "TBCE", "CD3"]
IDS = ["ENSG1", "ENSG2", "ENSG3", "CD3_TotalSeqB"]
TYPES = ["Gene Expression"] * 3 + ["Antibody Capture"]


def write_h5(path, old=False):
    with h5py.File(path, "w") as file:
        group = file.create_group("GRCh38" if old else "matrix")
        matrix = csc_matrix(COUNTS[:3] if old else COUNTS)
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix, name)
        group["shape"], group["barcodes"] = matrix.shape, np.array([f"AC{i}-1" for i in range(4)], "S")
        if old:
            group["genes"], group["gene_names"] = np.array(IDS[:3], "S"), np.array(NAMES[:3], "S")
        else:
            for name, values in (("id", IDS), ("name", NAMES), ("feature_type", TYPES)):
                group[f"features/{name}"] = np.array(values, "S")
    return path


def write_folder(folder, counts=COUNTS, order=None, size=None, old=False, zipped=True, text="integer"):
    folder.mkdir(exist_ok=True)
    gene, cell = np.nonzero(counts)
    order = np.lexsort((gene, cell)) if order is None else order
    size = size or (*counts.shape, len(gene))
    lines = [f"%%MatrixMarket matrix coordinate {text} general", "%metadata", " ".join(map(str, size))]
    lines += [f"{gene[i] + 1} {cell[i] + 1} {counts[gene[i], cell[i]]}" for i in order]
    fields = [IDS, NAMES] if old else [IDS, NAMES, TYPES]
    files = {
        "matrix.mtx": lines,
        "genes.tsv" if old else "features.tsv": ["\t".join(row) for row in zip(*fields, strict=True)],
        "barcodes.tsv": [f"AC{i}-1" for i in range(4)],
    }
    for name, content in files.items():
        data = "".join(f"{line}\n" for line in content).encode()
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
    return folder


def check(path, genes=3):
    store = open_deposits([(path, ROW)])
    assert store.features["feature_name"].tolist() == ["CD4", "ENSG2", "ENSG3", "CD3"][:genes]
    assert store.features["feature_id"].tolist()[:3] == IDS[:3]
    np.testing.assert_array_equal(store.counts(0, 4, np.arange(4)).toarray(), COUNTS[:genes].T)
    np.testing.assert_array_equal(store.counts(1, 4, np.array([1, 3])).toarray(), COUNTS[:genes].T[[1, 3]])
    obs = store.obs(0, 4)
    assert obs["dataset_id"].tolist() == ["d"] * 4
    assert set(obs["cell_type_ontology_term_id"]) == {"unknown"}


@pytest.mark.parametrize("old", [False, True])
def test_hdf5(tmp_path, old):
    check(write_h5(tmp_path / "filtered_feature_bc_matrix.h5", old))


@pytest.mark.parametrize("zipped", [False, True])
def test_a_folder_is_converted_in_chunks(tmp_path, monkeypatch, zipped):
    monkeypatch.setattr(tenx, "CHUNK", 3)
    done = convert_mtx(write_folder(tmp_path / "in", zipped=zipped), tmp_path / "out.h5ad")
    assert done == {"cells": 4, "genes": 3, "entries": 6}
    check(tmp_path / "out.h5ad")


def test_an_old_folder_knows_genes_only(tmp_path):
    convert_mtx(write_folder(tmp_path / "in", old=True, zipped=False), tmp_path / "out.h5ad")
    check(tmp_path / "out.h5ad", genes=4)


def test_the_converted_file_is_an_h5ad(tmp_path):
    import anndata

    convert_mtx(write_folder(tmp_path / "in"), tmp_path / "out.h5ad")
    adata = anndata.read_h5ad(tmp_path / "out.h5ad")
    np.testing.assert_array_equal(adata.X.toarray(), COUNTS[:3].T)
    assert adata.obs_names.tolist() == ["AC0-1", "AC1-1", "AC2-1", "AC3-1"]
    assert adata.var["ensembl_id"].tolist() == IDS[:3]


def test_an_empty_matrix_is_converted(tmp_path):
    assert convert_mtx(write_folder(tmp_path / "in", COUNTS * 0), tmp_path / "out.h5ad")["entries"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": np.arange(9)}, "not ordered by cell"),
        ({"size": (4, 5, 10)}, "says '4 5 10' where features and barcodes give 4 genes and 4 cells"),
        ({"size": (4, 4, 12)}, "holds 10 entries where it promises 12"),
        ({"counts": -COUNTS}, "negative or non-integer"),
        ({"counts": COUNTS + 0.5}, "negative or non-integer"),
    ],
)
def test_wrong_folders_are_one_sentence(tmp_path, changes, message):
    with pytest.raises(ScfmError, match=message) as raised:
        convert_mtx(write_folder(tmp_path / "in", **changes), tmp_path / "out.h5ad")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out.h5ad").exists()


def test_damaged_and_missing_files(tmp_path):
    folder = write_folder(tmp_path / "in")
    content = (folder / "matrix.mtx.gz").read_bytes()
    (folder / "matrix.mtx.gz").write_bytes(content[:-9])
    with pytest.raises(ScfmError, match="cannot be read"):
        convert_mtx(folder, tmp_path / "out.h5ad")
    (folder / "matrix.mtx.gz").write_bytes(gzip.compress(b"gene\tcount\n"))
    with pytest.raises(ScfmError, match="expected a Matrix Market file"):
        convert_mtx(folder, tmp_path / "out.h5ad")
    (folder / "barcodes.tsv.gz").unlink()
    with pytest.raises(ScfmError, match=r"holds no barcodes.tsv.gz"):
        convert_mtx(folder, tmp_path / "out.h5ad")
    path = write_h5(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ScfmError, match="not a 10x HDF5 file"):
        open_deposits([(path, ROW)])
