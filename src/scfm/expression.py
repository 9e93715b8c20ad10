"""What a matrix of expression may hold, and what a sample of it says that it holds."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

VALUES = ("counts", "tpm", "lognorm")
LARGEST_LOG = 25.0
"""No natural logarithm of expression comes near it: its exponential is 7e10."""

HIGHEST_USUAL_LOG = 10.0
"""No gene exceeds it after log1p(1e4 · x / total), and no library's linear values stay below it, but by chance."""
BASES = {"e": 1.0, "2": np.log(2), "10": np.log(10)}
"""Base of a logarithm to what its values are multiplied by to be natural ones."""


def check_values(x: np.ndarray, values: str) -> None:
    """Raise a sentence if `x` cannot be what `values` says.

    Raises:
        ScfmError: it cannot.
    """
    if not np.isfinite(x).all() or (x < 0).any():
        raise ScfmError(f"X: holds negative or missing values; expected {values}, which a scaled matrix is not")
    if values == "counts" and (x % 1).any():
        odd = x[x % 1 != 0][0]
        raise ScfmError(f"X: holds {odd:g}, which is not a count; say values lognorm or tpm, or give the raw counts")
    if values == "lognorm" and x.max(initial=0) > LARGEST_LOG:
        raise ScfmError(f"X: holds {x.max():g}, which is no log-normalised value; say values counts or tpm")


def detect_values(sample: "csr_matrix") -> tuple[str, str]:
    """One of `VALUES`, and the sign by which a sample of cells shows it.

    Whole numbers are counts. Of other values, those that are the logarithm of something tell it by steps of one count
    within each cell, or by equal totals, once the logarithm is taken back; and linear ones by the same without it.
    Where neither shows, as in a panel of genes from reads, the largest value decides.

    Args:
        sample: [cells, genes], float; zeros stored or not.

    Raises:
        ScfmError: values are negative or missing, logarithms to another base, or could be either.
    """
    x = sample.data
    check_values(x, "counts, tpm or lognorm")
    largest = float(x.max(initial=0))
    if not (x % 1).any():
        return "counts", "whole numbers"
    if largest > LARGEST_LOG:
        return "tpm", f"no whole numbers, values up to {largest:,.0f}"
    for base, factor in BASES.items():
        sign = _linear_sign(sample, np.expm1(x * factor))
        if sign and base != "e":
            raise ScfmError(
                f"X: holds logarithms to base {base} ({sign}); multiply it by ln({base}) = {factor:.4f} and say values "
                "lognorm"
            )
        if sign:
            return "lognorm", f"{sign} without the logarithm"
    if sign := _linear_sign(sample, x):
        return "tpm", f"no whole numbers, {sign}"
    if largest <= HIGHEST_USUAL_LOG:
        return "lognorm", f"no whole numbers, none above {HIGHEST_USUAL_LOG:g}"
    raise ScfmError(
        f"X: is no matrix of counts, and values up to {largest:.3g} can be log-normalised or linear; say values "
        "lognorm or tpm"
    )


def _linear_sign(sample: "csr_matrix", values: np.ndarray) -> str:
    """What shows that `values`, in the places of the sample's, are proportional to counts; "" if nothing does."""
    starts = sample.indptr
    cells = [values[a:b][values[a:b] > 0].astype(np.float64) for a, b in pairwise(starts)]
    cells = [cell for cell in cells if len(np.unique(cell.round(6))) > 2]
    if not cells:
        return ""
    totals = np.array([cell.sum() for cell in cells])
    if len(cells) > 2 and totals.std() < 1e-3 * totals.mean():
        return f"every cell adds up to {totals.mean():,.0f}"
    return "steps of one count" if np.median([_whole_multiples(cell) for cell in cells]) > 0.95 else ""


def _whole_multiples(cell: np.ndarray) -> float:
    """Share of a cell's values that are whole multiples of its smallest, as far as their digits tell."""
    steps = cell / cell.min()
    steps = steps[steps < 20]
    return float((np.abs(steps - steps.round()) < 0.02).mean())
