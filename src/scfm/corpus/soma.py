"""A SOMA laid out as the Census, local or remote, read in contiguous ranges."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import tiledbsoma as soma
from scipy.sparse import csr_matrix

from scfm.corpus.common import TEXT, common_cells, narrow, refuse_no_counts
from scfm.corpus.retry import patiently, reason
from scfm.corpus.settings import Retry
from scfm.corpus.value_filter import refuse_not
from scfm.errors import ScfmError

Result = TypeVar("Result")
Triplets = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Row, column and value of some nonzeros."""
READING = {
    "soma.init_buffer_bytes": 16 * 1024**2,
    "sm.mem.malloc_trim": "false",
    "sm.query.sparse_global_order.preprocess_tile_merge": "0",
}
"""Bytes of one column of one piece of a read, and no giving back of memory after each read. The C library keeps what is
below 32 MiB for the next piece; with TileDB's defaults half of the time is spent on clearing new memory. Tiles are not
merged beforehand: in TileDB 2.30 a merge may outlive its query and write into memory that is no longer its own, which
crashed some process in thousands (mended upstream, TileDB-Inc/TileDB#5723)."""
FAULTS = (soma.SOMAError, RuntimeError, OSError)
"""What TileDB raises for a store that does not answer, and for much else."""
GONE = (soma.DoesNotExistError, KeyError, TypeError)
"""What opening raises where there is no such store: no later attempt helps."""


@dataclass(frozen=True)
class SomaStore:
    """One organism of an open SOMA; see `scfm.corpus.source.Store`."""

    uri: str
    experiment: soma.Experiment
    info: soma.Collection
    organism: str
    value_filter: str
    retry: Retry

    @cached_property
    def cells(self) -> int:
        """Number of rows of obs; soma_joinids are 0 to cells - 1, as in the Census."""
        return self._read(lambda: self.experiment.obs.count)

    @cached_property
    def features(self) -> pd.DataFrame:
        """soma_joinid, feature_id, feature_name, organism, ordered by soma_joinid."""
        columns = ["soma_joinid", "feature_id", "feature_name"]
        table = self._read(lambda: _frame(self.experiment.ms["RNA"].var.read(column_names=columns)))
        return table.sort_values("soma_joinid", ignore_index=True).assign(organism=self.organism)

    @cached_property
    def datasets(self) -> pd.DataFrame:
        """soma_joinid and dataset_id, dataset_title and collection_doi where the store has them."""
        frame = self.info["datasets"]
        wanted = ("soma_joinid", "dataset_id", "dataset_title", "collection_doi")
        columns = [name for name in wanted if name in frame.schema.names]
        return self._read(lambda: _frame(frame.read(column_names=columns)))

    @cached_property
    def measured(self) -> pd.DataFrame:
        """Bool [datasets, features], index dataset_id: the presence matrix."""
        table = self.datasets
        matrix = self.experiment.ms["RNA"]["feature_dataset_presence_matrix"]
        present = self._read(lambda: matrix.read().tables().concat())
        out = np.zeros((len(table), len(self.features)), dtype=bool)
        row = pd.Series(np.arange(len(table)), index=table["soma_joinid"])
        known = np.isin(present["soma_dim_0"].to_numpy(), table["soma_joinid"])
        where = [present[name].to_numpy()[known] for name in ("soma_dim_0", "soma_dim_1", "soma_data")]
        out[row[where[0]].to_numpy(), where[1]] = where[2] > 0
        return pd.DataFrame(out, index=pd.Index(table["dataset_id"].astype(str), name="dataset_id"))

    def obs(self, start: int, stop: int) -> pd.DataFrame:
        """Cells of [start, stop) that pass the value filter, ordered by soma_joinid.

        Raises:
            ScfmError: the filter is not valid for this store, it names no dataset_id, or it does not answer.
        """
        if stop <= start:
            return common_cells(pd.DataFrame({"soma_joinid": np.empty(0, dtype=np.int64)}))
        names = self.experiment.obs.schema.names
        if "dataset_id" not in names:
            raise ScfmError(f"{self.uri}: obs has no column 'dataset_id', which a corpus needs; add it to the store")
        columns = [name for name in ("soma_joinid", *TEXT, "x", "y") if name in names]
        value_filter = self._checked_filter
        table = self._read(lambda: self._obs(start, stop, columns, value_filter))
        return common_cells(table.sort_values("soma_joinid", ignore_index=True).assign(organism=self.organism))

    def counts(self, start: int, stop: int, joinids: np.ndarray) -> csr_matrix:
        """Counts of the given cells of [start, stop), CSR [len(joinids), features].

        Args:
            joinids: ascending soma_joinids inside the range.

        Raises:
            ScfmError: a value is negative or not an integer, or the store does not answer.
        """
        return self.read(start, stop, joinids)()

    def read(self, start: int, stop: int, joinids: np.ndarray) -> Callable[[], csr_matrix]:
        """As `counts`, which what is returned puts together when it is called, once; only the reading is done here.

        The range is read in one contiguous sweep, which is far cheaper than random ids, and filtered afterwards.
        """
        pieces = self._read(lambda: self._triplets(joinids)) if len(joinids) else []
        return partial(self._assemble, pieces, start, stop - start, joinids - start, len(self.features))

    def _assemble(self, pieces: list[Triplets], start: int, size: int, cells: np.ndarray, features: int) -> csr_matrix:
        """Counts of these cells of a range of some size, given from its start on."""
        from scfm.corpus.kernels import count_triplets, place_triplets

        position = np.full(size, -1, dtype=np.int32)
        position[cells] = np.arange(len(cells))
        lengths = np.zeros(len(cells), dtype=np.int64)
        checks = [count_triplets(row, value, start, position, lengths) for row, _, value in pieces]
        refuse_no_counts(any(wrong for wrong, _ in checks), f"{self.uri}: X['raw']")
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        indices = np.empty(indptr[-1], dtype=np.int32)
        data = np.empty(indptr[-1], dtype=narrow(max((largest for _, largest in checks), default=0)))
        following = indptr[:-1].copy()
        for piece in pieces:
            place_triplets(*piece, start, position, following, indices, data)
        pieces.clear()  # they take as much again, and whoever holds the call holds them
        return csr_matrix((data, indices, indptr), shape=(len(cells), features))

    def _read(self, read: Callable[[], Result]) -> Result:
        return patiently(read, FAULTS, self.uri, self.retry)

    def _obs(self, start: int, stop: int, columns: list[str], value_filter: str) -> pd.DataFrame:
        ids = (slice(start, stop - 1),)
        read = self.experiment.obs.read(coords=ids, value_filter=value_filter or None, column_names=columns)
        return _frame(read)

    def _triplets(self, joinids: np.ndarray) -> list[Triplets]:
        """Row, column and value of every nonzero between the first and the last of these cells, as they arrive."""
        x = self.experiment.ms["RNA"].X["raw"]
        tables = x.read((slice(int(joinids[0]), int(joinids[-1])), slice(None))).tables()
        return [tuple(_array(table[name]) for name in ("soma_dim_0", "soma_dim_1", "soma_data")) for table in tables]

    @cached_property
    def _checked_filter(self) -> str:
        """The value filter, tried on one cell. TileDB raises the same for a wrong filter and for a store that does not
        answer, so a filter is wrong if reading without it succeeds and with it fails once more."""
        refuse_not(self.value_filter)
        fault: Exception | None = None
        for _ in range(2):
            try:
                self._obs(0, 1, ["soma_joinid"], self.value_filter)
                return self.value_filter
            except (*FAULTS, ValueError, SyntaxError) as error:
                fault = error
            self._read(lambda: self._obs(0, 1, ["soma_joinid"], ""))
        raise ScfmError(
            f"corpus.source.value_filter: '{self.value_filter}' does not work on {self.uri} ({reason(fault)}); "
            "correct the filter"
        ) from fault


