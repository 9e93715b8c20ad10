"""Tokens to vectors: gene embedding plus value embedding."""

import torch
from torch import Tensor, nn

from scfm.models.bmfm.gene_vectors import GivenVectors, PartlyGiven
from scfm.models.bmfm.settings import Input
from scfm.models.bmfm.values import value_encoder
from scfm.models.bmfm.view import MASK, VALUE, ZERO, View


class TokenEmbedding(nn.Module):
    """Sum of a gene vector and a value vector; zero, MASK, each CLS and metadata have value vectors of their own."""

    def __init__(
        self,
        genes: int,
        cls_tokens: int,
        settings: Input,
        width: int,
        given: GivenVectors | None = None,
        metadata_values: int = 0,
        hides_genes: bool = False,
    ) -> None:
        super().__init__()
        self.genes, self.cls_tokens = genes, cls_tokens
        if (given is None) != (settings.gene_vectors is None):
            raise ValueError("input.gene_vectors and the vectors that are given must come together")
        self.specials = cls_tokens + len(settings.metadata) + metadata_values
        rows = genes + self.specials
        if given is None:
            self.gene = nn.Embedding(rows, width)
        else:
            self.gene = PartlyGiven(given, rows, width, settings.gene_vectors.trainable)
        # One vector, for what is not perturbed has none; a matrix of one row would be drawn at random and decayed.
        self.perturbed = nn.Parameter(torch.zeros(width)) if settings.perturbation else None
        self.unseen = nn.Parameter(torch.zeros(width)) if hides_genes else None
        self.value = value_encoder(settings.value_encoder, width)
        # Zero, MASK, each CLS, then any metadata.
        self.special = nn.Embedding(2 + cls_tokens + bool(settings.metadata), width)

    @torch.no_grad()
    def start_cls_at_zero(self) -> None:
        """Let each CLS start as the mean of its cell's tokens, without a constant that drowns them."""
        first = len(self.gene.weight) - self.specials
        self.gene.weight[first : first + self.cls_tokens] = 0
        self.special.weight[2 : 2 + self.cls_tokens] = 0

    def forward(self, view: View) -> Tensor:
        """float [tokens, width]."""
        numeric = (view.kind == VALUE).nonzero().squeeze(1)
        row = torch.where(view.kind == ZERO, 0, torch.where(view.kind == MASK, 1, 2 + view.gene - self.genes))
        special = self.special(row.clamp(0, len(self.special.weight) - 1))
        values = self.value((view.value if view.bin is None else view.bin)[numeric]).to(special.dtype)
        genes = self.gene(view.gene)
        if view.gene_position is not None:
            genes = genes.index_copy(0, view.gene_position, self.unseen.expand(len(view.gene_position), -1))
        vectors = genes + special.index_copy(0, numeric, values)
        return vectors if self.perturbed is None else vectors + view.perturbed[:, None] * self.perturbed
