"""What of a model is explained: one number for each cell, from the vectors of its tokens."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.model import Model
from scfm.models.bmfm.objectives import TARGET

if TYPE_CHECKING:
    import torch

    from scfm.models.bmfm.view import View

Score = Callable[["torch.Tensor", "View"], "torch.Tensor"]
"""Vectors of all tokens and the view to float [cells]."""
Target = str | np.ndarray
GENE, CELL_TYPE = "gene:", "cell_type"


def score_of(model: Model, target: Target, pooling: str) -> tuple[str, Score]:
    """What is explained, in words, and the function that gives it.

    Args:
        target: id or name of a term of the model; `group:label` of another label head, e.g. `tissue:blood`; the column
            of the number that a model predicts; `gene:CD19` for the gene's expected value under WCED; or a direction,
            float [width], in the space of `pooling`.

    Raises:
        ScfmError: the model has no such term, label, gene or pooling, every cell has the term, or the direction is of
            another width or zero.
    """
    if isinstance(target, np.ndarray):
        return f"direction in {pooling}", _along(model, target, pooling)
    if target == model.about.get(TARGET, {}).get("column"):
        return f"{target} in its unit", _number(model)
    if target.startswith(GENE):
        return f"expected value of {target.removeprefix(GENE)}", _gene(model, target.removeprefix(GENE))
    group, _, label = target.partition(":")
    if label and label in model.classes.get(group, []):
        own = np.array(model.classes[group]) == label
        return f"log-odds of {label} ({group})", _log_odds(model, group, own, lambda logits: logits)
    return _term(model, target)


def _term(model: Model, target: str) -> tuple[str, Score]:
    """Log-odds of a term of the label tree, whose probability is that of the leaves at or below it."""
    from scfm.models.bmfm.label_losses import leaf_probabilities

    model.must_annotate()
    tree = model.tree
    ids = [term for term in tree.nodes if target in (term, tree.names[term])]
    if not ids:
        raise ScfmError(
            f"target: '{target}' is no term of the model; expected one of its {len(tree.nodes)} Cell Ontology ids or "
            "names, group:label, gene:symbol, or a direction"
        )
    inside = tree.membership[tree.row[ids[0]]]
    if inside.all():
        raise ScfmError(f"target: every type of the model is {tree.names[ids[0]]}; name a term below it")
    head = next(head for head in model.network.settings.heads if head.label == CELL_TYPE)
    classes = model.classes.get(CELL_TYPE, [])

    def leaf_logs(logits: "torch.Tensor") -> "torch.Tensor":
        if head.loss == "hce":  # the softmax's own logits, which never underflow
            return logits
        return leaf_probabilities(logits, head.loss, tree, classes).clamp_min(1e-38).log()

    return f"log-odds of {tree.names[ids[0]]} ({ids[0]})", _log_odds(model, CELL_TYPE, inside, leaf_logs)


def _log_odds(model: Model, group: str, inside: np.ndarray, logs: Callable) -> Score:
    """log P − log(1 − P) of some columns of what `logs` makes of a head's logits, both up to a constant."""
    import torch

    own, others = (torch.from_numpy(np.flatnonzero(part)).to(model.device) for part in (inside, ~inside))

    def score(hidden: "torch.Tensor", view: "View") -> "torch.Tensor":
        values = logs(model.network.label_logits(hidden, view)[group].float())
        return values[:, own].logsumexp(1) - values[:, others].logsumexp(1)

    return score


def _number(model: Model) -> Score:
    """The number that a fine-tuned model predicts, less its mean over the training cells."""
    sd = model.about[TARGET]["sd"]

    def score(hidden: "torch.Tensor", view: "View") -> "torch.Tensor":
        return sd * model.network.label_logits(hidden, view)[TARGET][:, 0].float()

    return score


def _along(model: Model, direction: np.ndarray, pooling: str) -> Score:
    """Length of a cell's vector along a direction."""
    import torch

    model.must_offer([pooling])
    width = model.network.settings.encoder.hidden
    width *= model.network.settings.cls_tokens if pooling == "concat_cls" else 1
    length = np.linalg.norm(direction)
    if direction.shape != (width,) or not 0 < length < np.inf:
        raise ScfmError(f"target: a direction of shape {direction.shape}, length {length:g}; expected {width} numbers")
    unit = torch.from_numpy((direction / length).astype(np.float32)).to(model.device)

    def score(hidden: "torch.Tensor", view: "View") -> "torch.Tensor":
        return model.network.pool(hidden.float(), view, [pooling])[pooling] @ unit

    return score


def _gene(model: Model, symbol: str) -> Score:
    """Expected value of a gene, (1 − P(zero)) · value, by the decoder that reads the CLS."""
    if model.network.settings.objective.kind != "wced":
        raise ScfmError(f"target: run '{model.about['run']}' predicts no whole cell; explain a gene by a WCED run")
    index = int(model.find([symbol])[0])
    if index < 0:
        raise ScfmError(f"target: gene '{symbol}' is not in the model's vocabulary; name a human symbol or Ensembl id")

    def score(hidden: "torch.Tensor", view: "View") -> "torch.Tensor":
        predicted = model.network.reconstruct(hidden, view)
        return predicted.value[:, index].float() * (-predicted.zero_logit[:, index].float()).sigmoid()

    return score
