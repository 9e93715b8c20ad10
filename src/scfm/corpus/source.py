"""Open a SOMA laid out as the Census, local or remote, and read contiguous ranges of it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import tiledbsoma as soma
from scipy.sparse import csr_matrix

from scfm.corpus.settings import Census, Soma, Source
from scfm.datasets import OBS
from scfm.errors import ScfmError

CENSUS_URI = "s3://cellxgene-census-public-us-west-2/cell-census/{release}/soma/"
"""Public bucket of the Census; read without credentials."""
CENSUS_CONFIG = {"vfs.s3.region": "us-west-2", "vfs.s3.no_sign_request": "true"}
BUFFER = 256 * 1024**2
"""Bytes that TileDB may use for one column of one read; larger blocks arrive in several pieces."""
BATCH = ("dataset_id", "assay")
"""obs columns that make a batch where the store names none (the Census does not)."""
TEXT = tuple(name for name in OBS if name != "split")
"""Text columns of the cells; a published split of a deposit is of no use here."""


@dataclass(frozen=True)
class Store:
    """One organism of an open SOMA."""

    uri: str
    experiment: soma.Experiment
    info: soma.Collection
    value_filter: str

    @cached_property
    def cells(self) -> int:
        """Number of rows of obs; soma_joinids are 0 to cells - 1, as in the Census."""
        return self.experiment.obs.count

    @cached_property
    def features(self) -> pd.DataFrame:
        """soma_joinid, feature_id, feature_name, ordered by soma_joinid."""
        columns = ["soma_joinid", "feature_id", "feature_name"]
        table = self.experiment.ms["RNA"].var.read(column_names=columns).concat().to_pandas()
        return table.sort_values("soma_joinid", ignore_index=True)

    @cached_property
    def measured(self) -> pd.DataFrame:
        """Bool [datasets, features], index dataset_id: the presence matrix."""
        table = self.info["datasets"].read(column_names=["soma_joinid", "dataset_id"]).concat().to_pandas()
        present = self.experiment.ms["RNA"]["feature_dataset_presence_matrix"].read().tables().concat()
        out = np.zeros((len(table), len(self.features)), dtype=bool)
        row = pd.Series(np.arange(len(table)), index=table["soma_joinid"])
        known = np.isin(present["soma_dim_0"].to_numpy(), table["soma_joinid"])
        where = [present[name].to_numpy()[known] for name in ("soma_dim_0", "soma_dim_1", "soma_data")]
        out[row[where[0]].to_numpy(), where[1]] = where[2] > 0
        return pd.DataFrame(out, index=pd.Index(table["dataset_id"].astype(str), name="dataset_id"))

    def obs(self, start: int, stop: int) -> pd.DataFrame:
        """Cells of [start, stop) that pass the value filter, ordered by soma_joinid.

        Columns: soma_joinid int64, the columns `TEXT` (strings, "unknown" where missing), x and y (float64).

        Raises:
            ScfmError: the filter is not valid for this store.
        """
        if stop <= start:
            return self._common(pd.DataFrame({"soma_joinid": np.empty(0, dtype=np.int64)}))
        frame = self.experiment.obs
        columns = [name for name in ("soma_joinid", *TEXT, "x", "y") if name in frame.schema.names]
        try:
            read = frame.read(
                coords=(slice(start, stop - 1),), value_filter=self.value_filter or None, column_names=columns
            )
            table = read.concat().to_pandas()
        except (soma.SOMAError, ValueError, SyntaxError) as error:
            raise ScfmError(
                f"corpus.source.value_filter: '{self.value_filter}' does not work on {self.uri} "
                f"({_reason(error)}); correct the filter"
            ) from error
        return self._common(table.sort_values("soma_joinid", ignore_index=True))

    def _common(self, table: pd.DataFrame) -> pd.DataFrame:
        out = pd.DataFrame({"soma_joinid": table["soma_joinid"].to_numpy(np.int64)})
        for name in TEXT:
            values = (
                table[name].astype(object) if name in table else pd.Series("unknown", index=table.index, dtype=object)
            )
            out[name] = values.where(values.notna(), "unknown").astype(str).to_numpy(object)
        if "batch" not in table:
            out["batch"] = out[BATCH[0]].str.cat(out[BATCH[1]], sep=":")
        for name in ("x", "y"):
            out[name] = table[name].to_numpy(np.float64) if name in table else np.nan
        return out

    def counts(self, start: int, stop: int, joinids: np.ndarray) -> csr_matrix:
        """Counts of the given cells of [start, stop), int64 CSR [len(joinids), features].

        The range is read in one contiguous sweep, which is far cheaper than random ids, and filtered here.

        Args:
            joinids: ascending soma_joinids inside the range.

        Raises:
            ScfmError: a value is negative or not an integer.
        """
        shape = (len(joinids), len(self.features))
        if not len(joinids):
            return csr_matrix(shape, dtype=np.int64)
        x = self.experiment.ms["RNA"].X["raw"]
        position = np.full(stop - start, -1, dtype=np.int64)
        position[joinids - start] = np.arange(len(joinids))
        pieces = []
        for table in x.read((slice(int(joinids[0]), int(joinids[-1])), slice(None))).tables():
            row = position[table["soma_dim_0"].to_numpy() - start]
            kept = row >= 0
            pieces.append((table["soma_data"].to_numpy()[kept], row[kept], table["soma_dim_1"].to_numpy()[kept]))
        value, row, column = (
            (np.concatenate(arrays) for arrays in zip(*pieces, strict=True)) if pieces else ([], [], [])
        )
        return self._checked(csr_matrix((value, (row, column)), shape=shape))

    def _checked(self, counts: csr_matrix) -> csr_matrix:
        whole_numbers = counts.data.astype(np.int64)
        if counts.nnz and ((whole_numbers != counts.data).any() or whole_numbers.min() < 0):
            raise ScfmError(f"{self.uri}: X['raw'] holds negative or non-integer values; a corpus needs raw counts")
        out = csr_matrix((whole_numbers, counts.indices, counts.indptr), shape=counts.shape)
        out.eliminate_zeros()
        return out


@contextmanager
def open_source(source: Source, soma_path: Path | None = None) -> Iterator[Store]:
    """Open the store that the settings name.

    Args:
        soma_path: the local SOMA, for sources of kind synthetic and files.

    Raises:
        ScfmError: the store cannot be opened or is not laid out as the Census.
    """
    uri, config = _location(source, soma_path)
    context = soma.SOMATileDBContext(tiledb_config={"soma.init_buffer_bytes": BUFFER, **config})
    organism = getattr(source, "organism", "homo_sapiens")
    with ExitStack() as stack:
        try:
            top = stack.enter_context(soma.open(uri, context=context))
            experiment, info = top["census_data"][organism], top["census_info"]
        except (soma.SOMAError, RuntimeError, KeyError, TypeError) as error:
            raise ScfmError(
                f"{uri}: cannot open it as a SOMA with census_data/{organism} and census_info ({_reason(error)}); "
                "check the location and the network"
            ) from error
        yield Store(uri, experiment, info, getattr(source, "value_filter", ""))


def _location(source: Source, soma_path: Path | None) -> tuple[str, dict]:
    if isinstance(source, Census):
        return CENSUS_URI.format(release=source.release), CENSUS_CONFIG
    if isinstance(source, Soma):
        return source.uri, CENSUS_CONFIG if source.uri.startswith("s3://cellxgene-census-public") else {}
    if soma_path is None:
        raise ScfmError(f"--soma: missing; a source of kind '{source.kind}' is read from a local SOMA, name it")
    return str(soma_path), {}


def _reason(error: Exception) -> str:
    """The library's message in one line, without the list of calls and the closing stop."""
    return " ".join(str(error).split(" At:\n")[0].split(" At: ")[0].split()).rstrip(".")
