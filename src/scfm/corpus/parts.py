"""Put the scanned parts of the store together again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from scfm.corpus.common import TEXT
from scfm.corpus.pieces import write_pieces
from scfm.corpus.scan import SUMS
from scfm.errors import ScfmError
from scfm.files import must_exist

ROWS = 2**18
"""Cells written at once."""


@dataclass(frozen=True)
class Scanned:
    """The whole store as scanned."""

    cells: pd.DataFrame
    """One row a cell that passed the value filter, ordered by soma_joinid; texts are categories."""
    genes: pd.DataFrame
    """dataset_id, feature, sums; one row a pair that is expressed, ordered by both."""
    features: pd.DataFrame
    """soma_joinid, feature_id, feature_name."""
    measured: pd.DataFrame
    """Bool [datasets, features], index dataset_id."""
    total: int
    """Cells of the store, filtered ones included."""
    source: dict
    """Settings of the source."""


def read_parts(folders: Sequence[Path]) -> Scanned:
    """Read what `scan` wrote, in any order.

    Raises:
        ScfmError: parts are missing, overlap, or come from different stores.
    """
    parts = sorted(
        (json.loads(must_exist(Path(f) / "part.json", "scanned part").read_text()) | {"at": Path(f)} for f in folders),
        key=lambda part: (part["start"], part["stop"]),
    )
    _check(parts)
    at = [part["at"] for part in parts]
    measured = pd.concat([_measured(folder) for folder in at])
    measured = measured[~measured.index.duplicated()].sort_index()
    genes = pd.concat([pd.read_parquet(folder / "genes.parquet") for folder in at])
    genes = genes.groupby(["dataset_id", "feature"], as_index=False)[list(SUMS)].sum()
    return Scanned(
        cells=read_cells([folder / "cells.parquet" for folder in at]),
        genes=genes,
        features=pd.read_parquet(at[0] / "features.parquet"),
        measured=measured,
        total=parts[0]["total"],
        source=parts[0]["source"],
    )


def read_cells(paths: Sequence[Path]) -> pd.DataFrame:
    """Tables of cells, one after another; texts become sorted categories, a tenth of their memory."""
    tables = [pq.read_table(path, read_dictionary=TEXT) for path in paths]
    tables = [table for table in tables if table.num_rows] or tables[:1]  # columns without a value have no type
    cells = pa.concat_tables(tables).unify_dictionaries().to_pandas(split_blocks=True, self_destruct=True)
    for name in TEXT:
        texts = cells[name].astype("category").cat
        cells[name] = texts.reorder_categories(sorted(texts.categories))
    return cells


def write_cells(cells: pd.DataFrame, path: Path) -> None:
    """The table with plain texts, so that no reader meets categories; ordered by `row`, for who reads it piece by
    piece along the shards; some rows at a time."""
    order = np.argsort(cells["row"].to_numpy())
    with write_pieces(path) as add:
        for start in range(0, max(len(cells), 1), ROWS):
            add(cells.iloc[order[start : start + ROWS]].astype(dict.fromkeys(TEXT, object)))


def _check(parts: list[dict]) -> None:
    if not parts:
        raise ScfmError("PARTS: none given; name the folders that 'scfm corpus scan' wrote")
    first = parts[0]
    for part in parts:
        if (part["total"], part["source"]) != (first["total"], first["source"]):
            raise ScfmError(f"{part['at']}: scanned from another store than {first['at']}; scan all parts again")
    edges = [part["start"] for part in parts] + [first["total"]]
    for part, start, stop in zip(parts, edges[:-1], edges[1:], strict=True):
        if part["stop"] != stop or (part is first and start != 0):
            raise ScfmError(f"{part['at']}: parts do not cover each cell of the store once; give all parts of one scan")


def _measured(folder: Path) -> pd.DataFrame:
    with np.load(folder / "measured.npz") as stored:
        index = pd.Index(stored["datasets"].astype(str), name="dataset_id")
        return pd.DataFrame(stored["measured"], index=index)