def _frame(tables: Iterable[pa.Table]) -> pd.DataFrame:
    """All that is read; in this thread, since making texts holds the interpreter's lock and threads gain nothing."""
    return pa.concat_tables(tables).to_pandas(use_threads=False)


def _array(column: pa.ChunkedArray) -> np.ndarray:
    """The values, not copied if they lie together."""
    return column.chunk(0).to_numpy() if column.num_chunks == 1 else column.to_numpy()


def reading_context(config: Mapping[str, str] = MappingProxyType({})) -> soma.SOMATileDBContext:
    """The context to read a store in: `READING`, and before it what `config` says."""
    return soma.SOMATileDBContext(tiledb_config={**READING, **config})


@contextmanager
def open_soma(uri: str, config: dict, organism: str, value_filter: str, retry: Retry) -> Iterator[SomaStore]:
    """Open one organism of a SOMA.

    Raises:
        ScfmError: it cannot be opened, also after all attempts, or is not laid out as the Census.
    """
    context = reading_context(config)
    with ExitStack() as stack:
        try:
            top = patiently(lambda: _open(uri, context), FAULTS, uri, retry)
            stack.enter_context(top)
            experiment, info = top["census_data"][organism], top["census_info"]
        except GONE as error:
            raise ScfmError(
                f"{uri}: cannot open it as a SOMA with census_data/{organism} and census_info ({reason(error)}); "
                "check the location"
            ) from error
        yield SomaStore(uri, experiment, info, organism, value_filter, retry)


def _open(uri: str, context: soma.SOMATileDBContext) -> soma.Collection:
    try:
        return soma.open(uri, context=context)
    except soma.DoesNotExistError as error:
        # A SOMAError like the faults, but no later attempt helps.
        raise KeyError(str(error)) from error
