"""Losses of label heads beside the hierarchical one, and what they say of the leaves of the label tree."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from scfm.ontology import LabelTree


def flat_sum(logits: Tensor, classes: Tensor, gamma: float = 0.0) -> tuple[Tensor, Tensor]:
    """Sum over the labelled cells of −(1 − p)^gamma · log p, p the softmax of the label; and their number.

    Args:
        logits: float [cells, classes]. classes: int64 [cells], -1 if unknown.
        gamma: 0 for cross-entropy, else of the focal loss (Lin et al. 2017), from 1 on.
    """
    labelled = classes >= 0
    log_p = logits.log_softmax(1).gather(1, classes.clamp(min=0)[:, None]).squeeze(1)
    loss = -log_p if not gamma else -((-torch.expm1(log_p)) ** gamma) * log_p
    return (loss * labelled).sum(), labelled.sum()


def squared_sum(outputs: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over the cells with a number of its squared error, and how many they are.

    Args:
        outputs: float [cells, 1]. numbers: float [cells], NaN if unknown.
    """
    known = numbers.isfinite()
    return ((outputs[:, 0] - numbers.where(known, 0.0)) ** 2 * known).sum(), known.sum()


FLAT = {
    "cross_entropy": lambda logits, classes, head: flat_sum(logits, classes),
    "focal": lambda logits, classes, head: flat_sum(logits, classes, head.gamma),
    "squared": lambda outputs, numbers, head: squared_sum(outputs, numbers),
}
"""Loss without a tree to its sum over the cells with a label or number and how many they are, by outputs, truth and
settings of the head."""


def sigmoid_sum(logits: Tensor, nodes: Tensor, lineage: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over the labelled cells of the mean binary cross-entropy of the nodes they know, and their number.

    The label and what lies above it hold, what lies below it is unknown, and all else does not hold (scPRINT).

    Args:
        logits: float [cells, nodes]. nodes: int64 [cells], -1 if unknown.
        lineage: bool [nodes, nodes], the second is the first or lies above it.
    """
    labelled, own = nodes >= 0, nodes.clamp(min=0)
    holds = lineage[own]
    known = holds | ~lineage.T[own]
    entropy = F.binary_cross_entropy_with_logits(logits, holds.to(logits.dtype), reduction="none")
    loss = (entropy * known).sum(1) / known.sum(1)
    return (loss * labelled).sum(), labelled.sum()


def leaf_probabilities(logits: Tensor, loss: str, tree: LabelTree, classes: Sequence[str]) -> Tensor:
    """Probabilities of the tree's leaves, float [cells, leaves], from the logits of a head of cell types.

    Those of sigmoids are divided by their sum. The mass of a flat class is shared evenly by the leaves at or below it.

    Args:
        classes: terms that the columns of `logits` stand for, if the head is flat.
    """
    if loss == "hce":
        return logits.softmax(1)
    row = {node: i for i, node in enumerate(tree.nodes)}
    if loss == "sigmoid":
        return F.logsigmoid(logits[:, [row[leaf] for leaf in tree.leaves]]).softmax(1)
    share = torch.from_numpy(tree.membership[[row[term] for term in classes]]).to(logits)
    return logits.softmax(1) @ (share / share.sum(1, keepdim=True))
