"""Losses of PULSAR as sums over what they count."""

import torch
from torch import Tensor
from torch.nn import functional as F


def squared_error(predicted: Tensor, truth: Tensor, hidden: Tensor) -> Tensor:
    """Σ (predicted - truth)² over the hidden elements, all [donors, targets, width]."""
    return ((predicted.float() - truth) ** 2 * hidden).sum()


def info_nce(first: Tensor, second: Tensor, paired: Tensor, temperature: float) -> Tensor:
    """Σ of both directions' cross-entropies: each subset must find its donor's other one in the batch (InfoNCE).

    Args:
        first, second: [donors, hidden], vectors of two subsets; scored by cosine over temperature.
        paired: bool [donors], the donor has two subsets; the others are left out.

    Returns:
        The sum over 2 x pairs; 0 with fewer than two pairs, where nothing is contrasted.
    """
    logits = _unit(first[paired]) @ _unit(second[paired]).T / temperature
    return (logits.logsumexp(1) + logits.logsumexp(0) - 2 * logits.diagonal()).sum()


def pairs(paired: Tensor) -> Tensor:
    """Terms of `info_nce`: 2 for each pair, 0 with one pair alone."""
    count = 2 * paired.sum()
    return torch.where(count > 2, count, 0)


def anchors(labels: Tensor) -> Tensor:
    """bool [vectors]: the label is known, another vector shares it and another one has a different label."""
    same, known = _same(labels), labels >= 0
    return known & same.any(1) & (known[:, None] & known & (labels[:, None] != labels)).any(1)


def supervised_contrast(vectors: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Σ over anchors of -mean over their positives of log softmax of cosines (Khosla et al. 2020, L_out).

    Args:
        vectors: [vectors, hidden].
        labels: int64 [vectors], -1 where unknown; vectors of an unknown label take no part.
    """
    rows = anchors(labels).nonzero().squeeze(1)
    unit = _unit(vectors)
    itself = rows[:, None] == torch.arange(len(labels), device=labels.device)
    cosine = unit[rows] @ unit.T / temperature
    log_share = cosine - cosine.masked_fill(itself | (labels < 0), -torch.inf).logsumexp(1, keepdim=True)
    same = _same(labels)[rows]
    return -((log_share * same).sum(1) / same.sum(1)).sum()


def label_error(predicted: Tensor, labels: Tensor, kind: str) -> Tensor:
    """Σ of cross-entropies, or of squared errors, over the donors whose label is known.

    Args:
        predicted: [donors, classes] or [donors, 1]. labels: int64, -1 where unknown; or float, NaN where unknown.
    """
    known = known_labels(labels, kind)
    if kind == "class":
        return F.cross_entropy(predicted[known].float(), labels[known], reduction="sum")
    return ((predicted[known].float().squeeze(1) - labels[known].float()) ** 2).sum()


def known_labels(labels: Tensor, kind: str) -> Tensor:
    """bool [donors]."""
    return labels >= 0 if kind == "class" else ~labels.isnan()


def controls(condition: Tensor, donor: Tensor) -> Tensor:
    """bool [samples, samples]: the column's sample is a control of the donor of the row's treated sample."""
    return ((condition >= 0) & (donor >= 0))[:, None] & (condition < 0) & (donor[:, None] == donor)


def _same(labels: Tensor) -> Tensor:
    """bool [vectors, vectors]: another vector with the same known label."""
    same = (labels[:, None] == labels) & (labels >= 0)
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.float(), dim=-1)
