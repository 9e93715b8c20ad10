"""The network of one BMFM model, its losses as sums with counts, and its cell embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scfm.models.bmfm.backbones.layout import Rows
from scfm.models.bmfm.embedding import TokenEmbedding
from scfm.models.bmfm.encoder import SetEncoder, initialise
from scfm.models.bmfm.flops import step_flops
from scfm.models.bmfm.gene_vectors import GivenVectors
from scfm.models.bmfm.hce import hce_sum
from scfm.models.bmfm.heads import LabelHead, Pooler, WholeCellDecoder, reverse_gradient, shallow
from scfm.models.bmfm.label_losses import FLAT, sigmoid_sum
from scfm.models.bmfm.objectives import TARGET, Head
from scfm.models.bmfm.settings import Bmfm
from scfm.models.bmfm.view import View, make_view
from scfm.models.cells import Cells
from scfm.models.tasks import GeneTargets, Task


@dataclass
class Reconstruction:
    """Predictions at the targets: MLM [targets], WCED [cells, genes]."""

    value: Tensor
    zero_logit: Tensor


class Network(nn.Module):
    """Embedding, encoder and heads.

    Args:
        genes: size of the vocabulary.
        membership: bool [nodes, leaves] of the label tree, or None without a head of cell types.
        seed: seed of the initial weights.
        given: vectors of genes, where the settings name a file of them.
        metadata_values: of all columns, where the settings name some.
        classes: number of labels of each label group that a flat head predicts.
        lineage: bool [nodes, nodes] of the label tree, for a head of sigmoids.
    """

    def __init__(
        self,
        settings: Bmfm,
        genes: int,
        membership: Tensor | None,
        seed: int,
        given: GivenVectors | None = None,
        metadata_values: int = 0,
        classes: dict[str, int] | None = None,
        lineage: Tensor | None = None,
    ) -> None:
        super().__init__()
        width = settings.encoder.hidden
        self.settings = settings
        self.embedding = TokenEmbedding(
            genes, settings.cls_tokens, settings.input, width, given, metadata_values, settings.hides_genes
        )
        self.encoder = SetEncoder(settings.encoder)
        wced = settings.objective.kind == "wced"
        self.decoder = WholeCellDecoder(width, genes) if wced else shallow(width, 2)
        self.label_heads = nn.ModuleDict()
        sizes = {TARGET: 1} | (classes or {})
        for head in settings.heads:
            trees = {"hce": membership, "sigmoid": lineage}
            outputs = trees[head.loss].shape[1] if head.loss in trees else sizes[head.label]
            self.label_heads[head.label] = LabelHead(width, outputs, head.dropout)
        self.pooler = Pooler(width) if settings.heads and not wced else None
        self.gene_decoder = shallow(width, genes) if settings.hides_genes else None
        self.register_buffer("membership", membership, persistent=False)
        self.register_buffer("lineage", lineage, persistent=False)
        initialise(self, settings.encoder, torch.Generator().manual_seed(seed))
        if settings.encoder.cls_init == "zero":
            self.embedding.start_cls_at_zero()
        if given is not None:
            self.embedding.gene.start(given)

    def view(
        self,
        cells: Cells,
        measured: Tensor,
        generator: torch.Generator | None,
        mode: str = "train",
        gene_error: Tensor | None = None,
    ) -> View:
        """Tokens and targets of a batch: see `make_view`."""
        return make_view(cells, self.settings, measured, generator, mode, gene_error)

    def counts(self, view: View) -> dict[str, Tensor]:
        """Targets of each task in a view, as `tasks` counts them, before the forward pass."""
        above = (view.target_value > 0).sum()
        every = view.target_mask.sum() if view.target_mask is not None else above.new_tensor(view.target_value.numel())
        counts = {"value": above, "is_zero": every}
        if view.gene_position is not None:
            counts["gene"] = every.new_tensor(len(view.gene_position))
        if self.settings.objective.zero_inflated_weight:
            counts["zero_inflated"] = every
        labelled = {head.task: (view.labels[head.label] >= 0).sum() for head in self.settings.heads}
        return counts | labelled

    @staticmethod
    def gene_targets(view: View, predicted: Reconstruction) -> GeneTargets:
        """Values of genes among the targets, and what was predicted for them."""
        if view.target_mask is None:
            gene, kept = view.gene[view.target_position], slice(None)
        else:
            kept = view.target_mask.flatten().nonzero().squeeze(1)
            gene = kept % view.target_mask.shape[1]
        flat = (x.float().flatten()[kept] for x in (view.target_value, predicted.value, predicted.zero_logit))
        return GeneTargets(gene, *flat)

    @staticmethod
    @torch.no_grad()
    def count_genes(counts: Tensor, view: View) -> None:
        """Add the targets of one batch to int64 [genes]."""
        if view.target_mask is None:
            gene = view.gene[view.target_position]
            counts.index_add_(0, gene, torch.ones_like(gene))
        else:
            counts += view.target_mask.sum(0)

    def flops(self, view: View) -> Tensor:
        """Operations of a training step on the view: see `step_flops`."""
        return step_flops(self, view)

    def encode(self, view: View, rows: Rows | None = None) -> Tensor:
        """float [tokens, hidden], or [rows, hidden] of some tokens alone."""
        return self.encoder(self.embedding(view), view.starts, view.longest, rows, view.gene)

    def encode_targets(self, view: View) -> tuple[Tensor, View]:
        """Vectors of the CLS tokens and of targets, and the view with its positions among them.

        The last block then works for these tokens only, which under WCED is one or two a cell.
        """
        read = torch.zeros(len(view.gene), dtype=torch.bool, device=view.gene.device)
        read[view.cls] = True
        for target in (view.target_position, view.gene_position):
            if target is not None:
                read[target] = True
        position = read.nonzero().squeeze(1)
        place = read.cumsum(0) - 1
        counts = torch.bincount(view.cell[position], minlength=len(view.cls))
        starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).to(torch.int32)
        hidden = self.encode(view, Rows(position, starts, int(counts.max())))
        moved = {
            name: place[position]
            for name in ("target_position", "gene_position")
            if (position := getattr(view, name)) is not None
        }
        return hidden, replace(view, cls=place[view.cls], **moved)

    def reconstruct(self, hidden: Tensor, view: View) -> Reconstruction:
        """Predictions at the view's targets."""
        if self.settings.objective.kind == "wced":
            return Reconstruction(*self.decoder(hidden[view.cls[:, 0]]))
        value, zero = self.decoder(hidden[view.target_position]).unbind(1)
        return Reconstruction(value, zero)

    def label_logits(self, hidden: Tensor, view: View, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Label group to logits [cells, classes], of a number [cells, 1].

        Under MLM all heads read the pooled CLS, under WCED each its own.
        """
        pooled = self.pooler(hidden[view.cls[:, 0]]) if self.pooler else None
        logits = {}
        for k, head in enumerate(self.settings.heads, 1):
            cell = hidden[view.cls[:, k]] if pooled is None else pooled
            if head.reversal is not None:
                cell = reverse_gradient(cell, head.reversal)
            logits[head.label] = self.label_heads[head.label](cell, generator)
        return logits

    def label_sum(self, head: Head, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of a head's loss over the labelled cells, and their number."""
        if head.loss == "hce":
            return hce_sum(logits, labels, self.membership)
        if head.loss == "sigmoid":
            return sigmoid_sum(logits, labels, self.lineage)
        return FLAT[head.loss](logits, labels, head)

    def tasks(
        self, view: View, generator: torch.Generator | None = None, epoch: int = 0
    ) -> tuple[dict[str, Task], Reconstruction]:
        """Every objective of the batch, weighted as after so many epochs, and the reconstruction for tracking."""
        hidden, view = self.encode_targets(view)
        predicted = self.reconstruct(hidden, view)
        tasks = reconstruction_tasks(predicted, view, self.settings.objective)
        if self.gene_decoder is not None:
            genes = self.gene_decoder(hidden[view.gene_position]).float()
            entropy = F.cross_entropy(genes, view.gene_target, reduction="sum")
            weight = self.settings.objective.gene_weight
            tasks["gene"] = Task(entropy, entropy.new_tensor(len(genes), dtype=torch.long), weight)
        logits = self.label_logits(hidden, view, generator)
        for head in self.settings.heads:
            loss = self.label_sum(head, logits[head.label].float(), view.labels[head.label])
            tasks[head.task] = Task(*loss, head.weight_at(epoch))
        return tasks, predicted

    def pool(self, hidden: Tensor, view: View, names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Pooling name (all if None) to float [cells, hidden]; `mean` is over the gene tokens, and needs them all.

        `concat_cls`, all CLS tokens one after another, is [cells, CLS tokens x hidden].
        """
        offered = self.settings.poolings
        names = offered if names is None else names
        single = [name for name in names if name not in ("mean", "concat_cls")]
        pooled = {name: hidden[view.cls[:, offered.index(name)]] for name in single}
        if "concat_cls" in names:
            pooled["concat_cls"] = hidden[view.cls[:, : self.settings.cls_tokens]].flatten(1)
        if "mean" not in names:
            return pooled
        cells, specials = view.cls.shape
        totals = hidden.new_zeros(cells, hidden.shape[1]).index_add_(0, view.cell, hidden)
        totals = totals - hidden[view.cls].sum(1)
        return pooled | {"mean": totals / (view.starts.diff()[:, None] - specials).clamp(min=1)}


def reconstruction_tasks(predicted: Reconstruction, view: View, objective) -> dict[str, Task]:
    """Squared error over targets above 0, and is-zero cross-entropy over all (measured) targets.

    With a weight for it also the squared error of the expected value, (1 - P(zero)) · value, over all of them.
    """
    truth = view.target_value
    above = truth > 0
    squared = ((predicted.value.float() - truth) ** 2 * above).sum()
    is_zero = F.binary_cross_entropy_with_logits(predicted.zero_logit.float(), (~above).float(), reduction="none")
    if view.target_mask is None:
        zero_total, count = is_zero.sum(), above.new_tensor(above.numel(), dtype=torch.long)
    else:
        zero_total, count = (is_zero * view.target_mask).sum(), view.target_mask.sum()
    tasks = {
        "value": Task(squared, above.sum(), objective.value_weight),
        "is_zero": Task(zero_total, count, objective.zero_weight),
    }
    if objective.zero_inflated_weight:
        expected = predicted.value.float() * torch.sigmoid(-predicted.zero_logit.float())
        error = (expected - truth) ** 2
        error = error if view.target_mask is None else error * view.target_mask
        tasks["zero_inflated"] = Task(error.sum(), count, objective.zero_inflated_weight)
    return tasks
