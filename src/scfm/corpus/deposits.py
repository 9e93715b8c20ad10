"""Deposited files as one store of cells, read in place: h5ad (also backed by CSC or dense matrices) and 10x HDF5."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack

from scfm.corpus.common import TEXT, common_cells, raw_counts, union_features
from scfm.corpus.hdf5 import Matrix
from scfm.corpus.tenx import read_tenx
from scfm.corpus.value_filter import passing
from scfm.datasets import Dataset
from scfm.deposit import check_names, check_values, common_obs, ensembl_ids, kept_cells
from scfm.errors import ScfmError
from scfm.files import must_exist


@dataclass(frozen=True)
class Deposit:
    """One file: genes and the place of its matrix; obs and counts stay in the file."""

    path: Path
    dataset: Dataset
    matrix: Matrix
    var: pd.DataFrame
    """name, id, organism; one row a gene."""
    columns: np.ndarray
    """Column of the matrix of each gene, int64 [genes]."""
    rows: np.ndarray
    """Rows of the matrix that the dataset's filter keeps, int64, ascending."""


@dataclass
class DepositStore:
    """Deposits one after the other; see `scfm.corpus.source.Store`. Cells are numbered over the cells kept."""

    uri: str
    deposits: Sequence[Deposit]
    starts: np.ndarray
    """First soma_joinid of each deposit, and the number of cells, int64 [deposits + 1]."""
    features: pd.DataFrame
    codes: list[np.ndarray]
    """Feature of each gene of each deposit."""
    measured: pd.DataFrame
    value_filter: str
    _obs: tuple[int, pd.DataFrame] | None = None

    @property
    def cells(self) -> int:
        """Number of cells of all deposits, before the value filter."""
        return int(self.starts[-1])

    @property
    def datasets(self) -> pd.DataFrame:
        """dataset_id, dataset_title and collection_doi of each deposit."""
        rows = [(own.name, own.title, ", ".join(own.doi)) for own in (deposit.dataset for deposit in self.deposits)]
        return pd.DataFrame(rows, columns=["dataset_id", "dataset_title", "collection_doi"])

    def obs(self, start: int, stop: int) -> pd.DataFrame:
        """Cells of [start, stop) that pass the value filter, ordered by soma_joinid.

        Raises:
            ScfmError: the filter is not valid, or a deposit lacks a column that its row of the sheet names.
        """
        pieces = [self._cells_of(k).iloc[low:high] for k, low, high in self._spans(start, stop)]
        if not pieces:
            return common_cells(pd.DataFrame({"soma_joinid": np.empty(0, dtype=np.int64)}))
        cells = pd.concat(pieces, ignore_index=True)
        return cells[passing(cells.assign(is_primary_data=True), self.value_filter)].reset_index(drop=True)

    def counts(self, start: int, stop: int, joinids: np.ndarray) -> csr_matrix:
        """Counts of the given cells of [start, stop), ascending, int64 CSR [len(joinids), features].

        Raises:
            ScfmError: a file is damaged or holds no raw counts.
        """
        pieces = []
        for k, low, high in self._spans(start, stop):
            first = self.starts[k]
            own = joinids[(joinids >= first + low) & (joinids < first + high)] - first
            if len(own):
                pieces.append(self._counts_of(k, own))
        if not pieces:
            return csr_matrix((0, len(self.features)), dtype=np.int64)
        return pieces[0] if len(pieces) == 1 else csr_matrix(vstack(pieces, format="csr"))

    def read(self, start: int, stop: int, joinids: np.ndarray) -> Callable[[], csr_matrix]:
        """As `counts`, all of which is done here."""
        counts = self.counts(start, stop, joinids)
        return lambda: counts

    def _spans(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """(deposit, its first and its last + 1 kept cell) of a range."""
        ends = zip(self.starts[:-1], self.starts[1:], strict=True)
        spans = [(k, max(start, a) - a, min(stop, b) - a) for k, (a, b) in enumerate(ends)]
        return [(k, int(low), int(high)) for k, low, high in spans if low < high]

    def _cells_of(self, k: int) -> pd.DataFrame:
        """All kept cells of a deposit; those of the last one asked for are remembered."""
        if self._obs is None or self._obs[0] != k:
            deposit = self.deposits[k]
            obs = common_obs(read_obs(deposit.path).iloc[deposit.rows], deposit.dataset, deposit.path)
            table = obs[list(TEXT)].reset_index(drop=True)
            places = _places(deposit.path)
            if places is not None:
                table["x"], table["y"] = places[deposit.rows].T
            table["soma_joinid"] = np.arange(self.starts[k], self.starts[k + 1])
            self._obs = (k, common_cells(table))
        return self._obs[1]

    def _counts_of(self, k: int, own: np.ndarray) -> csr_matrix:
        """Counts of kept cells of a deposit, read in one contiguous sweep."""
        deposit, rows = self.deposits[k], self.deposits[k].rows[own]
        counts = deposit.matrix.rows(int(rows[0]), int(rows[-1]) + 1)
        if len(rows) < counts.shape[0]:
            counts = counts[rows - rows[0]]
        values, indices, edges = counts.data, counts.indices, counts.indptr
        feature = np.full(deposit.matrix.shape[1], -1, dtype=np.int32)
        feature[deposit.columns] = self.codes[k]
        if (feature < 0).any():  # a 10x file holds more than genes
            kept = feature[indices] >= 0
            values, indices, edges = values[kept], indices[kept], np.concatenate([[0], np.cumsum(kept)])[edges]
        check_values(values, deposit.dataset, deposit.path)
        shape = (len(own), len(self.features))
        out = raw_counts(csr_matrix((values, feature[indices], edges), shape=shape), str(deposit.path))
        out.sort_indices()
        return out


def open_deposits(deposits: Sequence[tuple[Path, Dataset]], value_filter: str = "") -> DepositStore:
    """Open files and their rows of the sheet of datasets as one store; only genes are read.

    Raises:
        ScfmError: a file is missing or damaged, holds no counts, or lists a gene twice; a dataset occurs twice.
    """
    check_rows([dataset for _, dataset in deposits])
    opened = [_open(Path(path), dataset) for path, dataset in deposits]
    features, codes = union_features([deposit.var for deposit in opened])
    features.insert(0, "soma_joinid", np.arange(len(features)))
    measured = np.zeros((len(opened), len(features)), dtype=bool)
    for row, code in zip(measured, codes, strict=True):
        row[code] = True
    names = pd.Index([deposit.dataset.name for deposit in opened], name="dataset_id")
    starts = np.cumsum([0, *(len(deposit.rows) for deposit in opened)])
    uri = ", ".join(str(deposit.path) for deposit in opened)
    return DepositStore(uri, opened, starts, features, codes, pd.DataFrame(measured, index=names), value_filter)


def check_rows(datasets: Sequence[Dataset]) -> None:
    """Raise a sentence if datasets do not make a corpus.

    Raises:
        ScfmError: a name occurs twice, or a dataset holds no raw counts.
    """
    names = pd.Series([dataset.name for dataset in datasets], dtype=object)
    if names.duplicated().any():
        raise ScfmError(f"--datasets: dataset '{names[names.duplicated()].iloc[0]}' occurs twice; name it once")
    for dataset in datasets:
        if dataset.values != "counts":
            raise ScfmError(f"dataset '{dataset.name}': values are {dataset.values}; a corpus needs raw counts")
        if not dataset.organism:
            raise ScfmError(f"dataset '{dataset.name}': no organism; name its species in the sheet of datasets")


def _open(path: Path, dataset: Dataset) -> Deposit:
    must_exist(path, f"dataset '{dataset.name}'")
    if path.is_dir():
        raise ScfmError(f"{path}: is a folder; convert a 10x folder by 'scfm corpus convert' first")
    if path.suffix == ".h5ad":
        matrix, var, columns = _h5ad(path, dataset)
        obs = read_obs(path) if dataset.keep else None
    else:
        matrix, obs, every = read_tenx(path)
        columns = np.flatnonzero(every["kept"])
        var = every.loc[every["kept"], ["name", "id"]].reset_index(drop=True)
        var["id"] = var["id"].where(var["id"].str.startswith("ENS"), "")
    check_names(pd.Index(var["name"]), path)
    cells = pd.DataFrame(index=range(matrix.shape[0])) if obs is None else obs
    rows = np.flatnonzero(kept_cells(cells, dataset, path))
    return Deposit(path, dataset, matrix, var.assign(organism=dataset.gene_species), columns, rows)


def read_obs(path: Path) -> pd.DataFrame:
    """obs of an h5ad or of a 10x file.

    Raises:
        ScfmError: it cannot be read.
    """
    return _frame(path, "obs") if path.suffix == ".h5ad" else read_tenx(path)[1]


def _h5ad(path: Path, dataset: Dataset) -> tuple[Matrix, pd.DataFrame, np.ndarray]:
    prefix = "raw/" if dataset.matrix == "raw" else ""
    genes = _frame(path, f"{prefix}var")
    with _file(path) as file:
        if f"{prefix}X" not in file:
            raise ScfmError(f"{path}: no matrix in {dataset.matrix}; correct 'matrix' of dataset '{dataset.name}'")
        x = file[f"{prefix}X"]
        if isinstance(x, h5py.Dataset):
            kind, shape = "dense", x.shape
        else:
            kind = str(x.attrs.get("encoding-type", x.attrs.get("h5sparse_format", "")))[:3]
            shape = x.attrs.get("shape", x.attrs.get("h5sparse_shape", ()))
    if kind not in ("csr", "csc", "dense") or len(shape) != 2 or shape[1] != len(genes):
        raise ScfmError(f"{path}: '{prefix}X' is no matrix of cells by {len(genes)} genes; replace the file")
    ids = ensembl_ids(genes)
    var = pd.DataFrame({"name": genes.index.astype(str), "id": "" if ids is None else ids})
    return Matrix(path, f"{prefix}X", kind, (int(shape[0]), int(shape[1]))), var, np.arange(len(var))


def _frame(path: Path, key: str) -> pd.DataFrame:
    from anndata.io import read_elem

    with _file(path) as file:
        try:
            table = read_elem(file[key])
        except Exception as error:
            # anndata raises many kinds for what it cannot decode.
            raise ScfmError(
                f"{path}: '{key}' cannot be read ({' '.join(str(error).split())}); replace the file"
            ) from error
    if not isinstance(table, pd.DataFrame):
        raise ScfmError(f"{path}: '{key}' is no data frame; write the file again with anndata 0.7 or later")
    return table


def _places(path: Path) -> np.ndarray | None:
    """Coordinates float64 [cells, 2] of an h5ad that has them."""
    if path.suffix != ".h5ad":
        return None
    with _file(path) as file:
        return file["obsm/spatial"][:, :2].astype(np.float64) if "obsm/spatial" in file else None


def _file(path: Path) -> h5py.File:
    try:
        return h5py.File(path)
    except OSError as error:
        raise ScfmError(
            f"{path}: not a readable h5ad file ({' '.join(str(error).split())}); replace the file"
        ) from error
