"""Which cells a corpus is made of: their soma_joinids, as a digest and as a list to make it from again."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.reading import DAMAGED


def joinids_sha256(joinids: np.ndarray) -> str:
    """Digest of a set of cells: SHA-256 over the ascending soma_joinids as little-endian 64-bit integers."""
    return hashlib.sha256(np.sort(np.asarray(joinids, dtype="<i8"))).hexdigest()


def read_joinids(path: Path) -> np.ndarray:
    """Column soma_joinid of a Parquet file (such as cells.parquet of a selection or of shards) or of a CSV, int64.

    Raises:
        ScfmError: the file is missing or unreadable, has no such column, or names a cell twice.
    """
    path = must_exist(path, "list of cells (corpus.joinids)")
    try:
        read = pd.read_parquet if path.suffix == ".parquet" else pd.read_csv
        table = read(path)
        joinids = table["soma_joinid"].to_numpy(np.int64)
    except (*DAMAGED, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ScfmError(
            f"{path}: cannot be read as a list of cells ({reason}); expected Parquet or CSV with a column soma_joinid"
        ) from error
    if len(np.unique(joinids)) < len(joinids):
        raise ScfmError(f"{path}: names a cell twice; expected each soma_joinid once")
    return joinids


def only(cells: pd.DataFrame, joinids: np.ndarray) -> pd.DataFrame:
    """The given cells, in the order of `cells`.

    Raises:
        ScfmError: one of them is not there.
    """
    missing = np.setdiff1d(joinids, cells["soma_joinid"])
    if len(missing):
        raise ScfmError(
            f"corpus.joinids: cell {missing[0]} and {len(missing) - 1:,} others are not in the store, or do not pass "
            "the value filter and quality control; use the source, release and thresholds that the list was made with"
        )
    return cells[cells["soma_joinid"].isin(joinids)].reset_index(drop=True)
