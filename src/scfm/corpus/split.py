"""Training and validation cells: by dataset, donor or cell; nothing stands on both sides."""

import numpy as np
import pandas as pd

from scfm.corpus.settings import Split
from scfm.errors import ScfmError

UNKNOWN = "unknown"
TRAIN, VALIDATION = "train", "validation"


def split_cells(cells: pd.DataFrame, settings: Split) -> tuple[np.ndarray, pd.DataFrame]:
    """Side of each cell, and the table of what was split.

    Returns:
        str [cells], "train" or "validation"; table unit, split, cells, cell_types (one row a dataset, donor, or side).

    Raises:
        ScfmError: one side would stay empty.
    """
    unit = _units(cells, settings)
    sides = _dataset_sides(cells) if settings.by == "dataset" else _random_sides(unit, settings)
    side = unit.map(sides).to_numpy(dtype=object)
    for name in (TRAIN, VALIDATION):
        if not (side == name).any():
            raise ScfmError(
                f"corpus.split: by '{settings.by}' leaves no {name} cell among {len(sides):,} "
                f"{settings.by}s of {len(cells):,} cells; split by something finer or add data"
            )
    known = cells["cell_type_ontology_term_id"].where(cells["cell_type_ontology_term_id"] != UNKNOWN)
    shown = pd.Series(side) if settings.by == "cell" else unit.reset_index(drop=True)
    table = pd.DataFrame({"unit": shown, "split": side, "cell_type": known.to_numpy()})
    table = table.groupby(["unit", "split"], observed=True).agg(
        cells=("unit", "size"), cell_types=("cell_type", "nunique")
    )
    return side, table.reset_index()


def _units(cells: pd.DataFrame, settings: Split) -> pd.Series:
    """What must stay together. Donor names are only unique within a dataset."""
    if settings.by == "dataset":
        return cells["dataset_id"]
    if settings.by == "donor":
        return cells["dataset_id"].str.cat(cells["donor_id"], sep=":")
    return cells["soma_joinid"]


def _random_sides(unit: pd.Series, settings: Split) -> pd.Series:
    units = np.sort(unit.unique())
    validation = max(1, round(settings.fraction * len(units)))
    if len(units) < 2:
        raise ScfmError(
            f"corpus.split: by '{settings.by}' needs at least two {settings.by}s, found {len(units)}; "
            "split by cell or add data"
        )
    order = np.random.default_rng(settings.seed).permutation(len(units))
    return pd.Series(np.where(order < min(validation, len(units) - 1), VALIDATION, TRAIN), index=units)


def _dataset_sides(cells: pd.DataFrame) -> pd.Series:
    known = cells[cells["cell_type_ontology_term_id"] != UNKNOWN]
    types = known.groupby("dataset_id", observed=True)["cell_type_ontology_term_id"].agg(set)
    datasets = sorted(cells["dataset_id"].unique())
    return pd.Series(coverage_split({name: types.get(name, set()) for name in datasets}))


def coverage_split(types: dict[str, set[str]]) -> dict[str, str]:
    """The rule of the BMFM-RNA release.

    Datasets are visited from most cell types to fewest, ties by name. A dataset goes to validation if training
    already covers all its cell types and validation lacks at least one of them; else to training.

    Args:
        types: dataset to its labels, "unknown" left out.
    """
    covered: dict[str, set[str]] = {TRAIN: set(), VALIDATION: set()}
    sides = {}
    for name in sorted(types, key=lambda name: (-len(types[name]), name)):
        own = types[name]
        side = VALIDATION if own <= covered[TRAIN] and not own <= covered[VALIDATION] else TRAIN
        covered[side] |= own
        sides[name] = side
    return sides
