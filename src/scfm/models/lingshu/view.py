"""From a ragged batch to count tokens, and which of them training hides."""

from dataclasses import dataclass

import torch
from torch import Tensor

from scfm.errors import ScfmError
from scfm.models.cells import Cells, cell_of
from scfm.models.lingshu.conditions import as_control, stacked
from scfm.models.lingshu.quantiser import quantise
from scfm.models.lingshu.settings import Lingshu


@dataclass
class View:
    """Tokens of the cells of a batch, and its targets."""

    shown: Tensor
    """int64 [cells, genes], tokens; MASK where a gene is hidden, or was not measured."""
    codes: Tensor
    """int64 [cells, columns, most], values of the conditions, -1 for none."""
    tokens: int
    """Of the transformer, over all cells."""
    cell: Tensor | None = None
    """int64 [hidden], cells of the targets."""
    gene: Tensor | None = None
    """int64 [hidden], their genes."""
    target: Tensor | None = None
    """int64 [hidden], their tokens."""
    weight: Tensor | None = None
    """float32 [cells], inverse of the share that is hidden in expectation."""
    measured: Tensor | None = None
    """int64 scalar, measured genes of all cells."""


def make_view(
    cells: Cells, settings: Lingshu, edges: Tensor, measured: Tensor, generator: torch.Generator | None, mode: str
) -> View:
    """Build the input and the targets of a batch.

    Args:
        edges: as `lower_edges`. measured: bool [datasets, genes]; what a dataset never measured is always MASK and
            never a target.
        generator: source of all randomness, on the batch's device; unused by `embed`.
        mode: `train`, `validate` (alike) or `embed`: all measured genes visible, under the control, no targets; values
            that are no counts are rounded.

    Raises:
        ScfmError: in training, values that are no counts, or a cell without any.
    """
    count = cells.count.round()
    if mode != "embed":
        _must_be_counts(cells, count)
    genes = measured.shape[1]
    table = count.new_zeros(len(cells.lengths), genes)
    token = quantise(table.index_put_((cell_of(cells.lengths), cells.gene), count), edges)
    there = measured[cells.dataset]
    codes = stacked(cells.labels, settings.conditions, cells.lengths)
    tokens = len(table) * (-(-genes // settings.transformer.group) + len(settings.conditions))
    if mode == "embed":
        return View(token.masked_fill(~there, settings.tokens), as_control(codes, settings.conditions), tokens)
    time = times(len(table), settings.least_time, generator)
    hidden = there & (torch.rand(table.shape, generator=generator, device=table.device) < time[:, None])
    cell, gene = hidden.nonzero(as_tuple=True)
    shown = token.masked_fill(hidden | ~there, settings.tokens)
    return View(shown, codes, tokens, cell, gene, token[hidden], 1 / time, there.sum())


def times(cells: int, least: float, generator: torch.Generator) -> Tensor:
    """float32 [cells], uniform from `least` to 1, one in each of as many equal parts, so that a batch covers all.

    All are one uniform draw apart from where they stand (MDLM's low-discrepancy sampler).
    """
    first = torch.rand((), generator=generator, device=generator.device)
    return least + (1 - least) * ((torch.arange(cells, device=generator.device) + first) / cells)


def _must_be_counts(cells: Cells, rounded: Tensor) -> None:
    empty = cells.lengths == 0
    if not bool(((rounded != cells.count) | (rounded < 0)).any() | empty.any()):
        return
    if bool(empty.any()):
        raise ScfmError(f"cells: {int(empty.sum())} hold no count at all; leave them out")
    odd = cells.count[(rounded != cells.count) | (rounded < 0)][0].item()
    raise ScfmError(f"cells: {odd:g} is not a count, which this system is trained on; give raw counts")
