"""Downsampling of cells: composable steps, each a pure function of the cells and a seed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scfm.corpus.settings import Cap, Fraction, Sampling, Total
from scfm.errors import ScfmError


def sample(cells: pd.DataFrame, steps: Sequence[Sampling]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Apply the steps in order.

    Args:
        cells: ordered by soma_joinid.

    Returns:
        The cells that stay, in the same order, and a table step, kind, field, value, before, after, with one row a
        value of the step's field ("" for a fraction).

    Raises:
        ScfmError: a step leaves no cell.
    """
    tables = [pd.DataFrame(columns=["step", "kind", "field", "value", "before", "after"])]
    for number, step in enumerate(steps, start=1):
        field = getattr(step, "field", "")
        groups = cells[field].to_numpy() if field else np.full(len(cells), "")
        kept = _KEEP[step.kind](groups, step)
        counts = pd.DataFrame({"value": groups, "after": kept}).groupby("value")["after"].agg(["size", "sum"])
        table = counts.reset_index().set_axis(["value", "before", "after"], axis=1)
        tables.append(table.assign(step=number, kind=step.kind, field=field)[tables[0].columns])
        if not kept.any():
            raise ScfmError(f"corpus.sampling: step {number} ({step.kind}) leaves no cell; ask for more")
        cells = cells[kept]
    return cells.reset_index(drop=True), pd.concat([t for t in tables if len(t)] or tables, ignore_index=True)


def _fraction(groups: np.ndarray, step: Fraction) -> np.ndarray:
    """The cells of lowest rank in one random order: shares are nested."""
    return _rank(groups, step.seed, within=False) < round(step.fraction * len(groups))


def _cap(groups: np.ndarray, step: Cap) -> np.ndarray:
    return _rank(groups, step.seed, within=True) < step.cells


def _total(groups: np.ndarray, step: Total) -> np.ndarray:
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return _rank(groups, step.seed, within=True) < equal_quotas(sizes, step.cells)[codes]


_KEEP = {"fraction": _fraction, "cap": _cap, "total": _total}


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


def _rank(groups: np.ndarray, seed: int, within: bool) -> np.ndarray:
    """Random rank of each cell, over all cells or within its group, int64 from 0."""
    draw = np.random.default_rng(seed).permutation(len(groups))
    return pd.Series(draw).groupby(groups).rank(method="first").to_numpy(np.int64) - 1 if within else draw
