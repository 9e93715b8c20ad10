"""Which genes of a cell become tokens: limits, random subsets, dropout, zeros. All vectorised over ragged batches."""

import numpy as np
import torch
from torch import Tensor

from scfm.models.bmfm.settings import Bmfm, Input
from scfm.models.cells import Cells

FEW = 1024
"""Zeros of a cell up to which sorting them is faster than counting all scores."""


def most_tokens(n_genes: np.ndarray, settings: Bmfm) -> np.ndarray:
    """int64 [cells]: most tokens of a training cell with so many expressed genes, its special tokens among them."""
    lengths = torch.from_numpy(np.asarray(n_genes, np.int64))
    limit, room = shares(lengths, settings.input)
    perturbed = settings.input.perturbation.most if settings.input.perturbation else 0
    return (torch.minimum(lengths, limit) + room).numpy() + settings.special_tokens + perturbed


def shares(lengths: Tensor, settings: Input) -> tuple[Tensor, Tensor]:
    """Limit of nonzeros and room for zeros in training, int64 [cells] each; together they keep the token limit.

    Args:
        lengths: int64 [cells], nonzeros of each cell.
    """
    zeros, most = settings.zeros, settings.tokens
    if zeros.strategy == "interleave":
        most = round(settings.tokens * zeros.fraction)
    elif zeros.strategy == "sample":
        most = int(settings.tokens / (1 + zeros.ratio)) if zeros.number is None else settings.tokens - zeros.number
    limit = torch.full_like(lengths, most)
    kept = torch.minimum(lengths, limit)
    room = settings.tokens - kept
    if zeros.strategy == "exclude":
        room = torch.zeros_like(room)
    elif zeros.strategy == "sample" and zeros.number is not None:
        room = room.clamp(max=zeros.number)
    elif zeros.strategy == "sample":
        room = torch.minimum(room, (kept.double() * zeros.ratio).round().long())
    return limit, room


