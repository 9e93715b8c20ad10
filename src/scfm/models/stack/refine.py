"""Cells rewritten as if they were under the condition of a prompt, in steps that take back what does not pass."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from scfm.errors import ScfmError
from scfm.models.stack.encoder import who_sees_whom
from scfm.models.stack.prompting import usual_dispersion
from scfm.models.stack.settings import Prompt

if TYPE_CHECKING:
    from scfm.models.stack.network import Network


@dataclass(frozen=True)
class Refinement:
    """Steps of the generation; the published ones (released code)."""

    masked: tuple[float, ...] = (0.8, 0.6, 0.4, 0.2, 0.0)
    """Share of the cells that is not written yet after each step; ends with 0."""
    context: tuple[float, float] = (0.2, 0.4)
    """Share of a window's rows that hold real cells of the condition beside the prompt, at the first and last step."""


REFINEMENT = Refinement()


@dataclass
class Generated:
    """Cells under the condition."""

    counts: Tensor
    """int64 [cells, genes]."""
    confidence: Tensor
    """float32 [cells], log odds that the finished cell is one of the condition, by the classifier. It is read once more
    for that: at the last step the cells that were then written still bore the marker of query rows."""
    share: Tensor
    """float32 [cells, genes], shares of the genes by which the counts were drawn; sum to 1."""
    dispersion: Tensor
    """float32 [cells, genes], dispersions of those draws."""


@dataclass
class Reading:
    """What one pass over all windows says of the cells that are rewritten."""

    logit: Tensor
    """float32 [cells], log odds that the cell is still to be rewritten."""
    share: Tensor
    """float32 [cells, genes], shares of the genes; sum to 1."""
    dispersion: Tensor
    """float32 [cells, genes], the usual one of the real cells of the window."""


@torch.inference_mode()
def generate(
    network: "Network", condition: Tensor, query: Tensor, generator: torch.Generator, refinement: Refinement
) -> Generated:
    """Rewrite cells in so many steps.

    At each step all cells are read, in windows with fresh real cells of the condition. Cells written before that the
    classifier takes for query rows are taken back; then those that it takes least for such are written, until the
    step's share is left. Any number of cells is dealt evenly into windows; a prompt of few cells fills fewer rows.

    Args:
        condition: [prompt cells, genes], counts of cells under the condition. query: [cells, genes], counts of others.
        generator: source of all randomness, on the network's device.

    Raises:
        ScfmError: a network without the second phase; tables of other width, empty, or not of counts; steps that do not
            end with 0.
    """
    _must_be_ready(network, refinement)
    genes = network.encoder.tokens.in_features
    condition, query = (_counts(x, genes, name) for x, name in ((condition, "condition"), (query, "query")))
    shown, still = query.clone(), torch.ones(len(query), dtype=torch.bool, device=query.device)
    share, dispersion = torch.empty_like(shown), torch.empty_like(shown)
    for step, masked in enumerate(refinement.masked):
        first, last = refinement.context
        context = first + (last - first) * step / max(len(refinement.masked) - 1, 1)
        reading = _read(network, condition, shown, still, context, generator)
        still |= reading.logit > 0
        shown = torch.where(still[:, None], query, shown)
        room = round((1 - masked) * len(query)) - int((~still).sum())
        chosen = reading.logit.masked_fill(~still, torch.inf).argsort()[: max(room, 0)]
        share[chosen], dispersion[chosen] = reading.share[chosen], reading.dispersion[chosen]
        part = share[chosen], dispersion[chosen], query[chosen].sum(1)
        shown[chosen], still[chosen] = draw_counts(*part, generator), False
    finished = _read(network, condition, shown, still, context, generator.clone_state())
    return Generated(shown.long(), -finished.logit, share, dispersion)


def draw_counts(share: Tensor, dispersion: Tensor, depth: Tensor, generator: torch.Generator) -> Tensor:
    """Gamma-Poisson counts float [cells, genes] whose rates are scaled to sum to the cell's depth.

    Args:
        share: float [cells, genes], sums to 1. dispersion: the same shape. depth: float [cells].
    """
    rate = torch._standard_gamma(dispersion, generator=generator) * share / dispersion
    rate = rate * (depth / rate.sum(1).clamp(min=1e-12))[:, None]
    return torch.poisson(rate, generator=generator)


def _read(
    network: "Network",
    condition: Tensor,
    shown: Tensor,
    still: Tensor,
    context: float,
    generator: torch.Generator,
) -> Reading:
    """One pass; `still` bool [cells] are marked as query rows."""
    prompted, real, rewritten = _rows(len(condition), network.settings.prompt, context)
    windows = -(-len(shown) // rewritten)
    reading = Reading(torch.empty_like(shown[:, 0]), torch.empty_like(shown), torch.empty_like(shown))
    order = torch.randperm(len(shown), generator=generator, device=shown.device)
    for part in order.tensor_split(windows):
        base = torch.randperm(len(condition), generator=generator, device=shown.device)[: prompted + real]
        table = torch.cat([condition[base], shown[part]])[None]
        row = torch.arange(table.shape[1], device=shown.device)[None]
        prompt, query = row < prompted, torch.cat([still.new_zeros(len(base)), still[part]])[None]
        mask, marker = who_sees_whom(torch.ones_like(prompt), prompt), network.prompting.marked(query)
        x = network.encoder(table, mask, marker)
        reading.logit[part] = network.prompting.query_logit(x.flatten(2), prompt)[0, len(base) :]
        log_mean, log_dispersion = network.decoder(x, torch.ones_like(table[..., 0]))
        reading.share[part] = log_mean[0, len(base) :].exp()
        usual = usual_dispersion(log_dispersion, row < len(base))
        reading.dispersion[part] = usual.exp().expand(len(part), -1)
    return reading


def _rows(available: int, settings: Prompt, context: float) -> tuple[int, int, int]:
    """Rows of a window: the prompt, other real cells of the condition, and cells that are rewritten."""
    prompt, real = max(1, round(settings.share * settings.rows)), round(context * settings.rows)
    rewritten = max(1, settings.rows - prompt - real)
    if available < prompt + real:
        prompt = max(1, min(prompt, round(available * prompt / (prompt + real))))
        real = available - prompt
    return prompt, real, rewritten


def _must_be_ready(network: "Network", refinement: Refinement) -> None:
    if network.prompting is None:
        raise ScfmError("this model saw no prompts in training; train one with model.prompt to generate cells")
    if not refinement.masked or refinement.masked[-1] != 0:
        raise ScfmError(f"refinement.masked {refinement.masked} must end with 0, so that all cells are written")


def _counts(x: Tensor, genes: int, name: str) -> Tensor:
    """float32 [cells, genes]."""
    if x.ndim != 2 or x.shape[1] != genes or not len(x):
        raise ScfmError(
            f"{name}: a table {tuple(x.shape)}, expected [cells, {genes}] with a cell at least; "
            "order the genes as the model's, and give 0 for those that are missing"
        )
    if not bool((x.isfinite() & (x >= 0) & (x == x.round())).all()):
        raise ScfmError(f"{name}: values must be counts, whole numbers from 0; give raw counts, not scaled ones")
    return x.float()
