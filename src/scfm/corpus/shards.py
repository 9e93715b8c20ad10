"""Reader of the training shards: what the corpus stage hands to pretraining."""

import json
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from scfm.corpus.csr import CountsFolder, read_spans
from scfm.errors import ScfmError


class Shards:
    """A directory of immutable shards; row i of `cells` is row i over the concatenated shards.

    Opening reads only the manifest; tables are read when first used and counts stay memory-mapped. An instance
    can be sent to another process: it is opened again there.
    """

    def __init__(self, path: Path, manifest: dict) -> None:
        self.path = Path(path)
        self.manifest = manifest
        self._folders = [CountsFolder(self.path / shard["name"]) for shard in manifest["shards"]]
        self._starts = np.cumsum([0] + [shard["cells"] for shard in manifest["shards"]])

    @classmethod
    def open(cls, path: Path) -> "Shards":
        """Open a shards directory.

        Raises:
            ScfmError: there is no manifest, it lists no shard, or what it lists is not there.
        """
        manifest = Path(path) / "manifest.json"
        if not manifest.is_file():
            raise ScfmError(f"{manifest}: not found; expected a directory written by 'scfm corpus gather'")
        content = json.loads(manifest.read_text())
        if not content.get("shards"):
            raise ScfmError(f"{manifest}: lists no shard; run 'scfm corpus gather' again")
        for name in (*(shard["name"] for shard in content["shards"]), "cells.parquet", "genes.parquet", "measured.npz"):
            if not (Path(path) / name).exists():
                raise ScfmError(
                    f"{manifest}: lists shards, but {name} is not there, as after unpacking an archive without shards; "
                    f"make them again with 'snakemake {manifest} --forcerun gather_shards' and the study's --config"
                )
        return cls(Path(path), content)

    def __reduce__(self) -> tuple:
        return Shards.open, (self.path,)

    def __len__(self) -> int:
        """Number of cells."""
        return int(self._starts[-1])

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row a cell: labels, dataset, donor, batch, split, totals over the kept genes."""
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

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read cells in the order asked, across shards.

        Args:
            rows: int [n], any order, repeats allowed.

        Returns:
            gene index uint16 [nnz]; counts [nnz], uint16, or int64 if one of them needs more; number of expressed
            genes of each row int64 [n].

        Raises:
            IndexError: a row is negative or past the last cell.
        """
        rows = np.asarray(rows, dtype=np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows must lie in [0, {len(self)}), got {rows.min()} to {rows.max()}")
        shard = np.searchsorted(self._starts, rows, side="right") - 1
        place = rows + shard  # each shard has one bound more than cells
        return read_spans(self._folders, shard, self._bounds[place], self._bounds[place + 1])

    @cached_property
    def _bounds(self) -> np.ndarray:
        """indptr of one shard after the other, int64 [cells + shards]; 8 bytes a cell."""
        return np.concatenate([folder.indptr for folder in self._folders])