def choose_tokens(
    cells: Cells,
    cell: Tensor,
    y: Tensor,
    settings: Input,
    measured: Tensor,
    generator: torch.Generator | None,
    mode: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the nonzeros kept (int64), and cell and gene of the zeros added (int64 each)."""
    if mode == "embed":
        limit = torch.full_like(cells.lengths, settings.inference_tokens)
        highest = settings.inference_keep == "highest"
        priority = -y if highest else cell_hash(cells, cell, settings.inference_seed)
        chosen = first_per_cell(cell, priority, cells.lengths, limit), cell.new_zeros(0), cell.new_zeros(0)
    else:
        chosen = _training_tokens(cells, cell, y, settings, measured, generator, mode)
    if settings.perturbation is None:
        return chosen
    return add_perturbed(cells, cell, measured, cells.labels[settings.perturbation.column], chosen)


def _training_tokens(
    cells: Cells,
    cell: Tensor,
    y: Tensor,
    settings: Input,
    measured: Tensor,
    generator: torch.Generator,
    mode: str,
) -> tuple[Tensor, Tensor, Tensor]:
    limit, room = shares(cells.lengths, settings)
    zero_cell = zero_gene = cell.new_zeros(0)
    if settings.zeros.strategy == "interleave" and mode == "train":
        plain = _uniform(len(room), generator, room.device) < settings.zeros.plain_cells
        limit, room = limit.masked_fill(plain, settings.tokens), room.masked_fill(plain, 0)
    if settings.zeros.strategy != "exclude":
        expressed_first = settings.zeros.strategy == "interleave"
        zero_cell, zero_gene = draw_zeros(cells, cell, measured, room, generator, expressed_first)
    priority = -y if settings.keep == "highest" else _uniform(len(y), generator, y.device)
    kept = first_per_cell(cell, priority, cells.lengths, limit)
    if mode == "train" and settings.dropout:
        kept = kept[_uniform(len(kept), generator, y.device) >= settings.dropout]
        stays = _uniform(len(zero_cell), generator, y.device) >= settings.dropout
        zero_cell, zero_gene = zero_cell[stays], zero_gene[stays]
    return kept, zero_cell, zero_gene


def add_perturbed(
    cells: Cells, cell: Tensor, measured: Tensor, perturbed: Tensor, chosen: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """What was chosen, and those perturbed genes that were not, as far as the dataset measured them.

    Args:
        perturbed: int64 [cells, most], gene indices or -1.
    """
    kept, zero_cell, zero_gene = chosen
    genes = measured.shape[1]
    expressed, own = cell * genes + cells.gene, gene_keys(perturbed, genes)
    stays = torch.isin(expressed, own).index_fill_(0, kept, True)
    own_cell, own_gene = own // genes, own % genes
    zeros = zero_cell * genes + zero_gene
    new = measured[cells.dataset[own_cell], own_gene] & ~torch.isin(own, torch.cat([expressed, zeros]))
    zeros = torch.cat([zeros, own[new]]).sort().values
    return stays.nonzero().squeeze(1), zeros // genes, zeros % genes


def gene_keys(perturbed: Tensor, genes: int) -> Tensor:
    """int64 [perturbed genes], cell * genes + gene of the entries that are not -1."""
    cell = torch.arange(len(perturbed), device=perturbed.device)[:, None].expand_as(perturbed)
    return (cell * genes + perturbed)[perturbed >= 0]


def cell_hash(cells: Cells, cell: Tensor, seed: int) -> Tensor:
    """float32 [nonzeros]: numbers as good as random that depend on seed, gene and its cell's counts alone.

    They stay the same whatever the order of the genes and the rest of the batch, as those of a generator would not.
    """
    own = _scramble((cells.gene << 32) + cells.count.view(torch.int32))
    whole = torch.zeros_like(cells.lengths).index_add_(0, cell, own)
    return (_scramble(own + _scramble(whole + seed)[cell]) >> 40).float()


def first_per_cell(cell: Tensor, priority: Tensor, lengths: Tensor, limit: Tensor) -> Tensor:
    """Indices of the `limit` elements of lowest priority in each cell, in their original order.

    Args:
        cell: int64 [elements], sorted. priority: float32 [elements]. lengths, limit: int64 [cells].
    """
    if bool((lengths <= limit).all()):
        return torch.arange(len(cell), device=cell.device)
    rank = torch.arange(len(cell), device=cell.device) - (lengths.cumsum(0) - lengths)[cell]
    first = order_within(cell, priority)[rank < limit[cell]]
    return torch.zeros_like(cell, dtype=torch.bool).index_fill_(0, first, True).nonzero().squeeze(1)


def order_within(cell: Tensor, priority: Tensor) -> Tensor:
    """int64 [elements]: the stable order by cell and, within a cell, by priority (float32)."""
    # One sort of integers is several times as fast as one of floats and another by cell. Floats order as their bits
    # do, but for the negative ones, whose bits run backwards.
    bits = priority.view(torch.int32)
    return ((cell << 32) + (bits ^ (bits >> 31 & 2**31 - 1))).argsort(stable=True)


def by_cell(parts: tuple[Tensor, ...], cells: int) -> tuple[Tensor, Tensor]:
    """The order that puts each cell's elements together, part after part, and the length of each cell.

    The same as a stable sort of the cells of all parts, at the cost of counting.

    Args:
        parts: cell of each element, int64 [elements], each part sorted.
    """
    device = parts[0].device
    every = torch.arange(cells + 1, device=device)
    bounds = torch.stack([torch.searchsorted(part, every) for part in parts], dim=1)  # [cells + 1, parts]
    counts = bounds.diff(dim=0)
    begins = (counts.flatten().cumsum(0) - counts.flatten()).view_as(counts) - bounds[:-1]
    place = [begins[part, i] + torch.arange(len(part), device=device) for i, part in enumerate(parts)]
    place = torch.cat(place)
    order = torch.empty_like(place).index_copy_(0, place, torch.arange(len(place), device=device))
    return order, counts.sum(1)


def draw_zeros(
    cells: Cells,
    cell: Tensor,
    measured: Tensor,
    room: Tensor,
    generator: torch.Generator,
    expressed_first: bool = True,
) -> tuple[Tensor, Tensor]:
    """Random measured zeros, `room` per cell.

    Args:
        room: int64 [cells]. expressed_first: genes that another cell of the batch expresses come before others.

    Returns:
        cell and gene of each zero, int64: of many in the order of the genes, of few in random order. A cell with fewer
        measured zeros than room gives all it has.
    """
    available = measured[cells.dataset]  # [cells, genes], a copy
    most = min(int(room.max()), measured.shape[1]) if len(room) else 0
    available[cell, cells.gene] = False
    score = torch.rand(available.shape, generator=generator, device=room.device)
    if expressed_first:
        elsewhere = torch.zeros(measured.shape[1], device=room.device)
        elsewhere[cells.gene] = 1
        score = score + elsewhere
    score = torch.where(available, score, -1.0)
    if most > FEW:
        return highest(score, room).nonzero().unbind(1)
    best, gene = score.topk(most, dim=1)
    taken = (torch.arange(most, device=room.device) < room[:, None]) & (best >= 0)
    where = taken.nonzero()
    return where[:, 0], gene[taken]


def highest(score: Tensor, room: Tensor) -> Tensor:
    """Bool [cells, genes]: the `room` highest scores of each cell; of equal ones at its limit those that come first.

    Counting the scores in equal bins says in which bin each cell's limit falls; only the scores of that bin are sorted.

    Args:
        score: float32 [cells, genes], from 0 to 2, or -1, which is never taken. room: int64 [cells].
    """
    cells, step, width = len(score), 512, 3 * 512 + 1
    bins = ((score + 1) * step).int()
    row = torch.arange(cells, device=score.device, dtype=torch.int32)[:, None] * width
    counts = (bins + row).flatten().bincount(minlength=cells * width).view(cells, width)
    above = counts.flip(1).cumsum(1).flip(1)  # in a bin or a higher one
    limit = ((above >= room[:, None]).sum(1, keepdim=True) - 1).int()
    known = score >= 0
    taken = (bins > limit) & known
    cell, gene = ((bins == limit) & known).nonzero().unbind(1)
    first = first_per_cell(cell, -score[cell, gene], cell.bincount(minlength=cells), room - taken.sum(1))
    taken[cell[first], gene[first]] = True
    return taken


def _uniform(n: int, generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.rand(n, generator=generator, device=device)


def _scramble(x: Tensor) -> Tensor:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014) on int64, which wraps around."""
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        x = (x ^ (x >> shift & 2 ** (64 - shift) - 1)) * factor
    return x ^ (x >> 31 & 2**33 - 1)
