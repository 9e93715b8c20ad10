"""Reader of the training shards: what the corpus stage hands to pretraining."""

import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import accumulate, islice, pairwise
from pathlib import Path

import numpy as np

from scfm.corpus.csr import CountsFolder, CountsFolders
from scfm.corpus.reader import Counts, Reader
from scfm.errors import ScfmError

LOOKED_UP = 16
"""Batches whose cells are looked up at once; one by one it would take as long as copying a tenth of their counts."""


class Shards(Reader):
    """A directory of immutable shards; row i of `cells` is row i over the concatenated shards.

    Opening reads only the manifest; counts stay memory-mapped. Totals in `cells` are over the kept genes. An instance
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
        return int(self._starts[-1])

    def stream(self, spans: Iterable[np.ndarray]) -> Iterator[Counts]:
        spans = iter(spans)
        while some := list(islice(spans, LOOKED_UP)):
            where = self._find(np.concatenate(some))
            for start, stop in pairwise(accumulate(map(len, some), initial=0)):
                yield self._counts.read(*(x[start:stop] for x in where))

    def reading_order(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def read(self, rows: np.ndarray) -> Counts:
        """Read cells in the order asked, across shards.

        Args:
            rows: int [n], any order, repeats allowed.

        Raises:
            IndexError: a row is negative or past the last cell.
        """
        return self._counts.read(*self._find(rows))

    def _find(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shard of each cell, and where its counts start and stop there, int64."""
        rows = np.asarray(rows, dtype=np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows must lie in [0, {len(self)}), got {rows.min()} to {rows.max()}")
        shard = np.searchsorted(self._starts, rows, side="right") - 1
        place = rows + shard  # each shard has one bound more than cells
        return shard, self._bounds[place], self._bounds[place + 1]

    @cached_property
    def _counts(self) -> CountsFolders:
        return CountsFolders(self._folders)

    @cached_property
    def _bounds(self) -> np.ndarray:
        """indptr of one shard after the other, int64 [cells + shards]; 8 bytes a cell."""
        return np.concatenate([folder.indptr for folder in self._folders])
