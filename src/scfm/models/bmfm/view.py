"""From raw counts to what the network sees and what it must predict: vectorised over a ragged batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from scfm.models.bmfm.selection import by_cell, choose_tokens, gene_keys
from scfm.models.bmfm.settings import Bmfm
from scfm.models.bmfm.values import quantile_bins
from scfm.models.cells import Cells, cell_of

VALUE, ZERO, MASK, SPECIAL = 0, 1, 2, 3
"""What the value field of a token holds: a number, zero, the mask, or a special token's own embedding."""

TARGET_SUM = 1e4


@dataclass
class View:
    """Tokens of a batch and its targets."""

    gene: Tensor
    """int64 [tokens], gene index; from the number of genes on, the CLS tokens, then those of metadata: unknown of each
    column, then the values."""
    value: Tensor
    """float32 [tokens], log-normalised value where kind is VALUE."""
    kind: Tensor
    """int64 [tokens], VALUE, ZERO, MASK or SPECIAL."""
    cell: Tensor
    """int64 [tokens], the cell of each token."""
    starts: Tensor
    """int32 [cells + 1]."""
    longest: int
    """Tokens of the longest cell."""
    cls: Tensor
    """int64 [cells, special tokens], positions of the special tokens, those of CLS first."""
    labels: dict[str, Tensor]
    """Label group to int64 [cells]; -1 where unknown."""
    bin: Tensor | None = None
    """int64 [tokens], quantile bin of the value in its whole cell where kind is VALUE, for an encoder of bins."""
    perturbed: Tensor | None = None
    """bool [tokens], the gene is perturbed in the cell, where the input knows perturbations."""
    target_position: Tensor | None = None
    """MLM: int64 [targets], token positions to predict."""
    target_value: Tensor | None = None
    """MLM: float32 [targets]. WCED: float32 [cells, genes]."""
    target_mask: Tensor | None = None
    """WCED: bool [cells, genes], the gene was measured in the cell's dataset."""
    gene_position: Tensor | None = None
    """MLM with hidden genes: int64 [hidden], token positions whose gene the encoder does not see."""
    gene_target: Tensor | None = None
    """MLM with hidden genes: int64 [hidden], their genes."""

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return len(self.gene)


def normalise(cells: Cells) -> Tensor:
    """log1p(1e4 · x / S), S the total of the whole cell (paper). Returns float32 [nonzeros]."""
    cell = cell_of(cells.lengths)
    total = torch.zeros(len(cells.lengths), device=cells.count.device).index_add_(0, cell, cells.count)
    return torch.log1p(TARGET_SUM * cells.count / total[cell])


def make_view(
    cells: Cells,
    settings: Bmfm,
    measured: Tensor,
    generator: torch.Generator | None,
    mode: str = "train",
    gene_error: Tensor | None = None,
) -> View:
    """Build the tokens and targets of a batch.

    Args:
        measured: bool [datasets, genes]; what a dataset never measured is unknown, not zero.
        generator: source of all randomness, on the batch's device; unused by `embed`.
        mode: `train` (limit and zeros of training, dropout, targets), `validate` (the same without dropout) or
            `embed` (limit of inference, no zeros, no targets, nothing from the generator).
        gene_error: float [genes], to which the chances of becoming a target are proportional, if they differ.
    """
    y = normalise(cells)
    cell = cell_of(cells.lengths)
    kept, zero_cell, zero_gene = choose_tokens(cells, cell, y, settings.input, measured, generator, mode)
    batch, specials = len(cells.lengths), settings.special_tokens
    which = torch.arange(batch, device=y.device).repeat_interleave(specials)
    slot = _special_tokens(cells, settings, measured.shape[1], generator, mode).flatten()
    gene = torch.cat([slot, cells.gene[kept], zero_gene])
    value = torch.cat([y.new_zeros(len(slot)), y[kept], y.new_zeros(len(zero_gene))])
    kind = torch.full_like(gene, VALUE)
    kind[: len(slot)] = SPECIAL
    kind[len(slot) + len(kept) :] = ZERO
    order, lengths = by_cell((which, cell[kept], zero_cell), batch)  # special tokens first
    starts = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    view = View(
        gene=gene[order],
        value=value[order],
        kind=kind[order],
        cell=cell_of(lengths),
        starts=starts.to(torch.int32),
        longest=int(lengths.max()),
        cls=starts[:-1, None] + torch.arange(specials, device=y.device),
        labels={name: codes for name, codes in cells.labels.items() if name not in settings.input.columns},
    )
    if settings.input.value_encoder.kind == "bins":
        held = quantile_bins(cell, y, cells.lengths, settings.input.value_encoder.bins)[kept]
        view.bin = torch.cat([torch.zeros_like(slot), held, torch.zeros_like(zero_gene)])[order]
    if settings.input.perturbation:
        perturbed = gene_keys(cells.labels[settings.input.perturbation.column], measured.shape[1])
        key = view.cell * measured.shape[1] + view.gene
        view.perturbed = torch.isin(key, perturbed) & (view.kind != SPECIAL)
    if mode != "embed":
        _set_targets(view, cells, cell, y, settings, measured, generator, gene_error)
    return view


