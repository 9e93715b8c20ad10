"""What training asks of the cells of a corpus, and the tables that shards and a selection have alike."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from scfm.errors import ScfmError

Counts = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Some cells one after another: gene index uint16 [nnz]; counts [nnz], uint16, or int64 if one of them needs more;
number of expressed genes of each cell int64 [cells]."""


class Reader(ABC):
    """Cells of a corpus: their tables from a directory, read when first used, and their counts from where it says."""

    path: Path
    """Directory of cells.parquet, genes.parquet, measured.npz and manifest.json."""
    manifest: dict
    start_method: str | None = None
    """How processes that read it must be started; None for any way."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of cells."""

    @abstractmethod
    def stream(self, spans: Iterable[np.ndarray]) -> Iterator[Counts]:
        """Read cells batch after batch.

        Args:
            spans: int [cells of the batch] each, rows in any order, repeats allowed.
        """

    @abstractmethod
    def reading_order(self, rows: np.ndarray) -> np.ndarray:
        """The same rows, sorted by where their counts lie."""

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row a cell: labels, dataset, donor, batch, split, totals."""
        return pd.read_parquet(self.path / "cells.parquet")

    @cached_property
    def genes(self) -> pd.DataFrame:
        """One row a gene, in the order of the gene index."""
        return pd.read_parquet(self.path / "genes.parquet")

    @cached_property
    def datasets(self) -> list[str]:
        """Dataset ids in the order of the rows of `measured`."""
        with np.load(self.path / "measured.npz") as stored:
            return stored["datasets"].astype(str).tolist()

    @cached_property
    def measured(self) -> np.ndarray:
        """Bool [datasets, genes]: the dataset's assay or annotation could have seen the gene."""
        with np.load(self.path / "measured.npz") as stored:
            return stored["measured"]

    @cached_property
    def dataset_codes(self) -> np.ndarray:
        """Row of `measured` of each cell, int64 [cells]."""
        codes = pd.Index(self.datasets).get_indexer(self.cells["dataset_id"])
        if (codes < 0).any():
            strange = self.cells["dataset_id"].to_numpy()[codes < 0][0]
            raise ScfmError(f"{self.path / 'measured.npz'}: dataset '{strange}' of cells.parquet is missing")
        return codes.astype(np.int64)

    @cached_property
    def turns(self) -> np.ndarray | None:
        """Value of each cell in the column whose values take turns in training, int64 [cells]; None without such."""
        field = self.manifest.get("settings", {}).get("layout", {}).get("round_robin")
        return None if field is None else pd.factorize(self.cells[field])[0].astype(np.int64)

    def rows(self, split: str) -> np.ndarray:
        """Rows of one split ("train" or "validation"), int64, ascending."""
        return np.flatnonzero(self.cells["split"].to_numpy() == split)
