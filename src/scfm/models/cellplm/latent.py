"""Latents: with a Gaussian-mixture prior, or plain."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfm.models.cellplm.losses import component_divergence, normal_divergence
from scfm.models.cellplm.precision import single
from scfm.models.cellplm.settings import Mixture, Plain

LEAST = 1e-6
"""Least variance."""


@dataclass
class Encoded:
    """The latent of a batch."""

    mean: Tensor
    """float [cells, width]."""
    z: Tensor
    """float [cells, width], a draw in training, else the mean."""
    divergences: dict[str, Tensor]
    """Task to float [cells], in nats; of a plain latent none."""


class MixtureLatent(nn.Module):
    """q(y|h) a Gumbel-softmax, q(z|h,y) and p(z|y) normal with diagonal variance, p(y) uniform."""

    def __init__(self, hidden: int, settings: Mixture) -> None:
        super().__init__()
        self.settings = settings
        width, components = settings.width, settings.components
        self.logits = nn.Linear(hidden, components)
        self.joint = nn.Linear(hidden + components, width)
        self.mean, self.variance = nn.Linear(width, width), nn.Linear(width, width)
        self.prior_mean, self.prior_variance = nn.Linear(components, width), nn.Linear(components, width)

    def forward(self, hidden: Tensor, generator: torch.Generator | None) -> Encoded:
        """From the encoder's output [cells, hidden]; without a generator nothing is drawn."""
        logits = single(self.logits(hidden))
        y = self.component(logits, generator)
        joint = F.relu(self.joint(torch.cat([hidden, y.to(hidden.dtype)], dim=1)))
        mean, variance = self.mean(joint), F.softplus(single(self.variance(joint))) + LEAST
        z = mean
        if generator is not None:
            noise = torch.empty_like(mean).normal_(generator=generator)
            z = mean + variance.sqrt() * noise
        prior = self.prior_mean(y), F.softplus(single(self.prior_variance(y))) + LEAST
        divergences = {
            "latent": normal_divergence(mean, variance, *prior),
            "component": component_divergence(logits),
        }
        return Encoded(mean, z, divergences)

    def component(self, logits: Tensor, generator: torch.Generator | None) -> Tensor:
        """Weights of the components, [cells, components]."""
        if generator is not None:
            gumbel = -torch.empty_like(logits).exponential_(generator=generator).log()
            return ((logits + gumbel) / self.settings.temperature).softmax(1)
        if self.settings.inference == "argmax":
            return F.one_hot(logits.argmax(1), logits.shape[1]).to(logits.dtype)
        return logits.softmax(1)


class PlainLatent(nn.Module):
    """A linear map, without prior or draws."""

    def __init__(self, hidden: int, settings: Plain) -> None:
        super().__init__()
        self.mean = nn.Linear(hidden, settings.width)

    def forward(self, hidden: Tensor, generator: torch.Generator | None) -> Encoded:
        """From the encoder's output [cells, hidden]."""
        mean = self.mean(hidden)
        return Encoded(mean, mean, {})
