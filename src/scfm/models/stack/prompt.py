"""Windows of the second phase: a prompt and a context of cells under a condition, and cells to be rewritten."""

from dataclasses import dataclass

import torch
from torch import Tensor

from scfm.errors import ScfmError
from scfm.models.cells import Cells
from scfm.models.stack.settings import Prompt

OVERDISPERSION = 0.01
"""1/θ of the null model of Pearson residuals (Lause et al. 2021)."""


@dataclass
class Window:
    """Rows of one condition a set, of which the query rows show other cells of their type."""

    cell: Tensor
    """int64 [sets, rows], the true cell of each row in the batch; 0 at padding."""
    real: Tensor
    """bool [sets, rows], False at padding."""
    truth: Tensor
    """float32 [sets, rows, genes], counts of the true cells."""
    shown: Tensor
    """float32 [sets, rows, genes], the same but for query rows, which hold the cells to be rewritten."""
    prompt: Tensor
    """bool [sets, rows], true cells that see each other only."""
    query: Tensor
    """bool [sets, rows]; the rows that are neither are the context."""
    kind: Tensor
    """int64 [sets, rows], number of the cell type, from 0."""
    urgency: Tensor
    """float32 [sets], 1/(1-t), t the share of context among the rows after the prompt."""
    top: Tensor
    """int64 [top], genes in which true and rewritten cells are compared."""
    uniform: Tensor
    """float32 [sets, rows, top], noise of the gates of draws."""
    normal: Tensor
    """float32 [sets, rows, top], noise of their sizes."""


def draw_window(cells: Cells, table: Tensor, set_of: Tensor, settings: Prompt, generator: torch.Generator) -> Window:
    """Choose a condition in each set, order its cells at random, and match query rows with cells of their type.

    A row of a type that has no cell to be rewritten in its set becomes context. A set without cells of known condition
    and type gives no window.

    Args:
        cells: with the labels `settings.condition` (0 is the control, if there is one; -1 unknown) and
            `settings.cell_type`. table: float32 [cells, genes], their counts. set_of: int64 [cells].

    Raises:
        ScfmError: a label is missing, or unknown in all cells.
    """
    condition, kind = (_label(cells, name) for name in (settings.condition, settings.cell_type))
    known = (condition >= 0) & (kind >= 0)
    if not bool(known.any()):
        raise ScfmError(
            f"cells: '{settings.condition}' and '{settings.cell_type}' are nowhere known together in a batch; "
            "train the second phase on cells that have both"
        )
    target = _chosen(condition, set_of, known, settings, generator)
    source = known & ((condition == 0) if settings.control is not None else ~target)
    group = (set_of * (kind.max() + 1) + kind).unique(return_inverse=True)[1]
    row = _ordered(target, set_of, group, settings.typewise, generator)
    sizes = torch.bincount(set_of[row].unique(return_inverse=True)[1]).clamp(max=settings.rows)
    row = row[_place(set_of[row]) < settings.rows]
    place = torch.arange(int(sizes.max()), device=row.device)
    real = place < sizes[:, None]
    cell = torch.zeros_like(real, dtype=torch.int64).masked_scatter(real, row)
    partner, matched = _partners(cell, group, source, generator)
    prompt, query, urgency = _roles(sizes, place, matched & real, settings, generator)
    truth = table[cell] * real[..., None]
    shown = torch.where(query[..., None], table[partner], truth)
    top = variable_genes(truth[real], settings.genes)
    shape, device = (*real.shape, len(top)), row.device
    uniform = torch.rand(shape, generator=generator, device=device)
    normal = torch.randn(shape, generator=generator, device=device)
    number = kind[cell].unique(return_inverse=True)[1]
    return Window(cell, real, truth, shown, prompt & real, query, number, urgency, top, uniform, normal)


