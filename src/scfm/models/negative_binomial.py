"""The negative binomial of counts by mean and dispersion: what decoders of counts are trained on."""

import torch
from torch import Tensor
from torch.nn import functional as F


def negative_binomial_nll(count: Tensor, log_mean: Tensor, log_dispersion: Tensor) -> Tensor:
    """Negative log-likelihood, in nats, of counts with variance mean + mean²/dispersion.

    -log Γ(x+θ) + log Γ(θ) + log Γ(x+1) + (x+θ)·log(1+μ/θ) - x·log(μ/θ), μ the mean and θ the dispersion (Lopez et al.
    2018, scVI, methods). Zeros need the fourth term alone; the log-gammas, which are slow and cancel each other, are
    taken at counts above 0 only, in double precision.

    Args:
        count: float [cells, genes], at or above 0, whole or not.
        log_mean: float [cells, genes].
        log_dispersion: float, of a shape that broadcasts to [cells, genes].

    Returns:
        float [cells, genes], of the type of `log_mean`.
    """
    log_dispersion = log_dispersion.expand_as(log_mean)
    zero = log_dispersion.exp() * F.softplus(log_mean - log_dispersion)
    above = count.nonzero(as_tuple=True)
    x, mean, dispersion = (part[above].double() for part in (count, log_mean, log_dispersion))
    theta, ratio = dispersion.exp(), mean - dispersion
    gammas = torch.lgamma(theta) + torch.lgamma(x + 1) - torch.lgamma(x + theta)
    nll = gammas + (x + theta) * F.softplus(ratio) - x * ratio
    return zero.index_put(above, nll.to(zero.dtype))
