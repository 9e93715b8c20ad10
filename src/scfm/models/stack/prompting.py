"""What the second phase adds to the network: query marker, classifier of query rows, and a teacher that follows."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfm.models.stack.encoder import Encoder, who_sees_whom
from scfm.models.stack.energy import stratified_energy
from scfm.models.stack.prompt import Window
from scfm.models.stack.settings import Prompt
from scfm.models.stack.surrogate import log_scaled, soft_draws


class Prompting(nn.Module):
    """Marker, classifier and teacher, and the losses of query rows as sums over windows or rows."""

    def __init__(self, genes: int, settings: Prompt, encoder: Encoder) -> None:
        super().__init__()
        self.settings, sizes = settings, encoder.settings
        self.marker = nn.Parameter(torch.zeros(sizes.modules, sizes.width))
        self.compare = nn.Linear(2 * sizes.cell_width, sizes.cell_width)
        self.logit = nn.Linear(sizes.cell_width, 1)
        self.teacher = Encoder(genes, sizes).requires_grad_(False) if settings.embedding_weight else None
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def marked(self, query: Tensor) -> Tensor:
        """Float [sets, rows, modules, width]: the marker at query rows, 0 elsewhere; its gradient is enlarged."""
        factor = self.settings.marker_gradient
        marker = factor * self.marker - (factor - 1) * self.marker.detach()
        return query[..., None, None] * marker

    @torch.no_grad()
    def follow(self, encoder: Encoder) -> None:
        """Count a training batch, and after each `teacher_every` of them move the teacher towards the encoder."""
        if self.teacher is None:
            return
        self.batches += 1
        if int(self.batches) % self.settings.teacher_every == 0:
            for own, new in zip(self.teacher.parameters(), encoder.parameters(), strict=True):
                own.lerp_(new, 1 - self.settings.teacher_memory)

    def query_logit(self, x: Tensor, prompt: Tensor) -> Tensor:
        """float [sets, rows]: log odds that a row is a cell still to be rewritten, by the prompt's mean vector.

        Args:
            x: float [sets, rows, cell width], vectors; nothing is learned through them. prompt: bool [sets, rows].
        """
        x = x.detach()
        weight = prompt[..., None].to(x.dtype)
        mean = (x * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
        pair = torch.cat([mean.expand_as(x), x], dim=2)
        return self.logit(F.gelu(self.compare(pair))).squeeze(2).float()

    def weights(self) -> dict[str, float]:
        """Of the losses, without those that are off."""
        settings = self.settings
        weights = {
            "expression": settings.expression_weight,
            "embedding": settings.embedding_weight,
            "query": settings.query_weight,
        }
        return {name: weight for name, weight in weights.items() if weight}

    def counts(self, window: Window) -> dict[str, Tensor]:
        """Terms of each loss: windows that have query rows, and rows after the prompt."""
        windows = window.query.any(1).sum()
        terms = {"expression": windows, "embedding": windows, "query": (window.real & ~window.prompt).sum()}
        return {name: terms[name] for name in self.weights()}

    def losses(self, window: Window, x: Tensor, log_mean: Tensor, log_dispersion: Tensor) -> dict[str, Tensor]:
        """Sums of the losses.

        Args:
            x: float [sets, rows, modules, width], the encoder's output.
            log_mean, log_dispersion: float [real rows, genes].
        """
        losses, vectors = {}, x.flatten(2)
        on = self.weights()
        if "expression" in on:
            losses["expression"] = self._expression(window, log_mean, log_dispersion)
        if "embedding" in on:
            with torch.no_grad():
                true = self.teacher(window.truth, who_sees_whom(window.real, window.prompt)).flatten(2)
            losses["embedding"] = self._energy(window, vectors.float(), true.float())
        if "query" in on:
            losses["query"] = self._query(window, vectors)
        return losses

    def _expression(self, window: Window, log_mean: Tensor, log_dispersion: Tensor) -> Tensor:
        log_mean, log_dispersion = (_on_grid(part[:, window.top], window.real) for part in (log_mean, log_dispersion))
        usual = usual_dispersion(log_dispersion, window.real & ~window.query)
        noise = window.uniform, window.normal
        drawn = soft_draws(log_mean, usual[:, None].expand_as(log_mean), *noise, self.settings.temperature)
        shown, truth = (
            log_scaled(counts, depth, self.settings.scale)
            for counts, depth in (
                (drawn, window.shown.sum(2)),
                (window.truth[..., window.top], window.truth.sum(2)),
            )
        )
        return self._energy(window, shown, truth)

    def _energy(self, window: Window, a: Tensor, b: Tensor) -> Tensor:
        return (window.urgency * stratified_energy(a, b, window.query, window.kind)).sum()

    def _query(self, window: Window, vectors: Tensor) -> Tensor:
        """Σ of cross-entropies over context and query rows, with query rows weighted to count as much as the others."""
        logit, after = self.query_logit(vectors, window.prompt), window.real & ~window.prompt
        truth = window.query[after].float()
        ratio = (len(truth) - truth.sum()) / truth.sum().clamp(min=1)
        return F.binary_cross_entropy_with_logits(logit[after], truth, pos_weight=ratio, reduction="sum")


def usual_dispersion(log_dispersion: Tensor, rows: Tensor) -> Tensor:
    """float [sets, genes]: median over the chosen rows, bool [sets, rows], of [sets, rows, genes]; no gradient."""
    return log_dispersion.detach().masked_fill(~rows[..., None], torch.nan).nanmedian(1).values


def _on_grid(x: Tensor, real: Tensor) -> Tensor:
    """Float [sets, rows, genes] of [real rows, genes], 0 at padding."""
    return x.new_zeros(*real.shape, x.shape[1]).index_put((real,), x)
