"""The network of PULSAR, its losses as sums with counts, donor vectors, cell importance and simulated conditions."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scfm.errors import ScfmError
from scfm.models.cells import Cells
from scfm.models.pulsar import losses
from scfm.models.pulsar.heads import FilmHead, label_head
from scfm.models.pulsar.masking import ElementMask, hidden_elements
from scfm.models.pulsar.settings import Pulsar
from scfm.models.pulsar.transformer import Block, initialise, masked, two_layers
from scfm.models.pulsar.view import View, make_view, with_targets
from scfm.models.tasks import Task
from scfm.models.weights import weights


@dataclass
class Reconstruction:
    """What the decoder gave for the targets, and which of their elements it did not see."""

    value: Tensor
    """float [donors, targets, width]."""
    hidden: Tensor
    """bool [donors, targets, width], False at padding."""


class Network(nn.Module):
    """Encoder of a set of cell vectors into one donor vector, and a decoder that knows the donor by that alone.

    Args:
        genes, datasets: not read; PULSAR sees vectors, not genes.
        seed: seed of the initial weights.
        classes: number of labels of each column that a head of classes predicts.
        conditions: float [conditions, condition width], vectors of the conditions, where the settings have `film`.

    Raises:
        ScfmError: condition vectors are missing or of another width.
    """

    def __init__(
        self,
        settings: Pulsar,
        genes: int,
        datasets: int,
        seed: int,
        classes: dict[str, int] | None = None,
        conditions: Tensor | None = None,
    ) -> None:
        super().__init__()
        width, sizes = settings.width, settings.transformer
        hidden = sizes.hidden
        self.settings = settings
        self.cls = nn.Parameter(torch.zeros(hidden))
        self.project = two_layers(width, width, hidden)
        self.encoder = nn.ModuleList(Block(sizes) for _ in range(sizes.encoder_layers))
        self.mask = ElementMask(settings.masking, width)
        self.project_masked = two_layers(width, width, hidden)
        self.decoder = nn.ModuleList(Block(sizes) for _ in range(sizes.decoder_layers))
        self.rebuild = two_layers(hidden, hidden, width)
        labels = {head.label: label_head(head, hidden, (classes or {}).get(head.label, 1)) for head in settings.heads}
        self.heads = nn.ModuleDict(labels)
        self.film = FilmHead(settings.film, hidden) if settings.film else None
        self.register_buffer("conditions", self._fitting(conditions), persistent=False)
        generator = torch.Generator().manual_seed(seed)
        initialise(self, generator)
        nn.init.normal_(self.cls, std=0.02, generator=generator)
        if self.film is not None:
            self.film.initialise(generator)

    def view(self, cells: Cells, measured: Tensor, generator: torch.Generator | None, mode: str) -> View:
        """What is drawn of the batch's donors; `measured` is not read. See `make_view`.

        Raises:
            ScfmError: what `make_view` raises; a condition beyond the table of their vectors.
        """
        view = make_view(cells, self.settings, generator, mode)
        if self.film is not None and mode != "embed":
            column = self.settings.film.condition
            highest = int(view.labels[column].max())
            if highest >= len(self.conditions):
                known = len(self.conditions)
                raise ScfmError(f"column '{column}' holds condition {highest}, but there are {known} vectors; add more")
        return view

    def encode(self, cells: Tensor, real: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """float [donors, draws, cells, width] with bool [donors, draws, cells] to [donors, draws, hidden]."""
        x, mask = self._tokens(cells.flatten(0, 1), real.flatten(0, 1))
        for block in self.encoder[:-1]:
            x = block(x, mask, generator)
        return self.encoder[-1](x, mask, generator, rows=1)[:, 0].unflatten(0, cells.shape[:2])

    def decode(self, donor: Tensor, cells: Tensor, real: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Whole cell vectors from the donor vector and masked cells, and nothing else.

        Args:
            donor: [donors, hidden]. cells: [donors, targets, width], masked. real: bool [donors, targets].

        Returns:
            [donors, targets, width].
        """
        x = torch.cat([donor[:, None].to(cells.dtype), self.project_masked(cells)], dim=1)
        mask = masked(torch.cat([real.new_ones(len(real), 1), real], dim=1))
        for block in self.decoder:
            x = block(x, mask, generator)
        return self.rebuild(x[:, 1:])

    def reconstruct(self, donor: Tensor, view: View, generator: torch.Generator | None = None) -> Reconstruction:
        """The view's targets, rebuilt from donor vectors [donors, hidden]."""
        cells, hidden = self.mask(view.vectors[view.target], view.element_noise, view.program_noise)
        value = self.decode(donor, cells, view.target_real, generator)
        return Reconstruction(value, hidden & view.target_real[..., None])

    def counts(self, view: View) -> dict[str, Tensor]:
        """Targets of each task, as `tasks` counts them, before the forward pass."""
        settings, masking = self.settings, self.settings.masking
        if self.mask.masker is None:
            hidden = ((view.element_noise < masking.ratio) & view.target_real[..., None]).sum()
        else:
            hidden = view.target_real.sum() * hidden_elements(masking.ratio, settings.width)
        counts = {"reconstruction": hidden}
        if self.mask.masker is not None:
            counts |= {"program_entropy": torch.ones_like(hidden), "program_size": torch.ones_like(hidden)}
        if settings.contrastive_weight:
            counts["contrast"] = losses.pairs(view.seen_real[:, 1, 0])
        if settings.alignment:
            counts["alignment"] = losses.anchors(_subset_labels(view, settings.alignment.label)).sum()
        for head in settings.heads:
            counts[head.task] = losses.known_labels(view.labels[head.label], head.kind).sum()
        if settings.film:
            counts["condition"] = self._controls(view).any(1).sum()
        return counts

    def tasks(
        self, view: View, generator: torch.Generator | None = None, epoch: int = 0
    ) -> tuple[dict[str, Task], None]:
        """Every objective of the batch; dropout comes from the generator, without which there is none."""
        subsets = self.encode(view.vectors[view.seen], view.seen_real, generator)
        donor = subsets[:, 0]
        totals = {"reconstruction": self._reconstruction_error(donor, view, generator)}
        if self.mask.masker is not None:
            totals["program_entropy"] = self.mask.masker.entropy()
            totals["program_size"] = self.mask.masker.unevenness()
        settings = self.settings
        if settings.contrastive_weight:
            paired = view.seen_real[:, 1, 0]
            totals["contrast"] = losses.info_nce(donor, subsets[:, 1], paired, settings.temperature)
        if settings.alignment:
            labels, temperature = _subset_labels(view, settings.alignment.label), settings.alignment.temperature
            totals["alignment"] = losses.supervised_contrast(subsets.flatten(0, 1), labels, temperature)
        for head in settings.heads:
            predicted = self.heads[head.label](donor)
            totals[head.task] = losses.label_error(predicted, view.labels[head.label], head.kind)
        if settings.film:
            totals["condition"] = self._condition_error(donor, view, generator)
        counts, weights = self.counts(view), self._weights()
        return {name: Task(total, counts[name], weights[name]) for name, total in totals.items()}, None

    def flops(self, view: View) -> Tensor:
        """Operations of a training step: products with weights and attention, padding included, float64 scalar.

        The backward pass counts twice the forward pass; element by element work counts nothing.
        """
        sizes, (donors, draws, seen), targets = self.settings.transformer, view.seen.shape, view.target.shape[1]
        products = donors * draws * ((seen + 1) * weights(self.encoder) + seen * weights(self.project))
        products += donors * ((targets + 1) * weights(self.decoder) + targets * weights(self.project_masked))
        products += donors * (targets * weights(self.rebuild) + weights(self.heads))
        encoded, decoded = draws * sizes.encoder_layers * (seen + 1) ** 2, sizes.decoder_layers * (targets + 1) ** 2
        products += 2 * donors * sizes.hidden * (encoded + decoded)
        return torch.tensor(6.0 * products, dtype=torch.float64, device=view.seen.device)

    def embed(self, view: View) -> dict[str, Tensor]:
        """Pooling `donor` to float [donors, hidden], the mean over the view's draws."""
        return {"donor": self.encode(view.vectors[view.seen], view.seen_real).mean(1)}

    def importance(self, view: View) -> Tensor:
        """float [cells]: attention of CLS to each cell in the last block, where 1 is what even attention gives.

        The mean over heads and over the times that the cell was drawn; NaN where it never was.
        """
        seen, real = view.seen.flatten(0, 1), view.seen_real.flatten(0, 1)
        x, mask = self._tokens(view.vectors[seen], real)
        for block in self.encoder[:-1]:
            x = block(x, mask)
        attention = self.encoder[-1].first_attends_to(x, mask)[:, 1:]
        relative = attention / attention.sum(1, keepdim=True) * real.sum(1, keepdim=True)
        drawn = torch.bincount(seen[real], minlength=len(view.vectors))
        return relative.new_zeros(len(view.vectors)).index_add_(0, seen[real], relative[real]) / drawn

    def predict(self, view: View) -> dict[str, Tensor]:
        """Label to logits [donors, classes], or to numbers [donors, 1], of the donor vectors."""
        donor = self.embed(view)["donor"]
        return {label: head(donor) for label, head in self.heads.items()}

    def simulate(self, view: View, condition: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Donors under a condition: changed donor vectors, and the cells decoded from them.

        Args:
            view: of control cells, mode `embed`. Cells of its first draw are masked anew and rebuilt.
            condition: float [donors, condition width].
            generator: source of the masks.

        Returns:
            float [donors, hidden] and float [donors, drawn, width]; where `view.seen_real` is False, padding.

        Raises:
            ScfmError: the settings have no `film`.
        """
        if self.film is None:
            raise ScfmError("this model simulates no conditions; train one with film in its settings")
        changed = self.film(self.embed(view)["donor"], condition)
        view = with_targets(view, view.seen[:, 0], view.seen_real[:, 0], self.settings, generator)
        return changed, self.reconstruct(changed, view).value

    def _tokens(self, cells: Tensor, real: Tensor) -> tuple[Tensor, Tensor | None]:
        """CLS and projected cells [sets, 1 + cells, hidden], and the mask of padding."""
        projected = self.project(cells)
        cls = self.cls.to(projected.dtype).expand(len(cells), 1, -1)
        return torch.cat([cls, projected], dim=1), masked(torch.cat([real.new_ones(len(real), 1), real], dim=1))

    def _reconstruction_error(self, donor: Tensor, view: View, generator: torch.Generator | None) -> Tensor:
        rebuilt = self.reconstruct(donor, view, generator)
        return losses.squared_error(rebuilt.value, view.vectors[view.target], rebuilt.hidden)

    def _controls(self, view: View) -> Tensor:
        film = self.settings.film
        return losses.controls(view.labels[film.condition], view.labels[film.donor])

    def _condition_error(self, donor: Tensor, view: View, generator: torch.Generator | None) -> Tensor:
        """Σ over treated samples with a control of the mean squared error of the changed control's vector.

        The treated sample's own vector is what it should become, and learns nothing from it. What the release trains
        this head by is not known; this is ours.
        """
        controls = self._controls(view).to(donor.dtype)
        control = controls @ donor / controls.sum(1, keepdim=True).clamp(min=1)
        condition = self.conditions[view.labels[self.settings.film.condition].clamp(min=0)]
        changed = self.film(control, condition, generator)
        return ((changed - donor.detach()).float().square().mean(1) * controls.any(1)).sum()

    def _weights(self) -> dict[str, float]:
        settings = self.settings
        weights = {
            "reconstruction": settings.reconstruction_weight,
            "program_entropy": settings.masking.entropy_weight,
            "program_size": settings.masking.sparsity_weight,
            "contrast": settings.contrastive_weight,
        }
        weights |= {"alignment": settings.alignment.weight} if settings.alignment else {}
        weights |= {"condition": settings.film.weight} if settings.film else {}
        return weights | {head.task: head.weight for head in settings.heads}

    def _fitting(self, conditions: Tensor | None) -> Tensor | None:
        film = self.settings.film
        if film and (conditions is None or conditions.ndim != 2 or conditions.shape[1] != film.width):
            got = "none" if conditions is None else tuple(conditions.shape)
            raise ScfmError(
                f"condition vectors: {got}, expected [conditions, {film.width}]; give them or set film.width"
            )
        return conditions.float() if film else None


def _subset_labels(view: View, column: str) -> Tensor:
    """int64 [donors x draws]: the donor's label where the subset has a cell, else -1."""
    labels = view.labels[column][:, None].expand(view.seen.shape[:2])
    return labels.masked_fill(~view.seen_real[..., 0], -1).flatten()
