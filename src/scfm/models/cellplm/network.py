"""The network of one CellPLM model, its losses as sums with counts, its cell embeddings and expected counts."""

import torch
from torch import Tensor, nn

from scfm.models.cellplm.decoder import Decoder
from scfm.models.cellplm.encoder import Encoder
from scfm.models.cellplm.latent import MixtureLatent, PlainLatent
from scfm.models.cellplm.losses import hinge_sum
from scfm.models.cellplm.settings import Cellplm
from scfm.models.cellplm.view import View, make_view
from scfm.models.cells import Cells
from scfm.models.negative_binomial import negative_binomial_nll
from scfm.models.tasks import Task
from scfm.models.weights import weights


class Network(nn.Module):
    """Encoder, latent and decoder.

    Args:
        genes: size of the vocabulary.
        datasets: rows of the measured-genes table, the covariate of the decoder.
        seed: seed of the initial weights.
    """

    def __init__(self, settings: Cellplm, genes: int, datasets: int, seed: int) -> None:
        super().__init__()
        hidden, kinds = settings.encoder.hidden, {"mixture": MixtureLatent, "plain": PlainLatent}
        self.settings = settings
        self.encoder = Encoder(genes, settings)
        self.latent = kinds[settings.latent.kind](hidden, settings.latent)
        self.decoder = Decoder(settings.latent.width, genes, datasets, settings.decoder)
        initialise(self, torch.Generator().manual_seed(seed))

    def view(self, cells: Cells, measured: Tensor, generator: torch.Generator | None, mode: str) -> View:
        """What the network sees and must predict of a batch, as `make_view` says."""
        return make_view(cells, self.settings, measured, generator, mode)

    def start_at_means(self, mean: Tensor) -> None:
        """Start the decoder at each gene's mean count, float [genes]."""
        self.decoder.start_at_means(mean)

    def counts(self, view: View) -> dict[str, Tensor]:
        """Targets of each task, before the forward pass: hidden genes, measured genes of chosen cells, cells."""
        counts = {"masked": view.hidden.sum(), "cell": view.measured.sum()}
        if self.settings.latent.kind == "mixture":
            cells = view.set_of.new_tensor(len(view.set_of))
            counts |= {"latent": cells, "component": cells}
        return counts

    def tasks(
        self, view: View, generator: torch.Generator | None = None, epoch: int = 0
    ) -> tuple[dict[str, Task], None]:
        """Every objective of the batch; without a generator nothing is dropped or drawn."""
        settings, counts = self.settings, self.counts(view)
        encoded = self.latent(self.encoder(view, generator), generator)
        log_mean, log_dispersion = self.decoder(
            encoded.z[view.chosen], view.dataset[view.chosen], view.decoded, generator
        )
        nll = negative_binomial_nll(view.target, log_mean, log_dispersion)
        tasks = {
            "masked": Task((nll * view.hidden).sum(), counts["masked"], settings.masked_weight),
            "cell": Task((nll * view.measured).sum(), counts["cell"], settings.cell_weight),
        }
        if settings.latent.kind == "mixture":
            latent = settings.latent
            hinges = {"latent": (latent.hinge, latent.weight)}
            hinges["component"] = latent.component_hinge, latent.component_weight
            for name, (hinge, weight) in hinges.items():
                total = hinge_sum(encoded.divergences[name], view.set_of, hinge)
                tasks[name] = Task(total, counts[name], weight)
        return tasks, None

    def flops(self, view: View) -> Tensor:
        """Operations of a training step: products with weights, gene vectors summed and attention, float64 scalar.

        As `scfm.models.bmfm.flops`: element by element work counts nothing, the backward pass twice the forward pass.
        """
        settings, cells, chosen = self.settings.encoder, len(view.set_of), len(view.chosen)
        genes = self.decoder.out.out_features if view.decoded is None else len(view.decoded)
        attention = 4 * settings.layers * settings.hidden * (settings.hidden // settings.heads)
        every = weights(self.encoder) + weights(self.latent) + attention
        decoded = weights(self.decoder) - weights(self.decoder.out) + self.decoder.out.in_features * genes
        products = cells * every + chosen * decoded + len(view.gene) * settings.hidden
        return torch.tensor(6.0 * products, dtype=torch.float64, device=view.gene.device)

    def embed(self, view: View, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Pooling name to float [cells, width]; depends on which cells share a set. Dropout is the generator's."""
        hidden = self.encoder(view, generator)
        return {"latent": self.latent(hidden, None).mean, "cell": hidden}

    def expected(self, view: View, genes: Tensor | None = None, dataset: Tensor | None = None) -> Tensor:
        """Expected counts float [cells, genes] on the scale of the input, for denoising and imputation.

        Args:
            genes: int64 [decoded], which genes; None means all, in a dense table.
            dataset: int64 [cells], covariate of the decoder in place of the cells' own; -1 means unknown.
        """
        mean = self.latent(self.encoder(view, None), None).mean
        return self.decoder(mean, view.dataset if dataset is None else dataset, genes)[0].exp()


def initialise(network: Network, generator: torch.Generator) -> None:
    """Weights uniform with variance 1/(3·width) as usual, biases 0, gene vectors small, other vectors standard normal.

    The scale of the gene vectors is the released one.
    """
    for part in network.modules():
        if isinstance(part, nn.Linear):
            bound = part.in_features**-0.5
            nn.init.uniform_(part.weight, -bound, bound, generator=generator)
            nn.init.zeros_(part.bias)
        if isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, generator=generator)
    with torch.no_grad():
        network.encoder.embedder.gene.weight.mul_(network.settings.encoder.gene_std)
        if network.encoder.position is not None:
            network.encoder.position.absent.normal_(generator=generator)
