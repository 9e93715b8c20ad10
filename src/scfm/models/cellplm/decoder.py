"""From the latent of a cell and its dataset to a negative binomial for each gene."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfm.errors import ScfmError
from scfm.models.cellplm.dropout import drop
from scfm.models.cellplm.precision import single
from scfm.models.cellplm.settings import Decoder as Settings

MEAN = 1e-5, 1e6
DISPERSION = 1e-4, 1e4
"""Least and largest mean and dispersion (released code)."""


class Layer(nn.Module):
    """A hidden layer, and the vectors of datasets as it adds them."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.linear, self.activation, self.norm = nn.Linear(width, hidden), nn.PReLU(), nn.LayerNorm(hidden)
        self.dataset_activation, self.dataset_norm = nn.PReLU(), nn.LayerNorm(hidden)
        self.dropout = dropout

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """[cells, width] to [cells, hidden]."""
        return self.norm(drop(self.activation(self.linear(x)), self.dropout, generator))

    def offsets(self, table: Tensor) -> Tensor:
        """[datasets, hidden] to what is added, [datasets, hidden]."""
        return self.dataset_norm(self.dataset_activation(table))


class Decoder(nn.Module):
    """Layers that know the dataset, a bottleneck, and log mean and log dispersion of each gene."""

    def __init__(self, width: int, genes: int, datasets: int, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.dataset = nn.Embedding(datasets, settings.hidden)
        widths = [width] + [settings.hidden] * (settings.layers - 1)
        self.layers = nn.ModuleList(Layer(below, settings.hidden, settings.dropout) for below in widths)
        self.bottleneck = nn.Linear(settings.hidden, settings.bottleneck)
        self.out = nn.Linear(settings.bottleneck, genes)
        self.dispersion = nn.Parameter(torch.zeros(genes))

    def forward(
        self, z: Tensor, dataset: Tensor, genes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log mean [cells, genes] and log dispersion [genes].

        Args:
            z: float [cells, width].
            dataset: int64 [cells], row of the trained datasets; any other number means unknown.
            genes: int64 [decoded], which genes; None means all.
        """
        known = (dataset >= 0) & (dataset < self.dataset.num_embeddings)
        row = torch.where(known, dataset, self.dataset.num_embeddings)
        for layer in self.layers:
            z = layer(z, generator) + self._with_unknown(layer.offsets(self.dataset.weight))[row]
        inner = F.relu(self.bottleneck(z))
        weight, bias, dispersion = self.out.weight, self.out.bias, self.dispersion
        if genes is not None:
            weight, bias, dispersion = weight[genes], bias[genes], dispersion[genes]
        log_mean = single(F.linear(inner, weight, bias))
        return log_mean.clamp(*map(math.log, MEAN)), dispersion.clamp(*map(math.log, DISPERSION))

    def _with_unknown(self, offsets: Tensor) -> Tensor:
        """The row of unknown datasets after the others."""
        mean = offsets.mean(0, keepdim=True)
        return torch.cat([offsets, mean if self.settings.unknown == "mean" else torch.zeros_like(mean)])

    @torch.no_grad()
    def start_at_means(self, mean: Tensor) -> None:
        """Start at each gene's mean count, so that training begins at what the null model knows.

        Args:
            mean: float [genes], counts.

        Raises:
            ScfmError: not one mean for each gene, or one below 0 or not finite.
        """
        if mean.shape != self.out.bias.shape or not bool((mean.isfinite() & (mean >= 0)).all()):
            raise ScfmError(
                f"mean counts of genes: expected {len(self.out.bias):,} finite numbers of at least 0, got a table of "
                f"shape {tuple(mean.shape)}; take them over the training cells"
            )
        self.out.weight.mul_(0.1)
        self.out.bias.copy_(mean.clamp(*MEAN).log())
