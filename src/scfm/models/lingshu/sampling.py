"""New cells: all genes hidden at first, revealed in random order in a few steps.

Positions are revealed at random because the order must not depend on what is likely: the most confident genes are
those that are 0, and a cell that starts with its zeros is no draw from the law that was learned.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from scfm.errors import ScfmError
from scfm.models.lingshu.conditions import as_control
from scfm.models.lingshu.quantiser import quantise

if TYPE_CHECKING:
    from scfm.models.lingshu.network import Network


@dataclass
class Asked:
    """What cells are asked for."""

    codes: Tensor | None = None
    """int64 [columns, most], values of the conditions, -1 for none; None for none at all."""
    steps: int | None = None
    """Steps; None for those of the settings, which has fewer for a perturbation."""
    guidance: float | None = None
    """Weight of the contrast with the control; None for that of the settings."""
    gene: Tensor | list[int] = field(default_factory=list)
    """int64 [given], genes whose count is given."""
    count: Tensor | list[int] = field(default_factory=list)
    """[given], their counts, whole numbers from 0; the cells hold these as they are."""


def generate(network: "Network", number: int, asked: Asked, generator: torch.Generator) -> Iterator[Tensor]:
    """Draw cells, a chunk at a time.

    A step reads the cells under the condition and, where guidance asks for it, under the control; its logits are
    control + (w + 1) (condition - control), which is taken of the states, since the head is linear in them. Genes that
    the step reveals are drawn from these, each by itself.

    Args:
        generator: source of all randomness, on the network's device.

    Yields:
        int64 [chunk, genes], counts.

    Raises:
        ScfmError: no cell or step is asked for, or given genes that are not of the vocabulary, are named twice, or have
            no counts.
    """
    settings, device = network.settings.sampling, network.edges.device
    codes = asked.codes.to(device) if asked.codes is not None else _no_values(network)
    perturbed = bool((as_control(codes[None], network.settings.conditions) != codes).any())
    usual = settings.conditional_steps if perturbed else settings.steps
    steps = usual if asked.steps is None else asked.steps
    guidance = (settings.guidance if asked.guidance is None else asked.guidance) if perturbed else 0.0
    if number < 1 or steps < 1:
        raise ScfmError(f"generate: {number} cells in {steps} steps asked; give at least one of both")
    gene, count = _given(network, asked)
    for start in range(0, number, settings.batch_cells):
        cells = min(settings.batch_cells, number - start)
        yield _fill(network, codes.expand(cells, -1, -1), steps, guidance, gene, count, generator)


def revealed(genes: int, steps: int) -> list[int]:
    """Genes that each step reveals, so that after step k about genes · cos(π/2 · k/steps) are hidden (MaskGIT)."""
    hidden = [round(genes * math.cos(math.pi / 2 * k / steps)) for k in range(steps)] + [0]
    return [before - after for before, after in pairwise(hidden)]


@torch.inference_mode()
def _fill(
    network: "Network",
    codes: Tensor,
    steps: int,
    guidance: float,
    gene: Tensor,
    count: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Counts int64 [cells, genes] of one chunk; `gene` and `count` are those that are given."""
    cells, device = len(codes), codes.device
    shown = torch.full((cells, network.genes), network.settings.tokens, device=device)
    shown[:, gene] = quantise(count, network.edges)
    free = torch.ones(network.genes, dtype=torch.bool, device=device).index_fill_(0, gene, False).nonzero().squeeze(1)
    order = free[torch.rand(cells, len(free), generator=generator, device=device).argsort(1)]
    cell = torch.arange(cells, device=device)

    def draw_of(logits: Tensor, rows: Tensor) -> Tensor:
        return draw(logits, generator)

    different = 1  # at first all cells show the same, so that one is read for all
    for own in order.split(revealed(len(free), steps), dim=1):
        if own.shape[1]:
            states = guided(network, shown[:different], codes[:different], guidance).expand(cells, -1, -1)
            different = cells
            place = cell.repeat_interleave(own.shape[1]), own.flatten()
            shown[place] = network.read(states, *place, draw_of)
    out = network.values[shown]
    out[:, gene] = count
    return out


def guided(network: "Network", shown: Tensor, codes: Tensor, guidance: float) -> Tensor:
    """States float [cells, groups, width] whose logits are contrasted with the control's; w = 0 reads them once."""
    control = as_control(codes, network.settings.conditions)
    if guidance == -1:
        return network.states(shown, control)
    states = network.states(shown, codes)
    if guidance == 0:
        return states
    return torch.lerp(network.states(shown, control), states, guidance + 1)


def draw(logits: Tensor, generator: torch.Generator) -> Tensor:
    """int64 [n], one draw from the softmax of each row, by where a uniform number falls among the sums in float64."""
    sums = logits.softmax(1).cumsum(1, dtype=torch.float64)
    point = torch.rand(len(sums), 1, generator=generator, device=sums.device, dtype=torch.float64) * sums[:, -1:]
    return torch.searchsorted(sums, point, right=True).squeeze(1).clamp(max=sums.shape[1] - 1)


def _no_values(network: "Network") -> Tensor:
    return torch.full((len(network.settings.conditions), 1), -1, device=network.edges.device)


def _given(network: "Network", asked: Asked) -> tuple[Tensor, Tensor]:
    """Genes and counts that are given, int64 [given] each."""
    device = network.edges.device
    gene, count = torch.as_tensor(asked.gene, device=device), torch.as_tensor(asked.count, device=device)
    if gene.shape != count.shape or gene.ndim != 1:
        raise ScfmError(f"given genes: {len(gene)} genes with {len(count)} counts; give one count for each")
    strange = gene[(gene < 0) | (gene >= network.genes)]
    if len(strange):
        raise ScfmError(f"given genes: number {int(strange[0])} is not of the vocabulary of {network.genes:,} genes")
    if len(gene.unique()) < len(gene):
        raise ScfmError("given genes: a gene is named twice; name each once")
    if bool(((count < 0) | (count != count.round())).any()):
        raise ScfmError("given genes: values must be counts, whole numbers from 0")
    return gene.long(), count.long()