def variable_genes(counts: Tensor, most: int) -> Tensor:
    """int64 [at most `most`]: genes of the largest variance of analytic Pearson residuals (Lause et al. 2021).

    (x - μ) / √(μ + μ²/θ), clipped at ±√cells, with μ the cell's depth times the gene's share of all counts, θ = 100.

    Args:
        counts: float [cells, genes].
    """
    share = counts.sum(0) / counts.sum().clamp(min=1)
    mean = counts.sum(1, keepdim=True) * share
    clip = max(len(counts), 1) ** 0.5
    residual = (counts - mean) / (mean + OVERDISPERSION * mean**2).clamp(min=1e-12).sqrt()
    variance = residual.clamp(-clip, clip).var(0, correction=0)
    return variance.topk(min(most, counts.shape[1])).indices.sort().values


def _chosen(condition: Tensor, set_of: Tensor, known: Tensor, settings: Prompt, generator: torch.Generator) -> Tensor:
    """bool [cells]: of the condition that its set draws, all conditions there alike likely but for the control."""
    device, conditions = set_of.device, int(condition.max()) + 1
    pair, of_cell = (set_of * conditions + condition)[known].unique(return_inverse=True)
    draw, of_pair = torch.rand(len(pair), generator=generator, device=device), pair // conditions
    sets = int(set_of.max()) + 1
    if settings.control is not None:
        wanted = torch.rand(sets, generator=generator, device=device) < settings.control_windows
        draw = draw + (wanted[of_pair] == (pair % conditions == 0))
    highest = draw.new_full((sets,), -1).scatter_reduce(0, of_pair, draw, "amax")
    return torch.zeros_like(known).masked_scatter(known, (draw == highest[of_pair])[of_cell])


def _ordered(target: Tensor, set_of: Tensor, group: Tensor, typewise: float, generator: torch.Generator) -> Tensor:
    """int64 [target cells], set by set, within each at random or type by type."""
    device = set_of.device
    by_type = torch.rand(int(set_of.max()) + 1, generator=generator, device=device) < typewise
    turn = torch.rand(int(group.max()) + 1, generator=generator, device=device)
    row = target.nonzero().squeeze(1)
    row = row[torch.rand(len(row), generator=generator, device=device).argsort()]
    row = row[(turn[group] * by_type[set_of])[row].argsort(stable=True)]
    return row[set_of[row].argsort(stable=True)]


def _place(set_of: Tensor) -> Tensor:
    """int64 [cells]: place in its set, of cells set by set."""
    sizes = set_of.unique_consecutive(return_counts=True)[1]
    first = torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)
    return torch.arange(len(set_of), device=set_of.device) - first


def _partners(cell: Tensor, group: Tensor, source: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """For each row a random source cell of its set and type, and bool, whether there is one; both [sets, rows]."""
    sources = source.nonzero().squeeze(1)
    sources = sources[group[sources].argsort(stable=True)]
    sizes = torch.bincount(group[sources], minlength=int(group.max()) + 1)
    own, draw = group[cell], torch.rand(cell.shape, generator=generator, device=cell.device)
    within = (draw * sizes[own]).long().minimum(sizes[own] - 1)
    matched = sizes[own] > 0
    at = ((sizes.cumsum(0) - sizes)[own] + within).masked_fill(~matched, 0)
    return (sources[at] if len(sources) else torch.zeros_like(cell)), matched


def _roles(
    sizes: Tensor, place: Tensor, matched: Tensor, settings: Prompt, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of the prompt and of the query, bool [sets, rows], and 1/(1-t) float [sets]."""
    t = torch.rand(len(sizes), generator=generator, device=sizes.device) * settings.most_context
    prompt = (settings.share * sizes).long().clamp(min=1)
    context = prompt + (t * (sizes - prompt)).long()
    return place < prompt[:, None], matched & (place >= context[:, None]), 1 / (1 - t)


def _label(cells: Cells, name: str) -> Tensor:
    if name not in cells.labels:
        raise ScfmError(f"cells: label '{name}' is missing, which the second phase needs; add it, -1 where unknown")
    return cells.labels[name].long()
