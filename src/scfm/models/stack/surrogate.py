"""Draws that stand for negative binomial counts and pass gradients on."""

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_draws(log_mean: Tensor, log_dispersion: Tensor, uniform: Tensor, normal: Tensor, temperature: float) -> Tensor:
    """A gate times a log-normal whose first two moments are those of the counts above 0, float [..., genes].

    With p = 1 - (θ/(θ+μ))^θ the chance of a count above 0, the log-normal has mean μ/p and second moment
    (μ + μ² + μ²/θ)/p; the gate is a binary concrete variable (Maddison et al. 2017) that opens with chance p.

    Args:
        log_mean, log_dispersion: float [..., genes], of log μ and log θ.
        uniform, normal: noise of the same shape.
    """
    log_zero = -log_dispersion.exp() * F.softplus(log_mean - log_dispersion)
    log_above = torch.log(-torch.expm1(log_zero.clamp(max=-1e-6)))
    noise = torch.logit(uniform, eps=1e-6)
    gate = torch.sigmoid((log_above - log_zero + noise) / temperature)
    log_first = log_mean - log_above
    log_second = log_mean + torch.log1p(log_mean.exp() + (log_mean - log_dispersion).exp()) - log_above
    spread = (log_second - 2 * log_first).clamp(min=1e-4)
    return gate * torch.exp(log_first - spread / 2 + spread.sqrt() * normal)


def log_scaled(counts: Tensor, depth: Tensor, scale: float) -> Tensor:
    """log1p of counts [..., genes] scaled from the cell's depth [...] to `scale`."""
    return torch.log1p(counts * (scale / depth.clamp(min=1))[..., None])
