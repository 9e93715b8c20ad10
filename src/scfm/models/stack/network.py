"""The network of one STACK model, its losses as sums with counts, its cell embeddings and its generation."""

import torch
from torch import Tensor, nn

from scfm.models.cells import Cells
from scfm.models.negative_binomial import negative_binomial_nll
from scfm.models.stack.decoder import Decoder
from scfm.models.stack.encoder import Encoder, who_sees_whom
from scfm.models.stack.prompting import Prompting
from scfm.models.stack.refine import REFINEMENT, Generated, Refinement, generate
from scfm.models.stack.settings import Stack
from scfm.models.stack.view import View, make_view
from scfm.models.stack.wasserstein import drawn_vectors, sets_of_two, sliced_wasserstein
from scfm.models.tasks import Task
from scfm.models.weights import weights


class Network(nn.Module):
    """Encoder and decoder, and with `settings.prompt` what the second phase adds.

    Args:
        genes: size of the vocabulary.
        datasets: not read; STACK has no covariates.
        seed: seed of the initial weights.
    """

    def __init__(self, settings: Stack, genes: int, datasets: int, seed: int) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = Encoder(genes, settings.transformer)
        self.decoder = Decoder(genes, settings.transformer)
        self.prompting = Prompting(genes, settings.prompt, self.encoder) if settings.prompt else None
        initialise(self, torch.Generator().manual_seed(seed))

    def view(self, cells: Cells, measured: Tensor, generator: torch.Generator | None, mode: str) -> View:
        """What the network sees and must predict of a batch, as `make_view` says."""
        return make_view(cells, self.settings, measured, generator, mode)

    def start_at_means(self, mean: Tensor) -> None:
        """Start the decoder at the shares of each gene's mean count, float [genes]."""
        self.decoder.start_at_means(mean)

    def start_teacher(self) -> None:
        """Let the teacher of the second phase be what the encoder now is."""
        if self.prompting is not None and self.prompting.teacher is not None:
            self.prompting.teacher.load_state_dict(self.encoder.state_dict())

    def encode(self, view: View, generator: torch.Generator | None = None) -> Tensor:
        """Float [sets, rows, modules, width]; no row depends on another set, nor a row of the prompt on other rows."""
        counts, window = view.counts, view.window
        if view.hidden is not None:
            counts = counts.index_fill(2, view.hidden, 0)
        mask = who_sees_whom(view.real, window.prompt if window else None)
        marker = self.prompting.marked(window.query) if window else None
        return self.encoder(counts, mask, marker, generator)

    def counts(self, view: View) -> dict[str, Tensor]:
        """Targets of each task, before the forward pass: hidden counts, sets, windows, rows."""
        counts = {"masked": view.scored.sum()}
        if view.slices is not None:
            counts["sliced"] = sets_of_two(view.slices)
        return counts | (self.prompting.counts(view.window) if view.window else {})

    def tasks(
        self, view: View, generator: torch.Generator | None = None, epoch: int = 0
    ) -> tuple[dict[str, Task], None]:
        """Every objective of the batch; without a generator nothing is dropped."""
        if self.prompting is not None and self.training:
            self.prompting.follow(self.encoder)
        rows, real, window = self.encode(view, generator), view.real, view.window
        depth, genes = view.counts.sum(2)[real], None if window else view.hidden
        log_mean, log_dispersion = self.decoder(rows[real], depth, genes)
        parts = (log_mean[:, view.hidden], log_dispersion[:, view.hidden]) if window else (log_mean, log_dispersion)
        nll = negative_binomial_nll(view.counts[real][:, view.hidden], *parts)
        totals, weights = {"masked": (nll * view.scored).sum()}, {"masked": 1.0, "sliced": self.settings.sliced.weight}
        if view.slices is not None:
            totals["sliced"] = sliced_wasserstein(drawn_vectors(rows.flatten(2), real, view.slices), view.slices)
        if window:
            totals |= self.prompting.losses(window, rows, log_mean, log_dispersion)
            weights |= self.prompting.weights()
        counts = self.counts(view)
        return {name: Task(total, counts[name], weights[name]) for name, total in totals.items()}, None

    def flops(self, view: View) -> Tensor:
        """Operations of a training step: products with weights and both attentions, padding included, float64 scalar.

        The backward pass counts twice the forward pass; element by element work and the teacher count nothing.
        """
        sizes, rows, decoder = self.settings.transformer, view.real.numel(), self.decoder
        layers = self.encoder.layers
        apiece = weights(self.encoder.tokens) + sum(weights(layer.across) for layer in layers)
        apiece += sizes.modules * sum(
            weights(part) for layer in layers for part in (layer.within, layer.up, layer.down)
        )
        apiece += 2 * sizes.layers * sizes.modules * sizes.cell_width
        apiece += 2 * sizes.layers * view.real.shape[1] * sizes.cell_width if sizes.across_cells else 0
        decoded = len(view.hidden) if view.window is None else view.counts.shape[2]
        apiece += weights(decoder.hidden) + weights(decoder.share) + decoder.dispersion.in_features * decoded
        return torch.tensor(6.0 * rows * apiece, dtype=torch.float64, device=view.counts.device)

    def embed(self, view: View) -> dict[str, Tensor]:
        """Pooling name to float [cells, width]; depends on which cells share a set."""
        rows = self.encode(view)[view.real]
        return {"modules": rows.flatten(1), "mean": rows.mean(1)}

    def expected(self, view: View) -> Tensor:
        """Expected counts float [cells, genes] of negative binomials at each cell's own depth."""
        return self.decoder(self.encode(view)[view.real], view.counts.sum(2)[view.real])[0].exp()

    def generate(
        self, condition: Tensor, query: Tensor, generator: torch.Generator, refinement: Refinement = REFINEMENT
    ) -> Generated:
        """Query cells as if they were under the condition of others; see `generate` of `scfm.models.stack.refine`."""
        return generate(self, condition, query, generator, refinement)


@torch.no_grad()
def initialise(network: Network, generator: torch.Generator) -> None:
    """Glorot uniform for matrices, biases 0, positions of modules and the query marker normal of 0.02.

    The teacher starts as the encoder.
    """
    for part in network.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    network.encoder.gene_pos.normal_(std=0.02, generator=generator)
    if network.prompting is not None:
        network.prompting.marker.normal_(std=0.02, generator=generator)
    network.start_teacher()
