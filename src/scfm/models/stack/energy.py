"""Energy distances between sets of vectors."""

import torch
from torch import Tensor


def energy_distance(a: Tensor, b: Tensor, unbiased: bool = True) -> Tensor:
    """2E|a-b| - E|a-a'| - E|b-b'| (Székely & Rizzo 2013), scalar.

    Args:
        a: float [n, width]. b: float [m, width].
        unbiased: leave a vector's distance from itself out of the last two means (U-statistic); else 0 for equal sets.
    """
    ones = [torch.ones(1, len(x), 1, device=x.device, dtype=x.dtype) for x in (a, b)]
    return _strata(a[None], b[None], *ones, unbiased)[0, 0]


def stratified_energy(a: Tensor, b: Tensor, rows: Tensor, kind: Tensor) -> Tensor:
    """Energy distance within each type, the mean over types by their rows, float [sets]; 0 without rows.

    Args:
        a, b: float [sets, rows, width]. rows: bool [sets, rows], those compared. kind: int64 [sets, rows], from 0.
    """
    kinds = torch.arange(int(kind.max()) + 1, device=kind.device)
    member = ((kind[..., None] == kinds) & rows[..., None]).to(a.dtype)
    size = member.sum(1)
    return (_strata(a, b, member, member, True) * size).sum(1) / size.sum(1).clamp(min=1)


def _strata(a: Tensor, b: Tensor, own_a: Tensor, own_b: Tensor, unbiased: bool) -> Tensor:
    """float [sets, strata]; `own` float [sets, rows, strata] says which rows are of which."""
    between = _mean_distance(a, b, own_a, own_b, 0)
    return (
        2 * between
        - _mean_distance(a, a, own_a, own_a, int(unbiased))
        - _mean_distance(b, b, own_b, own_b, int(unbiased))
    )


def _mean_distance(a: Tensor, b: Tensor, own_a: Tensor, own_b: Tensor, itself: int) -> Tensor:
    distance = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
    total = ((own_a.mT @ distance) * own_b.mT).sum(2)
    pairs = own_a.sum(1) * (own_b.sum(1) - itself)
    return total / pairs.clamp(min=1)
