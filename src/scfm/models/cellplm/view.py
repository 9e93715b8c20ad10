"""From raw counts to what the network sees and what it must predict: vectorised over a ragged batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from scfm.errors import ScfmError
from scfm.models.cellplm.masking import hidden_shares, stay
from scfm.models.cellplm.position import to_grid
from scfm.models.cellplm.settings import Cellplm
from scfm.models.cells import Cells, cell_of


@dataclass
class View:
    """Visible genes of the cells of a batch, and its targets."""

    gene: Tensor
    """int64 [visible], gene index of each visible count above 0, cell by cell."""
    value: Tensor
    """float32 [visible], log1p of the count."""
    starts: Tensor
    """int64 [cells], where each cell begins among them."""
    set_of: Tensor
    """int64 [cells], number of the set, ascending and consecutive from 0."""
    dataset: Tensor
    """int64 [cells], covariate of the decoder."""
    place: Tensor | None
    """float32 [cells, 2], coordinates on the grid, NaN where absent; None where no cell has any."""
    chosen: Tensor | None = None
    """int64 [chosen], cells that hide genes and are predicted."""
    decoded: Tensor | None = None
    """int64 [decoded], genes that are predicted; None means all."""
    target: Tensor | None = None
    """float32 [chosen, decoded], counts."""
    measured: Tensor | None = None
    """bool [chosen, decoded], the gene was measured in the cell's dataset."""
    hidden: Tensor | None = None
    """bool [chosen, decoded], measured and hidden."""

    @property
    def tokens(self) -> int:
        """One a cell."""
        return len(self.set_of)


def make_view(
    cells: Cells, settings: Cellplm, measured: Tensor, generator: torch.Generator | None, mode: str = "train"
) -> View:
    """Build the input and the targets of a batch.

    Args:
        measured: bool [datasets, genes]; what a dataset never measured is unknown, not zero.
        generator: source of all randomness, on the batch's device; unused by `embed`.
        mode: `train` (cells dropped, genes hidden, targets), `validate` (the same, no cell dropped) or `embed` (all
            cells and genes visible, no targets).

    Raises:
        ScfmError: cells without number of their set, or one of two coordinates.
    """
    set_of = _sets(cells)
    place = _coordinates(cells, set_of, settings)
    nonzero = torch.ones_like(cells.gene, dtype=torch.bool)
    cell, lengths, dataset = cell_of(cells.lengths), cells.lengths, cells.dataset
    if mode == "train" and settings.masking.drop:
        kept = stay(set_of, settings.masking.drop, generator)
        nonzero, cell = kept[cell], (kept.cumsum(0) - 1)[cell]
        set_of, lengths, dataset = set_of[kept], lengths[kept], dataset[kept]
        place = None if place is None else place[kept]
    cell, gene, count = cell[nonzero], cells.gene[nonzero], cells.count[nonzero]
    view = View(gene, torch.log1p(count), lengths.cumsum(0) - lengths, set_of, dataset, place)
    if mode != "embed":
        _hide(view, cell, count, settings, measured, generator)
    return view


def _hide(
    view: View, cell: Tensor, count: Tensor, settings: Cellplm, measured: Tensor, generator: torch.Generator
) -> None:
    """Draw what is hidden, take it from the input and make it the target.

    A hidden zero changes no input, so zeros are drawn for the decoded genes only.
    """
    share = hidden_shares(len(view.set_of), settings.masking, generator)
    chance = torch.rand(len(cell), generator=generator, device=cell.device)
    genes = measured.shape[1]
    view.decoded = _decoded(view.dataset, settings.decoder.genes, measured, generator)
    view.chosen = (share > 0).nonzero().squeeze(1)
    row, column = _places(len(share), view.chosen), _places(genes, view.decoded)
    at = row[cell], view.gene if column is None else column[view.gene]
    among = (at[0] >= 0) & (at[1] >= 0)
    at = at[0][among], at[1][among]
    shape = (len(view.chosen), genes if view.decoded is None else len(view.decoded))
    view.target = count.new_zeros(shape).index_put_(at, count[among])
    draws = torch.rand(shape, generator=generator, device=cell.device).index_put_(at, chance[among])
    known = measured if view.decoded is None else measured[:, view.decoded]
    view.measured = known[view.dataset[view.chosen]]
    view.hidden = (draws < share[view.chosen, None]) & view.measured
    visible = chance >= share[cell]
    view.gene, view.value = view.gene[visible], view.value[visible]
    lengths = torch.bincount(cell[visible], minlength=len(share))
    view.starts = lengths.cumsum(0) - lengths


def _decoded(dataset: Tensor, most: int | None, measured: Tensor, generator: torch.Generator) -> Tensor | None:
    """int64 [decoded], ascending: random genes among those that a dataset of the batch measured; None means all."""
    if most is None or most >= measured.shape[1]:
        return None
    candidates = measured[dataset.unique()].any(0).nonzero().squeeze(1)
    order = torch.randperm(len(candidates), generator=generator, device=dataset.device)
    return candidates[order[:most]].sort().values


def _places(size: int, index: Tensor | None) -> Tensor | None:
    """int64 [size]: place of each number in `index`, or -1."""
    if index is None:
        return None
    return torch.full((size,), -1, device=index.device).index_put_(
        (index,), torch.arange(len(index), device=index.device)
    )


def _sets(cells: Cells) -> Tensor:
    """int64 [cells], number of the set."""
    set_of = cells.labels.get("set")
    if set_of is None:
        raise ScfmError("cells: label 'set' is missing; number the set of each cell, which this system reads together")
    steps = set_of.diff(prepend=set_of.new_full((1,), -1))
    if bool(((steps < 0) | (steps > 1)).any()) or int(set_of[0]) != 0:
        raise ScfmError("cells: label 'set' must count up from 0 without a gap; order the cells by their set")
    return set_of


def _coordinates(cells: Cells, set_of: Tensor, settings: Cellplm) -> Tensor | None:
    """float32 [cells, 2] on the grid, or None where there are none."""
    axes = [cells.labels.get(name) for name in ("x", "y")]
    if settings.positions is None or axes == [None, None]:
        return None
    if any(axis is None for axis in axes):
        raise ScfmError("cells: one of the labels 'x' and 'y' is missing; give both coordinates or none")
    return to_grid(torch.stack(axes, dim=1).float(), set_of, settings.positions)
