"""Divergences of the latent in closed form, and their hinge over sets."""

import math

import torch
from torch import Tensor

from scfm.models.cellplm.precision import single


def normal_divergence(mean: Tensor, variance: Tensor, prior_mean: Tensor, prior_variance: Tensor) -> Tensor:
    """KL of diagonal normals in nats, from [cells, width] each to [cells]: what one draw of the release estimates."""
    mean, variance, prior_mean, prior_variance = map(single, (mean, variance, prior_mean, prior_variance))
    squared = (variance + (mean - prior_mean) ** 2) / prior_variance
    return 0.5 * (squared - 1 + prior_variance.log() - variance.log()).sum(1)


def component_divergence(logits: Tensor) -> Tensor:
    """KL of softmax(logits) from all components alike, log K - entropy, from [cells, components] to [cells]."""
    log_chance = single(logits).log_softmax(1)
    return math.log(logits.shape[1]) + torch.special.xlogy(log_chance.exp(), log_chance.exp()).sum(1)


def hinge_sum(divergence: Tensor, set_of: Tensor, hinge: float) -> Tensor:
    """Σ over sets of cells · max(hinge, mean over the set's cells).

    A set is what the release takes as a batch; sums over whole sets add up over any number of batches.

    Args:
        divergence: float [cells]. set_of: int64 [cells], number of the set.
    """
    cells = torch.bincount(set_of)
    means = divergence.new_zeros(len(cells)).index_add(0, set_of, divergence) / cells
    return (cells * means.clamp(min=hinge)).sum()
