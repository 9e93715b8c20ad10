"""Heads on the donor vector: labels, and the change by a condition."""

import torch
from torch import Tensor, nn

from scfm.models.pulsar.settings import Film, Head
from scfm.models.pulsar.transformer import drop, two_layers


def label_head(settings: Head, width: int, classes: int) -> nn.Sequential:
    """Linear, ReLU, Linear to logits of the classes, or to one number."""
    return two_layers(width, settings.hidden, classes if settings.kind == "class" else 1)


class FilmHead(nn.Module):
    """e + out(γ(c) · h(e) + β(c)): feature-wise modulation (Perez et al. 2018) of the donor vector e by a condition c.

    h is twice Linear, LayerNorm, GELU, dropout; γ and β are Linear, LayerNorm, GELU, Linear each. Dropout is as
    released; where in γ and β the norm stands is ours.
    """

    def __init__(self, settings: Film, width: int) -> None:
        super().__init__()
        self.settings = settings
        self.donor = nn.ModuleList(_normed(width, width) for _ in settings.dropout)
        self.gamma = nn.Sequential(
            _normed(settings.width, settings.condition_hidden), nn.Linear(settings.condition_hidden, width)
        )
        self.beta = nn.Sequential(
            _normed(settings.width, settings.condition_hidden), nn.Linear(settings.condition_hidden, width)
        )
        self.out = nn.Linear(width, width)

    def forward(self, donor: Tensor, condition: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """[donors, hidden] and [donors, condition width] to [donors, hidden]."""
        h = drop(donor, self.settings.donor_input_dropout, generator)
        for layer, share in zip(self.donor, self.settings.dropout, strict=True):
            h = drop(layer(h), share, generator)
        condition = drop(condition, self.settings.condition_input_dropout, generator)
        return donor + self.out(self.gamma(condition) * h + self.beta(condition))

    def initialise(self, generator: torch.Generator) -> None:
        """Kaiming normal for matrices (released)."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter, generator=generator)


def _normed(inputs: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, out), nn.LayerNorm(out), nn.GELU())
