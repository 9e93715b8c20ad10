"""Vectors made elsewhere, read from an h5ad or a parquet file and found by the cells' names."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.deposit import read_h5ad
from scfm.embeddings import Vectors
from scfm.errors import ScfmError
from scfm.reading import reading

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

PARQUET_POOLING = "embedding"
"""Name in the tables of the one vector that a parquet file holds for a cell."""


@dataclass
class Precomputed:
    """An embedder that looks vectors up.

    Cells are named `<dataset>/<cell>`, or by the name that they have within the dataset where no name of the file
    begins with that dataset. The order of the rows makes no difference.
    """

    path: Path
    tables: dict[str, np.ndarray]
    """Pooling to float32 [rows, width]."""
    cells: "pd.Index"
    """Names of the rows, unique."""
    _dataset_of: dict[int, str] = field(default_factory=dict)
    """Row to the dataset that it was given to by the cell's own name."""

    @classmethod
    def read(cls, path: Path, settings: Vectors) -> "Precomputed":
        """Read chosen obsm of an h5ad, or chosen columns of a parquet file.

        Raises:
            ScfmError: the file is unreadable or without the vectors asked for, a column is not numeric, a cell has no
                name, or a name occurs twice.
        """
        return cls.of(path, *(_parquet if path.suffix == ".parquet" else _h5ad)(path, settings))

    @classmethod
    def of(cls, path: Path, cells: "pd.Index", tables: dict[str, object]) -> "Precomputed":
        """Cell names and tables [rows, width] (arrays, sparse matrices or data frames) that were read from `path`.

        Raises:
            ScfmError: a column is not numeric, or a name occurs twice.
        """
        if not cells.is_unique:
            again = cells[cells.duplicated()]
            raise ScfmError(
                f"{path}: cell name '{again[0]}' occurs more than once ({len(again)} rows repeat a name); vectors are "
                "found by name, give each cell one, as <dataset>/<cell> if datasets share names"
            )
        return cls(path, {name: _numbers(table, name, path) for name, table in tables.items()}, cells)

    @property
    def poolings(self) -> Sequence[str]:
        return tuple(self.tables)

    def embed(self, adata: "AnnData", *, values: str) -> dict[str, np.ndarray]:
        """Pooling to float32 [cells, width] in the order of `adata`; `values` makes no difference.

        Raises:
            ScfmError: a cell has no vector, a vector holds NaN or infinite values, or its row was already given to a
                cell of another dataset.
        """
        dataset = str(adata.uns["scfm"]["name"])
        rows = self.cells.get_indexer(dataset + "/" + adata.obs_names)
        if (rows < 0).all():
            rows = self.cells.get_indexer(adata.obs_names)
            self._give(rows, dataset)
        missing = adata.obs_names[rows < 0]
        if len(missing):
            raise ScfmError(
                f"{self.path}: no vector for {len(missing)} of {adata.n_obs} cells of dataset '{dataset}' (first: "
                f"'{missing[0]}'); add them, named '{dataset}/{missing[0]}' or '{missing[0]}'"
            )
        chosen = {pooling: table[rows] for pooling, table in self.tables.items()}
        for pooling, table in chosen.items():
            self._check(table, pooling, adata)
        return chosen

    def _give(self, rows: np.ndarray, dataset: str) -> None:
        """Note which dataset each row is for: a name alone may be that of cells of two datasets."""
        for row in rows[rows >= 0]:
            other = self._dataset_of.setdefault(int(row), dataset)
            if other != dataset:
                raise ScfmError(
                    f"{self.path}: the name '{self.cells[row]}' is that of a cell of '{other}' and of one of "
                    f"'{dataset}'; name the cells <dataset>/<cell>"
                )

    def _check(self, table: np.ndarray, pooling: str, adata: "AnnData") -> None:
        """A column without any value is one that only other datasets have, as `embed` writes them."""
        empty = np.isnan(table).all(0)
        bad = ~np.isfinite(table if empty.all() else table[:, ~empty]).all(1)
        if bad.any():
            raise ScfmError(
                f"{self.path}: '{pooling}' holds NaN or infinite values for {bad.sum()} of {adata.n_obs} cells of "
                f"dataset '{adata.uns['scfm']['name']}' (first: '{adata.obs_names[bad][0]}'); every cell needs a whole "
                "vector"
            )


def _h5ad(path: Path, settings: Vectors) -> "tuple[pd.Index, dict[str, object]]":
    """(cell names, pooling to table) of the keys of obsm."""
    adata = read_h5ad(path, "file of embeddings")
    if not len(adata.obsm):
        raise ScfmError(f"{path}: no embedding in obsm; expected one array [cells, width] for each pooling")
    for key in settings.vectors:
        if key not in adata.obsm:
            raise ScfmError(f"{path}: no '{key}' in obsm; name some of: {', '.join(adata.obsm)}")
    return adata.obs_names, {key: adata.obsm[key] for key in settings.vectors or adata.obsm}


def _parquet(path: Path, settings: Vectors) -> "tuple[pd.Index, dict[str, object]]":
    """(cell names, the one pooling to its table) of the columns."""
    import pandas as pd

    with reading(path, "of the embedding", "a parquet table with a row for each cell"):
        table = pd.read_parquet(path)
    column = settings.cell_column
    if column and column not in table:
        raise ScfmError(f"{path}: no column '{column}' (cell_column); name one of: {_some(table.columns)}")
    if column:
        table = table.set_index(column)
    elif isinstance(table.index, pd.RangeIndex):
        raise ScfmError(f"{path}: rows have no names; give the cells' column as cell_column: {_some(table.columns)}")
    if table.index.hasnans:
        raise ScfmError(f"{path}: {table.index.isna().sum()} rows have no cell name; name or remove them")
    for pattern in settings.vectors:
        if not any(fnmatchcase(str(name), pattern) for name in table):
            raise ScfmError(f"{path}: no column is named '{pattern}' (vectors); choose among: {_some(table.columns)}")
    patterns = settings.vectors or ("*",)
    chosen = [name for name in table if any(fnmatchcase(str(name), pattern) for pattern in patterns)]
    return table.index.astype(str), {PARQUET_POOLING: table[chosen]}


def _numbers(table: object, name: str, path: Path) -> np.ndarray:
    """float32 [rows, width] of an array, sparse matrix or data frame."""
    from pandas import DataFrame
    from pandas.api.types import is_numeric_dtype
    from scipy.sparse import issparse

    if isinstance(table, DataFrame):
        texts = [column for column in table if not is_numeric_dtype(table[column].dtype)]
        if texts:
            raise ScfmError(
                f"{path}: column '{texts[0]}' of '{name}' is not numeric ({table[texts[0]].dtype}); name the columns "
                "of the vector"
            )
    table = np.asarray(table.toarray() if issparse(table) else table)
    if table.ndim != 2 or not table.shape[1] or not is_numeric_dtype(table.dtype):
        raise ScfmError(f"{path}: '{name}' is {table.dtype} {list(table.shape)}; expected numbers [cells, width]")
    return table.astype(np.float32)


def _some(names: "pd.Index") -> str:
    """The first names."""
    shown = [str(name) for name in names[:10]]
    return ", ".join([*shown, "…"] if len(names) > len(shown) else shown)
