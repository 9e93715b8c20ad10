"""The cells of the synthetic census: datasets, types, donors, batches, labels, depth and latents."""

import numpy as np
import pandas as pd

from scfm.corpus.settings import Synthetic
from scfm.corpus.synthetic import HOLDOUT, corpus_names
from scfm.corpus.synthetic.donors import with_donors
from scfm.corpus.synthetic.genes import DATA, LATENTS
from scfm.corpus.synthetic.tissue import with_places

ASSAYS = ("10x 3' v2", "10x 3' v3", "10x 5' v1", "Drop-seq")
TISSUES = ("blood", "bone marrow", "spleen", "lymph node")
FIRST_SHARES = (0.30, 0.25)
"""Shares of the first two datasets; the others divide the rest."""
POOR = 0.01
"""Share of the corpus's cells that are nearly empty, and share that are dying (mitochondrial)."""


def cell_types(settings: Synthetic) -> pd.DataFrame:
    """The first `types` rows of cell_types.tsv: id, name, coarse, coarser, weight, tissues (list)."""
    table = pd.read_csv(DATA / "cell_types.tsv", sep="\t").head(settings.types)
    return table.assign(tissues=table["tissues"].str.split(","))


def cell_table(settings: Synthetic) -> pd.DataFrame:
    """One row a cell, corpus datasets first, the held-out one last.

    Columns: dataset_id, type (row of `cell_types`), cell_type_ontology_term_id, donor_id, batch, tissue, assay,
    sex, state ("good", "empty" or "dying"), depth (multiplier of the expected counts), cell_cycle, dissociation; with
    `donor_truth` also age (years) and disease; with `tissue` also x, y (micrometres) and layer.
    """
    types = cell_types(settings)
    names, sizes = [*corpus_names(settings), HOLDOUT], [*_sizes(settings), settings.holdout_cells]
    rng = np.random.default_rng([settings.seed, 2])
    depth = np.exp(rng.normal(0, 0.3, len(names)))
    depth[:2] = 1.0, 1.25
    tables = []
    for i, (name, size) in enumerate(zip(names, sizes, strict=True)):
        tissue = TISSUES[i % 4] if 2 <= i < len(names) - 1 else None
        table = _dataset(types, size, tissue, settings, rng, complete=i in (0, len(names) - 1))
        if name == HOLDOUT:
            table["cell_type_ontology_term_id"] = types["id"].to_numpy()[table["type"]]
        else:
            state = rng.choice(["good", "empty", "dying"], len(table), p=[1 - 2 * POOR, POOR, POOR])
            # Rare labels must survive quality control, or the coverage rule would depend on chance.
            exact = table["cell_type_ontology_term_id"].to_numpy() == types["id"].to_numpy()[table["type"]]
            table["state"] = np.where(exact, state, "good")
        table["depth"] = depth[i] * np.exp(rng.normal(0, settings.depth_sd, len(table)))
        tables.append(table.assign(dataset_id=name, assay=ASSAYS[i % 4]))
    cells = pd.concat(tables, ignore_index=True)
    cells["depth"] *= cells["state"].map({"good": 1.0, "empty": 0.03, "dying": 0.7})
    cells[list(LATENTS)] = rng.normal(size=(len(cells), 2))
    cells = with_donors(cells, types, settings) if settings.donor_truth else cells
    return with_places(cells, settings) if settings.tissue else cells


def _sizes(settings: Synthetic) -> list[int]:
    first = [int(settings.cells * share) for share in FIRST_SHARES]
    others = settings.datasets - 2
    if not others:
        return [first[0], settings.cells - first[0]]
    rest = settings.cells - sum(first)
    return first + [rest // others + (i < rest % others) for i in range(others)]


def _dataset(
    types: pd.DataFrame, size: int, tissue: str | None, settings: Synthetic, rng: np.random.Generator, complete: bool
) -> pd.DataFrame:
    """Cells of one dataset in random order. Without a tissue every cell gets one in which its type occurs."""
    present = np.array([tissue is None or tissue in where for where in types["tissues"]])
    if not complete:
        present[-1] = False
    counts = _apportion(types["weight"].to_numpy() * present, size)
    labels = [_labels(row, count, settings) for row, count in zip(types.itertuples(), counts, strict=True)]
    table = pd.DataFrame(
        {"type": np.repeat(np.arange(len(types)), counts), "cell_type_ontology_term_id": np.concatenate(labels)}
    )
    table = table.iloc[rng.permutation(size)].reset_index(drop=True)
    donor = rng.integers(settings.donors, size=size)
    table["donor_id"] = [f"donor_{d}" for d in donor]
    table["sex"] = np.where(donor % 2 == 0, "female", "male")
    table["batch"] = [f"batch_{b}" for b in rng.integers(settings.batches, size=size)]
    pick = rng.random(size)
    where = types["tissues"].to_numpy()[table["type"]]
    table["tissue"] = tissue or [options[int(u * len(options))] for u, options in zip(pick, where, strict=True)]
    return table.assign(state="good")


def _apportion(weights: np.ndarray, total: int) -> np.ndarray:
    """Integers proportional to the weights that add up to `total`, by largest remainder."""
    quota = weights / weights.sum() * total
    counts = np.floor(quota).astype(int)
    order = np.argsort(counts - quota, kind="stable")
    counts[order[: total - counts.sum()]] += 1
    return counts


def _labels(row: tuple, count: int, settings: Synthetic) -> np.ndarray:
    """Labels of the cells of one type: a quarter of the coarse ones at the far ancestor, the rest at the near one."""
    unknown, coarse = round(count * settings.unlabelled), round(count * settings.coarse)
    far = coarse // 4
    names = np.array(["unknown", row.coarser, row.coarse, row.id], dtype=object)
    return np.repeat(names, [unknown, far, coarse - far, count - unknown - coarse])
