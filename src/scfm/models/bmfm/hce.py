"""Hierarchical cross-entropy: softmax over the leaves of a label DAG, a node being the sum of its leaves."""

from torch import Tensor


def hce_sum(logits: Tensor, nodes: Tensor, membership: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over the labelled cells of −log P(label), and their number.

    P(node) is the softmax mass of the leaves at or below the node, each leaf once (paper, HCE). The
    sum over a label's own leaves is shifted by the maximum over those leaves, which stays finite where a
    shift by the global maximum underflows.

    Args:
        logits: float [cells, leaves]. nodes: int64 [cells], row of `membership`; -1 if unknown.
        membership: bool [nodes, leaves].
    """
    labelled = nodes >= 0
    known = membership[nodes.clamp(min=0)]
    # Unlabelled cells take every leaf, which gives exactly 0 and a finite gradient.
    own = logits.masked_fill(~(known | ~labelled[:, None]), float("-inf"))
    loss = logits.logsumexp(1) - own.logsumexp(1)
    return (loss * labelled).sum(), labelled.sum()
