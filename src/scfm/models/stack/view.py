"""From a ragged batch to padded tables of counts, and what training hides of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from scfm.errors import ScfmError
from scfm.models.cells import Cells, cell_of
from scfm.models.stack.prompt import Window, draw_window
from scfm.models.stack.settings import Masking, Stack
from scfm.models.stack.wasserstein import Slices, draw_slices


@dataclass
class View:
    """Tables of the cells of a batch, one a set, and its targets."""

    counts: Tensor
    """float32 [sets, rows, genes], as shown but for what is hidden; a query row holds the cell to be rewritten."""
    real: Tensor
    """bool [sets, rows], False at padding; the real rows of the first phase are the batch's cells in their order."""
    modules: int
    """Tokens of a cell."""
    hidden: Tensor | None = None
    """int64 [hidden], ascending: genes that no row shows."""
    scored: Tensor | None = None
    """bool [real rows, hidden], these are targets: measured, and not of a query row."""
    slices: Slices | None = None
    """Cells, directions and draws of the sliced Wasserstein distance."""
    window: Window | None = None
    """The second phase: roles of the rows, and the truth."""

    @property
    def tokens(self) -> int:
        """Those of all rows, padding included."""
        return self.real.numel() * self.modules


def make_view(cells: Cells, settings: Stack, measured: Tensor, generator: torch.Generator | None, mode: str) -> View:
    """Build the input and the targets of a batch.

    Args:
        measured: bool [datasets, genes]; what a dataset never measured is no target.
        generator: source of all randomness, on the batch's device; unused by `embed`.
        mode: `train`, `validate` (alike) or `embed` (all genes visible, no targets).

    Raises:
        ScfmError: cells without number of their set; in the second phase, what `draw_window` raises.
    """
    table, set_of = to_table(cells, measured.shape[1]), sets_of(cells)
    modules = settings.transformer.modules
    if mode == "embed" or settings.prompt is None:
        index, real = in_rows(set_of)
        shown, window, masking, targets = table[index] * real[..., None], None, settings.masking, real
    else:
        window = draw_window(cells, table, set_of, settings.prompt, generator)
        index, real, shown, masking = window.cell, window.real, window.shown, settings.prompt.masking
        targets = real & ~window.query
    view = View(shown, real, modules, window=window)
    if mode != "embed":
        view.hidden = hidden_genes(measured.shape[1], masking, generator)
        known = measured[:, view.hidden][cells.dataset[index[real]]]
        view.scored = known & targets[real][:, None]
        if settings.sliced.weight:
            view.slices = draw_slices(real, settings.transformer.cell_width, settings.sliced, generator)
    return view


def to_table(cells: Cells, genes: int) -> Tensor:
    """float32 [cells, genes], raw counts."""
    table = cells.count.new_zeros(len(cells.lengths), genes)
    return table.index_put_((cell_of(cells.lengths), cells.gene), cells.count)


def in_rows(set_of: Tensor) -> tuple[Tensor, Tensor]:
    """Cell of each row, int64 [sets, rows] (0 at padding), and bool, whether there is one."""
    sizes = torch.bincount(set_of)
    place = torch.arange(int(sizes.max()), device=set_of.device)
    real = place < sizes[:, None]
    return ((sizes.cumsum(0) - sizes)[:, None] + place).masked_fill(~real, 0), real


def hidden_genes(genes: int, masking: Masking, generator: torch.Generator) -> Tensor:
    """int64 [hidden], ascending: one random share of the genes, at least one gene."""
    device = generator.device
    rate = torch.empty((), device=device).uniform_(masking.least, masking.most, generator=generator)
    hidden = max(1, round(float(rate) * genes))
    return torch.randperm(genes, generator=generator, device=device)[:hidden].sort().values


def sets_of(cells: Cells) -> Tensor:
    """int64 [cells], number of the set.

    Raises:
        ScfmError: the label is missing, or does not count up from 0.
    """
    set_of = cells.labels.get("set")
    if set_of is None:
        raise ScfmError("cells: label 'set' is missing; number the set of each cell, which this system reads together")
    steps = set_of.diff(prepend=set_of.new_full((1,), -1))
    if bool(((steps < 0) | (steps > 1)).any()) or int(set_of[0]) != 0:
        raise ScfmError("cells: label 'set' must count up from 0 without a gap; order the cells by their set")
    return set_of
