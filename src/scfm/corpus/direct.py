"""Cells read direct from the store that they were selected from, without shards."""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scfm.corpus.ahead import ahead
from scfm.corpus.common import raw_counts
from scfm.corpus.csr import SENTINEL
from scfm.corpus.reader import Counts, Reader
from scfm.corpus.retry import patiently
from scfm.corpus.scatter import gene_of_feature, onto_genes, refuse_other_store
from scfm.corpus.settings import Files, SourceSettings
from scfm.corpus.source import Store, open_source
from scfm.errors import ScfmError
from scfm.files import must_exist

IO_CELLS = 65_536
"""Cells read at once, as tiledbsoma-ml has it; two such reads are in memory."""


class Direct(Reader):
    """The cells of a selection, their counts in a SOMA; row i is the cell that `select` put at row i.

    Totals in `cells` are over all features of the store, not the kept genes alone. Cells without any kept gene, which
    the shards leave out, are there, with no count; the rows of the two then differ.

    What is read when, and what a batch holds, is up to the spans asked for; tiledbsoma-ml reads them, one IO batch
    ahead of use. An instance can be sent to another process, which must not be forked: TileDB runs threads.
    """

    start_method = "spawn"

    def __init__(self, path: Path, settings: SourceSettings, soma_path: Path | None = None) -> None:
        self.path, self.settings, self.soma_path = Path(path), settings, soma_path
        self.manifest = json.loads(must_exist(self.path / "manifest.json", "selection").read_text())

    @classmethod
    def open(cls, path: Path, settings: SourceSettings, soma_path: Path | None = None) -> "Direct":
        """Open a selection and see that the store is the one it was made from.

        Args:
            path: directory written by 'scfm corpus select'.
            soma_path: the local SOMA, for sources of kind synthetic and files.

        Raises:
            ScfmError: there is no selection, the source is no SOMA, or the store does not open or is another one.
        """
        if isinstance(settings.source, Files) and soma_path is None:
            raise ScfmError(
                "training.loader: 'soma' needs a SOMA, which a source of kind 'files' is not; build one with 'scfm "
                "corpus build' and name it with --soma, or set loader: shards"
            )
        direct = cls(path, settings, soma_path)
        with direct._store() as store:
            refuse_other_store(direct.path, direct.manifest, settings.source, store)
        return direct

    def __reduce__(self) -> tuple:
        return Direct, (self.path, self.settings, self.soma_path)

    def __len__(self) -> int:
        return self.manifest["cells"]

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row a cell, as of `Shards`; totals over all features of the store."""
        table = pd.read_parquet(self.path / "cells.parquet").sort_values("row", ignore_index=True)
        return table.drop(columns=["row", "mito_fraction"])

    @cached_property
    def joinids(self) -> np.ndarray:
        """soma_joinid of each cell, int64 [cells]."""
        return self.cells["soma_joinid"].to_numpy(np.int64)

    def reading_order(self, rows: np.ndarray) -> np.ndarray:
        return rows[np.argsort(self.joinids[rows], kind="stable")]

    def stream(self, spans: Iterable[np.ndarray]) -> Iterator[Counts]:
        genes = gene_of_feature(self.path)
        # What reads ahead is closed first, so that no read is under way when the store closes.
        with (
            self._store() as store,
            closing(ahead((batch, self._read(store, batch, *genes)) for batch in _io_batches(spans))) as batches,
        ):
            for batch, counts in batches:
                yield from _cut(counts, batch)

    def _store(self):
        return open_source(self.settings.source, self.soma_path, retry=self.settings.retry)

    def _read(self, store: Store, spans: list[np.ndarray], gene_of: np.ndarray, genes: int) -> csr_matrix:
        """Counts of the kept genes, CSR [cells, genes], genes ascending in each row."""
        from scfm.corpus.soma import FAULTS

        joinids, place = np.unique(self.joinids[np.concatenate(spans)], return_inverse=True)
        if not len(joinids):
            return csr_matrix((0, genes), dtype=np.int32)
        found = patiently(lambda: _io_batch(store, joinids), FAULTS, store.uri, self.settings.retry)
        return onto_genes(raw_counts(found, f"{store.uri}: X['raw']"), gene_of, genes)[place]


def _io_batch(store: Store, joinids: np.ndarray) -> csr_matrix:
    """CSR [cells, features] of ascending soma_joinids, no two alike."""
    # Of the library's public classes none takes an order of cells, and in workers none gives sparse counts.
    from tiledbsoma_ml._io_batch_iterable import IOBatchIterable

    read = IOBatchIterable(
        chunks=[joinids],
        io_batch_size=len(joinids),
        obs=store.experiment.obs,
        var_joinids=store.features["soma_joinid"].to_numpy(),
        X=store.experiment.ms["RNA"].X["raw"],
        obs_column_names=["soma_joinid"],
        shuffle=False,
    )
    counts, _ = next(iter(read))
    return counts.slice_toscipy(slice(None))


def _io_batches(spans: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """As many spans as fit into one read, but at least one."""
    batch, cells = [], 0
    for span in spans:
        if batch and cells + len(span) > IO_CELLS:
            yield batch
            batch, cells = [], 0
        batch.append(span)
        cells += len(span)
    if batch:
        yield batch


def _cut(counts: csr_matrix, spans: list[np.ndarray]) -> Iterator[Counts]:
    stops = np.cumsum([len(span) for span in spans])
    for span, stop in zip(spans, stops, strict=True):
        indptr = counts.indptr[stop - len(span) : stop + 1]
        inside = slice(indptr[0], indptr[-1])
        count = counts.data[inside]
        narrow = np.uint16 if count.max(initial=0) < SENTINEL else np.int64
        yield counts.indices[inside].astype(np.uint16), count.astype(narrow), np.diff(indptr).astype(np.int64)
