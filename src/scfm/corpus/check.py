"""What must never stand on both sides of the split, looked for in what was written."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from scfm.corpus.split import TRAIN, VALIDATION
from scfm.errors import ScfmError
from scfm.files import must_exist

UNITS = {"cell": ["soma_joinid"], "donor": ["dataset_id", "donor_id"], "dataset": ["dataset_id"]}
"""Columns that name a unit, from the finest to the coarsest; a split by one keeps the finer ones apart as well."""


def check_written(selection: Path, shards: Path) -> pd.DataFrame:
    """Check the cells of a selection and of the shards made from it.

    Returns:
        Columns where ("selection", "shards"), unit, train, validation (units on each side), crossing (units on both),
        must_not_cross (bool).

    Raises:
        ScfmError: what `check_split` raises, or the shards hold a cell that the selection does not, or has on the
            other side.
    """
    manifest = json.loads(must_exist(Path(selection) / "manifest.json", "selection").read_text())
    by, tables, sides = manifest["settings"]["split"]["by"], [], {}
    for where, folder in (("selection", selection), ("shards", shards)):
        sides[where] = read_sides(folder)
        tables.append(check_split(sides[where], by, str(folder)).assign(where=where))
    chosen = sides["selection"].set_index("soma_joinid")["split"]
    written = sides["shards"].set_index("soma_joinid")["split"]
    strange = written.index[chosen.reindex(written.index).to_numpy(object) != written.to_numpy(object)]
    if len(strange):
        raise ScfmError(
            f"{shards}: cell {strange[0]} and {len(strange) - 1:,} others are missing in {selection} or stand on its "
            "other side; gather the shards again"
        )
    return pd.concat(tables, ignore_index=True)[["where", *tables[0].columns.drop("where")]]


def read_sides(folder: Path) -> pd.DataFrame:
    """soma_joinid, dataset_id, donor_id, split of every cell of a selection or of shards.

    Raises:
        ScfmError: there is no such table.
    """
    path = must_exist(Path(folder) / "cells.parquet", "cells of the corpus")
    return pd.read_parquet(path, columns=["soma_joinid", "dataset_id", "donor_id", "split"])


def check_split(cells: pd.DataFrame, by: str, where: str) -> pd.DataFrame:
    """Count what stands on both sides.

    Args:
        cells: soma_joinid, dataset_id, donor_id, split.
        by: what was split: dataset, donor or cell.
        where: what is checked, for the error.

    Returns:
        unit, train, validation, crossing, must_not_cross; one row for each of `UNITS`.

    Raises:
        ScfmError: a side has another name than train or validation, a cell occurs twice, or a unit crosses that the
            split must keep together.
    """
    validation = (cells["split"] == VALIDATION).to_numpy()
    strange = cells["split"][~validation & (cells["split"] != TRAIN).to_numpy()]
    if len(strange):
        raise ScfmError(f"{where}: a cell stands on side '{strange.iloc[0]}'; expected {TRAIN} or {VALIDATION}")
    twice = cells["soma_joinid"].duplicated()
    if twice.any():
        first = cells["soma_joinid"][twice].iloc[0]
        raise ScfmError(f"{where}: cell {first} occurs more than once, as {int(twice.sum()):,} rows do; select again")
    kept = list(UNITS)[: list(UNITS).index(by) + 1]
    rows = []
    for unit, columns in UNITS.items():
        code = cells.groupby(columns, observed=True, sort=False).ngroup().to_numpy()
        on = [np.bincount(code[side], minlength=code.max() + 1) > 0 for side in (~validation, validation)]
        crossing = on[0] & on[1]
        if unit in kept and crossing.any():
            names = cells.loc[crossing[code], columns].iloc[0]
            raise ScfmError(
                f"{where}: {unit} '{':'.join(map(str, names))}' stands in {TRAIN} and in {VALIDATION}, as "
                f"{int(crossing.sum()):,} of {len(crossing):,} do, though the split is by {by}; select again"
            )
        numbers = {TRAIN: on[0].sum(), VALIDATION: on[1].sum(), "crossing": crossing.sum()}
        rows.append({"unit": unit, **numbers, "must_not_cross": unit in kept})
    return pd.DataFrame(rows)
