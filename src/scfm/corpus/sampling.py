"""Downsampling of cells: composable steps, each a pure function of the cells and a seed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scfm.corpus.steps import Cap, Fraction, Sampling, Stratify, Total
from scfm.errors import ScfmError

COLUMNS = ["step", "kind", "field", "value", "before", "after"]
BETWEEN = " | "
"""Stands between the columns, and between the values, of a combination."""


def sample(cells: pd.DataFrame, steps: Sequence[Sampling]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Apply the steps in order.

    Args:
        cells: ordered by soma_joinid.

    Returns:
        The cells that stay, in the same order, and a table `COLUMNS` with one row a group of the step's fields: its
        cells before and after (a fraction has one group, ""; columns and values of a combination are joined by " | ").

    Raises:
        ScfmError: a step leaves no cell, or has too little room for what it must keep of each group.
    """
    tables = []
    for number, step in enumerate(steps, start=1):
        fields = list(getattr(step, "field", ()))
        group, values = _groups(cells, fields)
        sizes = np.bincount(group, minlength=len(values))
        try:
            kept = _KEEP[step.kind](group, sizes, step)
        except ScfmError as error:
            raise ScfmError(f"corpus.sampling: step {number} ({step.kind}) {error}") from None
        after = np.bincount(group[kept], minlength=len(values))
        table = pd.DataFrame({"value": values, "before": sizes, "after": after})
        tables.append(table.assign(step=number, kind=step.kind, field=BETWEEN.join(fields))[COLUMNS])
        if not kept.any():
            raise ScfmError(f"corpus.sampling: step {number} ({step.kind}) leaves no cell; ask for more")
        cells = cells[kept]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    return cells.reset_index(drop=True), table


def _groups(cells: pd.DataFrame, fields: list[str]) -> tuple[np.ndarray, list[str]]:
    """Group of each cell, int64 [cells], and the groups' values, sorted; one group "" where no field makes any."""
    if not fields:
        return np.zeros(len(cells), dtype=np.int64), [""]
    grouped = cells.groupby(fields, sort=True, observed=True, dropna=False)
    values = [BETWEEN.join(map(str, value)) for value in grouped.size().index.to_frame().itertuples(index=False)]
    return grouped.ngroup().to_numpy(np.int64), values


def _fraction(group: np.ndarray, sizes: np.ndarray, step: Fraction) -> np.ndarray:
    """The cells of lowest rank in one random order: shares are nested."""
    return _rank(group, sizes, step.seed) < round(step.fraction * len(group))


def _cap(group: np.ndarray, sizes: np.ndarray, step: Cap) -> np.ndarray:
    return _rank(group, sizes, step.seed) < step.cells


def _total(group: np.ndarray, sizes: np.ndarray, step: Total) -> np.ndarray:
    return _rank(group, sizes, step.seed) < equal_quotas(sizes, step.cells)[group]


def _stratify(group: np.ndarray, sizes: np.ndarray, step: Stratify) -> np.ndarray:
    total = step.cells if step.cells is not None else round(step.fraction * len(group))
    return _rank(group, sizes, step.seed) < stratified_quotas(sizes, total, step.least)[group]


_KEEP = {"fraction": _fraction, "cap": _cap, "total": _total, "stratify": _stratify}


def equal_quotas(sizes: np.ndarray, total: int) -> np.ndarray:
    """How many each group gives so that the sum is `total` exactly (or all there is) and gifts are as equal as can be.

    quota = total // groups, limited by each group's size; what remains is handed out in further rounds, and at last
    one each in the order of the groups.

    Args:
        sizes: int [groups].
    """
    quotas = np.zeros(len(sizes), dtype=np.int64)
    left = min(int(total), int(np.sum(sizes)))
    while left:
        open_groups = np.flatnonzero(quotas < sizes)
        each = left // len(open_groups)
        gift = (
            np.minimum(sizes[open_groups] - quotas[open_groups], each) if each else np.arange(len(open_groups)) < left
        )
        quotas[open_groups] += gift
        left -= int(np.sum(gift))
    return quotas


def stratified_quotas(sizes: np.ndarray, total: int, least: int) -> np.ndarray:
    """How many each group gives so that the sum is `total` exactly (or all there is) and no group is lost.

    Each group gives f = min(least, size) first. Of what the total leaves, its share is proportional to its other
    cells, size - f, rounded down; the cells that rounding left go one each to the largest remainders, ties in the
    order of the groups. No share exceeds what the group has.

    Args:
        sizes: int [groups].

    Raises:
        ScfmError: `total` is less than the sum of f.
    """
    sizes = np.asarray(sizes, dtype=np.int64)
    floor = np.minimum(sizes, least)
    rest, others = min(int(total), int(sizes.sum())) - int(floor.sum()), sizes - floor
    if rest < 0:
        raise ScfmError(
            f"keeps {total:,} cells, fewer than the {int(floor.sum()):,} that {least} of each of {len(sizes):,} "
            "groups take; ask for more, or for fewer of each"
        )
    share, remainder = np.divmod(rest * others, max(int(others.sum()), 1))
    favoured = np.argsort(-remainder, kind="stable")[: rest - int(share.sum())]
    share[favoured] += 1
    return floor + share


def _rank(group: np.ndarray, sizes: np.ndarray, seed: int) -> np.ndarray:
    """Random rank of each cell within its group, int64 from 0."""
    draw = np.random.default_rng(seed).permutation(len(group))
    rank = np.empty(len(group), dtype=np.int64)
    rank[np.lexsort((draw, group))] = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return rank
