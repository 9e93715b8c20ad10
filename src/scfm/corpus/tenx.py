"""What Cell Ranger writes: HDF5 files and folders of a Matrix Market file, features and barcodes."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from scfm.corpus.hdf5 import CHUNK, Matrix
from scfm.errors import ScfmError
from scfm.files import whole
from scfm.reading import DAMAGED

EXPRESSION = "Gene Expression"
"""Feature type that is kept; antibodies, guides and peaks are not genes."""
HEADER = "%%MatrixMarket matrix coordinate"


def read_tenx(path: Path) -> tuple[Matrix, pd.DataFrame, pd.DataFrame]:
    """Open a 10x HDF5 file, of Cell Ranger 3 and later or before.

    Returns:
        The matrix, stored gene by cell in CSC and therefore cell by gene in CSR; obs (index: barcodes, no column);
        var (name, id, kept: bool, it is a gene), one row a feature. See `unique_names` for names.

    Raises:
        ScfmError: it is no such file.
    """
    try:
        with h5py.File(path) as file:
            key = "matrix" if "matrix" in file else next(iter(file))
            group = file[key]
            shape = tuple(int(n) for n in group["shape"][:])
            features = group.get("features", group)
            names = _text(features["name" if "features" in group else "gene_names"])
            ids = _text(features["id" if "features" in group else "genes"])
            kinds = _text(features["feature_type"]) if "feature_type" in features else np.full(len(ids), EXPRESSION)
            barcodes = _text(group["barcodes"])
    except (OSError, KeyError, StopIteration, ValueError, TypeError) as error:
        raise ScfmError(
            f"{path}: not a 10x HDF5 file ({' '.join(str(error).split())}); expected what Cell Ranger writes"
        ) from error
    var = pd.DataFrame({"name": unique_names(names, ids), "id": ids, "kept": kinds == EXPRESSION})
    return Matrix(path, key, "csr", shape[::-1]), pd.DataFrame(index=barcodes), var


def unique_names(names: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Names, and the id for those of several features: Cell Ranger's symbols repeat, its ids do not."""
    twice = pd.Series(names).duplicated(keep=False).to_numpy()
    return np.where(twice, ids, names).astype(object)


def convert_mtx(folder: Path, out: Path) -> dict:
    """Write a 10x folder as h5ad (CSR, cells by genes); entries are read in chunks, so that memory stays small.

    Returns:
        Numbers of cells, genes and entries.

    Raises:
        ScfmError: a file is missing or damaged, sizes disagree, or entries are not ordered by cell.
    """
    from anndata.io import write_elem

    matrix = _one_of(folder, "matrix.mtx.gz", "matrix.mtx")
    features = _table(_one_of(folder, "features.tsv.gz", "features.tsv", "genes.tsv"))
    barcodes = _table(_one_of(folder, "barcodes.tsv.gz", "barcodes.tsv"))[0].to_numpy(object)
    names = features[1] if 1 in features else features[0]
    kept = (features[2] == EXPRESSION).to_numpy() if 2 in features else np.ones(len(features), dtype=bool)
    names = pd.Index(unique_names(names.to_numpy(object), features[0].to_numpy(object))[kept])
    with whole(out) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(file, "obs", pd.DataFrame(index=barcodes))
        write_elem(file, "var", pd.DataFrame({"ensembl_id": features[0].to_numpy(object)[kept]}, index=names))
        entries = _write_csr(file.create_group("X"), matrix, kept, len(barcodes))
    return {"cells": len(barcodes), "genes": int(kept.sum()), "entries": entries}


def _write_csr(group: h5py.Group, matrix: Path, kept: np.ndarray, cells: int) -> int:
    """Append the entries of kept genes, chunk by chunk; number of entries."""
    column = np.where(kept, np.cumsum(kept) - 1, -1)
    for name, dtype in (("data", np.int64), ("indices", np.int32)):
        group.create_dataset(name, shape=(0,), maxshape=(None,), dtype=dtype, chunks=(2**16,), compression="gzip")
    lengths, total = np.zeros(cells, dtype=np.int64), 0
    for gene, cell, count in _entries(matrix, len(kept), cells):
        own = column[gene] >= 0
        lengths += np.bincount(cell[own], minlength=cells)
        for name, values in (("data", count[own]), ("indices", column[gene[own]])):
            group[name].resize((total + int(own.sum()),))
            group[name][total:] = values
        total += int(own.sum())
    group["indptr"] = np.concatenate([[0], np.cumsum(lengths)])
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
    group.attrs["shape"] = np.array([cells, int(kept.sum())])
    return total


def _entries(path: Path, genes: int, cells: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Gene, cell (both from 0) and count of the entries, ordered by cell."""
    last, found = -1, 0
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            if not file.readline().startswith(HEADER):
                raise ScfmError(f"{path}: its first line does not begin with '{HEADER}'; expected a Matrix Market file")
            line = next((line for line in file if not line.startswith("%")), "")
            size = tuple(int(n) for n in line.split())
            if len(size) != 3 or size[:2] != (genes, cells):
                raise ScfmError(
                    f"{path}: says '{line.strip()}' where features and barcodes give {genes} genes and {cells} cells; "
                    "name files of one matrix"
                )
            reader = pd.read_csv(file, sep=r"\s+", header=None, chunksize=CHUNK, engine="c") if size[2] else []
            for chunk in reader:
                gene, cell, count = (chunk[i].to_numpy() for i in range(3))
                if (np.diff(cell, prepend=last) < 0).any():
                    raise ScfmError(f"{path}: entries are not ordered by cell; expected the file of Cell Ranger")
                if gene.min() < 1 or gene.max() > genes or cell[0] < 1 or cell[-1] > cells:
                    raise ScfmError(f"{path}: an entry lies outside of {genes} genes and {cells} cells; replace it")
                if (count != np.rint(count)).any() or count.min() < 0:
                    raise ScfmError(f"{path}: holds negative or non-integer values; a corpus needs raw counts")
                last, found = int(cell[-1]), found + len(chunk)
                yield gene - 1, cell - 1, count
    except (*DAMAGED, KeyError) as error:
        raise ScfmError(f"{path}: cannot be read ({' '.join(str(error).split())}); replace the file") from error
    if found != size[2]:
        raise ScfmError(f"{path}: holds {found:,} entries where it promises {size[2]:,}; replace the file")


def _one_of(folder: Path, *names: str) -> Path:
    for name in names:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise ScfmError(f"{folder}: holds no {names[0]}; expected the folder that Cell Ranger writes")


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False)
    except DAMAGED as error:
        raise ScfmError(f"{path}: cannot be read ({' '.join(str(error).split())}); replace the file") from error


def _text(dataset: h5py.Dataset) -> np.ndarray:
    return dataset.asstr()[:].astype(object)
