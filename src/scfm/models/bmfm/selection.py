"""Which genes of a cell become tokens: limits, random subsets, dropout, zeros. All vectorised over ragged batches."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from scfm.models.bmfm.settings import Bmfm, Input

if TYPE_CHECKING:
    from scfm.models.bmfm.view import Cells


def cell_of(lengths: Tensor) -> Tensor:
    """int64 [sum of lengths]: which cell each element belongs to."""
    return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)


def most_tokens(n_genes: np.ndarray, settings: Bmfm) -> np.ndarray:
    """int64 [cells]: most tokens of a training cell with so many expressed genes, its special tokens among them."""
    limit = settings.input.tokens
    filled = settings.input.zeros.strategy == "interleave"
    return (np.full(len(n_genes), limit) if filled else np.minimum(n_genes, limit)) + settings.cls_tokens


def choose_tokens(
    cells: "Cells",
    cell: Tensor,
    y: Tensor,
    settings: Input,
    measured: Tensor,
    generator: torch.Generator | None,
    mode: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the nonzeros kept (int64), and cell and gene of the zeros added (int64 each)."""
    none = cell.new_zeros(0)
    if mode == "embed":
        limit = torch.full_like(cells.lengths, settings.inference_tokens)
        return first_per_cell(cell, -y, cells.lengths, limit), none, none
    limit = torch.full_like(cells.lengths, settings.tokens)
    zero_cell, zero_gene = none, none
    if settings.zeros.strategy == "interleave":
        limit, room = _interleave(cells.lengths, settings, generator, mode)
        zero_cell, zero_gene = draw_zeros(cells, cell, measured, room, generator)
    kept = first_per_cell(cell, _uniform(len(y), generator, y.device), cells.lengths, limit)
    if mode == "train" and settings.dropout:
        kept = kept[_uniform(len(kept), generator, y.device) >= settings.dropout]
        stays = _uniform(len(zero_cell), generator, y.device) >= settings.dropout
        zero_cell, zero_gene = zero_cell[stays], zero_gene[stays]
    return kept, zero_cell, zero_gene


def first_per_cell(cell: Tensor, priority: Tensor, lengths: Tensor, limit: Tensor) -> Tensor:
    """Indices of the `limit` elements of lowest priority in each cell, in their original order.

    Args:
        cell: int64 [elements], sorted. priority: float [elements]. lengths, limit: int64 [cells].
    """
    if bool((lengths <= limit).all()):
        return torch.arange(len(cell), device=cell.device)
    by_priority = priority.argsort(stable=True)
    order = by_priority[cell[by_priority].argsort(stable=True)]
    rank = torch.arange(len(cell), device=cell.device) - (lengths.cumsum(0) - lengths)[cell]
    return order[rank < limit[cell]].sort().values


def draw_zeros(
    cells: "Cells", cell: Tensor, measured: Tensor, room: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random measured zeros, `room` per cell; genes that another cell of the batch expresses come first.

    Returns:
        cell and gene of each zero, int64. A cell with fewer measured zeros than room gives all it has.
    """
    available = measured[cells.dataset]  # [cells, genes], a copy
    most = min(int(room.max()), measured.shape[1]) if len(room) else 0
    available[cell, cells.gene] = False
    score = torch.rand(available.shape, generator=generator, device=room.device)
    elsewhere = torch.zeros(measured.shape[1], device=room.device)
    elsewhere[cells.gene] = 1
    score = torch.where(available, score + elsewhere, -1.0)
    best, gene = score.topk(most, dim=1)
    taken = (torch.arange(most, device=room.device) < room[:, None]) & (best >= 0)
    where = taken.nonzero()
    return where[:, 0], gene[taken]


def _interleave(lengths: Tensor, settings: Input, generator: torch.Generator, mode: str) -> tuple[Tensor, Tensor]:
    """Limit of nonzeros and room for zeros of each cell (int64 [cells]).

    Nine nonzeros then one zero until the nonzeros end, then zeros up to the limit: nonzeros take at most
    `fraction` of the limit and zeros what is left. Some training cells stay plain.
    """
    most = round(settings.tokens * settings.zeros.fraction)
    limit = torch.full_like(lengths, most)
    room = settings.tokens - torch.minimum(lengths, limit)
    if mode == "train":
        plain = _uniform(len(lengths), generator, lengths.device) < settings.zeros.plain_cells
        limit, room = limit.masked_fill(plain, settings.tokens), room.masked_fill(plain, 0)
    return limit, room


def _uniform(n: int, generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.rand(n, generator=generator, device=device)
