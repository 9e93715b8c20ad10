"""Genes in groups: from count tokens to one vector a group, and from that to logits of each gene.

Between the tables of vectors and the transformer all is linear: the vectors of a group's genes stand side by side and
are multiplied with one matrix, and back. So each product of a table with its part of the matrix is made once a step
and not once a cell; cells add up what is theirs. The results are those of the plain form.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from scfm.models.lingshu.settings import Lingshu


class Groups(nn.Module):
    """The fixed permutation of genes, cut into groups of equal size; the last slots may stand for no gene."""

    def __init__(self, genes: int, size: int) -> None:
        super().__init__()
        self.genes, self.size, self.number = genes, size, -(-genes // size)
        self.register_buffer("order", torch.arange(self.number * size))

    def deal(self, table: Tensor, filling: float) -> Tensor:
        """[genes, ...] in the order of the slots, [groups, size, ...]; slots without a gene hold `filling`."""
        empty = table.new_full((len(self.order) - self.genes, *table.shape[1:]), filling)
        return torch.cat([table, empty])[self.order].unflatten(0, (self.number, self.size))

    def find(self, gene: Tensor) -> tuple[Tensor, Tensor]:
        """int64 [n] each: group and place within it of genes."""
        slot = self.order.argsort()[gene]
        return slot // self.size, slot % self.size


class Compression(nn.Module):
    """Count tokens of a cell to one vector for each group of genes.

    A gene enters as the sum of its own vector, the vector of its token (or of MASK), and, where it is visible,
    log1p of its count times a second vector of its own.
    """

    def __init__(self, groups: Groups, settings: Lingshu, counts: Tensor) -> None:
        super().__init__()
        width, self.tokens = settings.transformer.hidden, settings.tokens + 1
        self.gene = nn.Parameter(torch.empty(groups.genes, width))
        self.slope = nn.Parameter(torch.empty(groups.genes, width))
        self.value = nn.Parameter(torch.empty(self.tokens, width))
        self.down = nn.Linear(groups.size * width, width, bias=False)
        self.register_buffer("log_count", torch.cat([counts.float().log1p(), torch.zeros(1)]), persistent=False)

    def forward(self, shown: Tensor, groups: Groups) -> Tensor:
        """int64 [cells, genes], tokens, MASK the last of them, to float [cells, groups, width]."""
        size, token = groups.size, groups.deal(shown.T, self.tokens - 1).permute(2, 0, 1)
        down = self.down.weight.unflatten(1, (size, -1))
        gene = torch.einsum("ksd,esd->ke", groups.deal(self.gene, 0), down)
        slope = torch.einsum("ksd,esd->kse", groups.deal(self.slope, 0), down)
        value = torch.einsum("vd,esd->sve", self.value, down).flatten(0, 1)
        place = token + self.tokens * torch.arange(size, device=shown.device)
        bags = F.embedding_bag(place.flatten(0, 1), value.float(), mode="sum").view(*token.shape[:2], -1)
        return bags + gene + torch.einsum("cks,kse->cke", self.log_count[token], slope)


class Head(nn.Module):
    """The vector of a group to logits of its genes' tokens: up to one vector a gene, its own added, one linear map."""

    def __init__(self, groups: Groups, settings: Lingshu) -> None:
        super().__init__()
        width, self.positions = settings.transformer.hidden, settings.head_positions
        self.up = nn.Linear(width, groups.size * width, bias=False)
        self.gene = nn.Parameter(torch.empty(groups.genes, width))
        self.out = nn.Linear(width, settings.tokens)

    def forward(
        self, states: Tensor, groups: Groups, cell: Tensor, gene: Tensor, of: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """What `of` makes of the logits of some genes of some cells, [n] in their order, a chunk at a time.

        Args:
            states: float [cells, groups, width]. cell, gene: int64 [n].
            of: logits float32 [chunk, tokens] and their places among the n, int64 [chunk], to [chunk]. It runs again
                in the backward pass where the logits of all are too many to keep.
        """
        group, place = groups.find(gene)
        row, states = cell * groups.number + group, states.flatten(0, 1)
        maps = torch.einsum("vd,sde->sve", self.out.weight, self.up.weight.unflatten(0, (groups.size, -1))).unbind(0)
        own = groups.deal(self.out(self.gene), 0).unbind(1)  # by place: a chunk's gradient is not of all genes
        again = torch.is_grad_enabled() and len(gene) > self.positions

        def part(rows: Tensor, number: int) -> Tensor:
            logits = F.linear(states.index_select(0, row[rows]), maps[number])
            return of((logits + own[number].index_select(0, group[rows])).float(), rows)

        chunks, results = [], []
        for number in range(groups.size):
            for rows in (place == number).nonzero().squeeze(1).split(self.positions):
                results.append(checkpoint(part, rows, number, use_reentrant=False) if again else part(rows, number))
                chunks.append(rows)
        return torch.cat(results)[torch.cat(chunks).argsort()]
