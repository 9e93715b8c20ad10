"""The network of one Lingshu-Cell model, its loss as a sum with a count, its cell embedding and its generation."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfm.models.cells import Cells
from scfm.models.lingshu.backbone import Backbone
from scfm.models.lingshu.compression import Compression, Groups, Head
from scfm.models.lingshu.conditions import Conditions
from scfm.models.lingshu.quantiser import lower_edges, values
from scfm.models.lingshu.sampling import Asked, generate
from scfm.models.lingshu.settings import Lingshu
from scfm.models.lingshu.view import View, make_view
from scfm.models.tasks import Task
from scfm.models.weights import weights

VALUE_SHARE = 0.3
"""Of the initial spread, for the vectors of the tokens: log1p of the count speaks first."""


class Network(nn.Module):
    """Compression, blocks and head, with a token in front for each condition.

    Args:
        genes: size of the vocabulary.
        names: column of each condition to its values.
        seed: seed of the permutation and of the initial weights.
    """

    def __init__(self, settings: Lingshu, genes: int, names: dict[str, list[str]], seed: int) -> None:
        super().__init__()
        self.settings, self.genes = settings, genes
        self.groups = Groups(genes, settings.transformer.group)
        self.register_buffer("edges", lower_edges(settings.tokens), persistent=False)
        self.register_buffer("values", values(settings.tokens, settings.sampling.decode), persistent=False)
        self.compression = Compression(self.groups, settings, self.values)
        self.conditions = Conditions(names, settings.transformer.hidden)
        self.backbone = Backbone(settings.transformer)
        self.head = Head(self.groups, settings)
        initialise(self, torch.Generator().manual_seed(seed))

    def view(self, cells: Cells, measured: Tensor, generator: torch.Generator | None, mode: str) -> View:
        """What the network sees and must predict of a batch, as `make_view` says."""
        return make_view(cells, self.settings, self.edges, measured, generator, mode)

    def states(self, shown: Tensor, codes: Tensor) -> Tensor:
        """Last hidden states of the groups, float [cells, groups, width].

        Args:
            shown: int64 [cells, genes], tokens or MASK. codes: int64 [cells, columns, most].
        """
        front = self.conditions(codes)
        return self.backbone(torch.cat([front, self.compression(shown, self.groups)], dim=1))[:, front.shape[1] :]

    def read(self, states: Tensor, cell: Tensor, gene: Tensor, of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """What `of` makes of the logits of some genes of some cells; see `Head.forward`."""
        return self.head(states, self.groups, cell, gene, of)

    def counts(self, view: View) -> dict[str, Tensor]:
        """Measured genes of all cells, hidden or not: the loss is in nats a gene."""
        return {"diffusion": view.measured}

    def tasks(
        self, view: View, generator: torch.Generator | None = None, epoch: int = 0
    ) -> tuple[dict[str, Task], None]:
        """The bound on the negative log-likelihood (paper; LLaDA): Σ 1/t · cross-entropy of a cell's hidden genes."""

        def nll(logits: Tensor, rows: Tensor) -> Tensor:
            return F.cross_entropy(logits, view.target[rows], reduction="none")

        each = self.read(self.states(view.shown, view.codes), view.cell, view.gene, nll)
        return {"diffusion": Task((each * view.weight[view.cell]).sum(), view.measured, 1.0)}, None

    def flops(self, view: View) -> Tensor:
        """Operations of a training step: products with weights and attention, float64 scalar.

        The backward pass counts twice the forward pass; element by element work and second computations count nothing.
        """
        sizes, cells = self.settings.transformer, len(view.shown)
        width, slots = sizes.hidden, len(self.groups.order)
        length = view.tokens // cells
        once = (2 * slots + sizes.group * (2 * self.settings.tokens + 1)) * width**2
        once += self.genes * self.settings.tokens * width
        encoder = view.tokens * (weights(self.backbone) + 2 * sizes.layers * length * width) + cells * slots * width
        return 6.0 * (once + encoder + len(view.gene) * torch.tensor(width * self.settings.tokens, dtype=torch.float64))

    def embed(self, view: View) -> dict[str, Tensor]:
        """`mean`, float [cells, width]: the mean last state of the groups of genes, nothing hidden."""
        parts = zip(*(x.split(self.settings.sampling.batch_cells) for x in (view.shown, view.codes)), strict=True)
        return {"mean": torch.cat([self.states(*part).mean(1) for part in parts])}

    def generate(self, number: int, asked: Asked, generator: torch.Generator) -> Iterator[Tensor]:
        """So many cells, counts int64 [chunk, genes] at a time; see `generate` of `scfm.models.lingshu.sampling`."""
        return generate(self, number, asked, generator)


@torch.no_grad()
def initialise(network: Network, generator: torch.Generator) -> None:
    """A random permutation of the genes; matrices and vectors truncated normal, biases 0.

    Residual projections are divided by √(2 · layers).
    """
    groups, sizes = network.groups, network.settings.transformer
    groups.order.copy_(torch.randperm(len(groups.order), generator=generator))
    nn.init.zeros_(network.head.out.bias)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            std = sizes.init_std
            nn.init.trunc_normal_(parameter, std=std, a=-2 * std, b=2 * std, generator=generator)
            if ".blocks." in name and name.endswith(("out.weight", "down.weight")):
                parameter.div_((2 * sizes.layers) ** 0.5)
    network.compression.value.mul_(VALUE_SHARE)
