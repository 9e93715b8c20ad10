"""From the cells of a batch of donors to what the encoder sees and what the decoder must rebuild."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scfm.errors import ScfmError
from scfm.models.cells import Cells
from scfm.models.pulsar.sampling import by_content, draw, from_generator, from_seed
from scfm.models.pulsar.settings import Pulsar, Sampling


@dataclass
class View:
    """Drawn cells of a batch of donors; rows of donors with fewer cells are padded, which `*_real` tells."""

    vectors: Tensor
    """float32 [cells, width], all cells of the batch."""
    seen: Tensor
    """int64 [donors, draws, seen], cells that the encoder sees; draws are disjoint subsets in training, and repeated
    draws in inference."""
    seen_real: Tensor
    """bool [donors, draws, seen]."""
    labels: dict[str, Tensor]
    """Column to int64 [donors], -1 where unknown, or to float [donors], NaN where unknown."""
    target: Tensor | None = None
    """int64 [donors, targets], cells to rebuild."""
    target_real: Tensor | None = None
    """bool [donors, targets]."""
    element_noise: Tensor | None = None
    """float32 [donors, targets, width] in [0, 1), from which the hidden elements follow."""
    program_noise: Tensor | None = None
    """float32 [donors, targets, programs] in [0, 1), where programs of elements are hidden."""

    @property
    def tokens(self) -> int:
        """Cells that the encoder sees and the decoder rebuilds, padding included."""
        return self.seen.numel() + (0 if self.target is None else self.target.numel())


def make_view(cells: Cells, settings: Pulsar, generator: torch.Generator | None, mode: str) -> View:
    """Draw the cells of each donor.

    Args:
        cells: labels `vector` float32 [cells, width] and `set` int64 [cells], the donor, ascending from 0 without gaps;
            then the columns of the settings. Genes and counts are not read.
        generator: source of all randomness, on the batch's device; unused by `embed`.
        mode: `train` and `validate` (disjoint subsets for the encoder, targets) or `embed` (whole draws, no targets,
            nothing from the generator).

    Raises:
        ScfmError: vectors of another width or not finite; sets out of order; a donor with two values of a column.
    """
    vectors, which = checked(cells.labels, settings.width)
    lengths = torch.bincount(which)
    labels = {name: donor_label(cells.labels, name, which, lengths) for name in settings.columns if mode != "embed"}
    if mode == "embed":
        return View(vectors, *_inference_draws(vectors, lengths, settings.sampling), labels)
    sampling = settings.sampling
    place, real = draw(lengths, sampling.cells, sampling.replacement, from_generator(generator))
    drawn = place + _first(lengths)[:, None]
    seen, seen_real, target, target_real = split(drawn, real, sampling, settings.subsets)
    return with_targets(View(vectors, seen, seen_real, labels), target, target_real, settings, generator)


def with_targets(view: View, target: Tensor, real: Tensor, settings: Pulsar, generator: torch.Generator | None) -> View:
    """The view with these cells to rebuild, and the noise by which their elements are hidden."""

    def noise(last: int) -> Tensor:
        return torch.rand((*target.shape, last), generator=generator, device=target.device)

    masking = settings.masking
    programs = noise(masking.programs) if masking.strategy == "correlated_program" else None
    return replace(view, target=target, target_real=real, element_noise=noise(settings.width), program_noise=programs)


def split(drawn: Tensor, real: Tensor, sampling: Sampling, subsets: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Subsets for the encoder and targets, as in `View`.

    A donor's first share (at least one cell) is the first subset, the next share the second; all but the first subset
    are targets, or the last so many of them.

    Args:
        drawn: int64 [donors, drawn], in random order, padding last. real: int64 [donors], how many are real.
    """
    share = (sampling.encoder_share * real).round().long().clamp(min=1)[:, None]
    longest = torch.arange(int(share.max()), device=real.device)
    place = torch.stack([longest + k * share for k in range(subsets)], dim=1)
    inside = (longest < share)[:, None] & (place < real[:, None, None])
    others = real[:, None] - share
    most = int(others.max()) if sampling.targets is None else min(int(others.max()), sampling.targets)
    last = torch.arange(most, device=real.device)
    return (
        drawn.gather(1, place.masked_fill(~inside, 0).flatten(1)).view(place.shape),
        inside,
        drawn.gather(1, (real[:, None] - 1 - last).clamp(min=0)),
        last < others,
    )


def checked(labels: dict[str, Tensor], width: int) -> tuple[Tensor, Tensor]:
    """The cells' vectors and their sets.

    Raises:
        ScfmError: one is missing; vectors of another width or not finite; sets out of order.
    """
    for name in ("vector", "set"):
        if name not in labels:
            raise ScfmError(f"cells have no '{name}'; PULSAR reads a vector and a donor number of each cell")
    vectors, which = labels["vector"], labels["set"]
    if vectors.ndim != 2 or vectors.shape[1] != width:
        raise ScfmError(f"cell vectors are {tuple(vectors.shape)}, expected [cells, {width}]; set width to theirs")
    if len(vectors) == 0 or len(which) != len(vectors):
        raise ScfmError(f"{len(vectors)} cell vectors and {len(which)} donor numbers; give as many of each, above 0")
    wrong = int((~vectors.isfinite().all(1)).sum())
    if wrong:
        raise ScfmError(f"vectors of {wrong} of {len(vectors)} cells hold NaN or infinity; leave these cells out")
    steps = which.diff()
    if int(which[0]) != 0 or not bool(((steps == 0) | (steps == 1)).all()):
        raise ScfmError("'set' does not number the donors 0, 1, 2, … one after another; order the cells by donor")
    return vectors.float(), which


def donor_label(labels: dict[str, Tensor], column: str, which: Tensor, lengths: Tensor) -> Tensor:
    """[donors]: the one value of each donor in a column of cells.

    Raises:
        ScfmError: the column is missing, or a donor has two values.
    """
    if column not in labels:
        raise ScfmError(f"cells have no column '{column}', which the settings name; add it, -1 where unknown")
    values = labels[column]
    own = values[_first(lengths)]
    same = (values == own[which]) | (values.isnan() & own.isnan()[which])
    if not bool(same.all()):
        donor = int(which[~same][0])
        raise ScfmError(f"column '{column}': donor number {donor} of the batch has two values; give each donor one")
    return own


def _inference_draws(vectors: Tensor, lengths: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Cells of the repeated draws, int64 [donors, draws, drawn], and whether they are real."""
    order, first = by_content(vectors, lengths), _first(lengths)[:, None]
    seeds = range(sampling.seed, sampling.seed + sampling.resample)
    draws = [draw(lengths, sampling.cells, sampling.replacement, from_seed(seed)) for seed in seeds]
    place = torch.stack([place for place, _ in draws], dim=1)
    inside = torch.arange(place.shape[2], device=place.device) < draws[0][1][:, None]
    inside = inside[:, None].expand(place.shape)
    return order[(place + first[:, None]).masked_fill(~inside, 0)], inside


def _first(lengths: Tensor) -> Tensor:
    """int64 [donors], the first cell of each."""
    return lengths.cumsum(0) - lengths