def _special_tokens(cells: Cells, settings: Bmfm, genes: int, generator: torch.Generator | None, mode: str) -> Tensor:
    """int64 [cells, special tokens], as in `View.gene`."""
    device, columns = cells.lengths.device, settings.input.metadata
    tokens = torch.arange(settings.special_tokens, device=device).expand(len(cells.lengths), -1)
    if columns:
        codes = torch.stack([cells.labels[name] for name in columns], dim=1)
        if mode == "train":
            hidden = torch.rand(codes.shape, generator=generator, device=device) < settings.input.metadata_dropout
            codes = codes.masked_fill(hidden, -1)
        unknown = tokens[:, settings.cls_tokens :]
        values = torch.where(codes < 0, unknown, settings.special_tokens + codes)
        tokens = torch.cat([tokens[:, : settings.cls_tokens], values], dim=1)
    return genes + tokens


def _set_targets(
    view: View,
    cells: Cells,
    cell: Tensor,
    y: Tensor,
    settings: Bmfm,
    measured: Tensor,
    generator: torch.Generator,
    gene_error: Tensor | None,
) -> None:
    objective = settings.objective
    if objective.kind == "wced":
        view.target_mask = measured[cells.dataset]
        dense = torch.zeros(view.target_mask.shape, device=y.device)
        view.target_value = dense.index_put_((cell, cells.gene), y)
        return
    chance = torch.rand(len(view.gene), generator=generator, device=y.device)
    share = objective.mask if gene_error is None else objective.mask * _relative_error(view, gene_error)
    hidden = (chance < share) & (view.kind != SPECIAL)
    view.target_position = hidden.nonzero().squeeze(1)
    view.target_value = view.value[view.target_position]
    # One draw serves both: within the targets it is uniform, so its lowest share keeps the value.
    view.kind[hidden & (chance >= share * objective.keep)] = MASK
    if objective.gene_mask:
        chance = torch.rand(len(view.gene), generator=generator, device=y.device)
        unseen = (chance < objective.gene_mask) & (view.kind == VALUE) & ~hidden
        view.gene_position = unseen.nonzero().squeeze(1)
        view.gene_target = view.gene[view.gene_position]


def _relative_error(view: View, gene_error: Tensor) -> Tensor:
    """float [tokens]: error of the token's gene over the mean of its cell; 0 at special tokens."""
    special = view.kind == SPECIAL
    error = gene_error[view.gene.masked_fill(special, 0)].masked_fill(special, 0)
    totals = error.new_zeros(len(view.cls)).index_add_(0, view.cell, error)
    genes = view.starts.diff() - view.cls.shape[1]
    return error * (genes / totals.clamp(min=torch.finfo(error.dtype).tiny))[view.cell]
