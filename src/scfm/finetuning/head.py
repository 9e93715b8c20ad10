"""A pretrained model with a fresh head in the place of those it had."""

import torch
from torch import Tensor

from scfm.finetuning.settings import Finetuning
from scfm.model import Model
from scfm.models.bmfm.gene_vectors import vectors_among
from scfm.models.bmfm.network import Network
from scfm.models.bmfm.objectives import TARGET, Focal, Squared

LABEL = "cell_type"
"""Label group of a head of labels."""


def with_fresh_head(model: Model, learnt: list[str] | dict, settings: Finetuning, seed: int) -> Model:
    """A model of its own that shares nothing with `model`, on its device.

    Everything but the label heads is copied. The CLS token of the new head, where the network has one for each head,
    starts as the copy of the CLS token, so that the head first reads the pretrained cell embedding.

    Args:
        learnt: names of the labels, in the order of the logits; or the number, as `standardised` describes it.
        seed: of the initial weights of the head.
    """
    old = model.network.settings
    if isinstance(learnt, dict):
        head, classes, target = Squared(loss="squared", dropout=settings.dropout), {}, {TARGET: learnt}
    else:
        head = Focal(label=LABEL, loss="focal", gamma=settings.gamma, dropout=settings.dropout)
        classes, target = {LABEL: learnt}, {}
    tokens = settings.tokens or old.input.inference_tokens
    limited = old.input.model_copy(update={"inference_tokens": min(tokens, old.input.inference_tokens)})
    new = old.model_copy(update={"heads": [head], "input": limited})
    weights = {name: tensor.detach().cpu() for name, tensor in model.network.state_dict().items()}
    metadata_values = sum(map(len, model.about.get("metadata", {}).values()))
    sizes = {"metadata_values": metadata_values, "classes": {group: len(names) for group, names in classes.items()}}
    network = Network(new, len(model.genes), None, seed, vectors_among(weights), **sizes)
    specials = model.network.embedding.specials
    for name, first in (("gene", len(weights["embedding.gene.weight"]) - specials), ("special", 2)):
        table = weights[f"embedding.{name}.weight"]
        weights[f"embedding.{name}.weight"] = _cls_copied(table, first, old.cls_tokens, new.cls_tokens)
    fresh = network.state_dict()
    shared = {name: tensor for name, tensor in weights.items() if not name.startswith("label_heads.") and name in fresh}
    network.load_state_dict(fresh | shared)
    pretrained = {key: value for key, value in model.about.items() if key != TARGET}
    about = pretrained | target | {"settings": model.about["settings"] | {"model": new.model_dump(mode="json")}}
    network = network.to(model.device).eval()
    return Model(network, model.gene_table, None, about, classes, precision=model.asked_precision)


def _cls_copied(table: Tensor, first: int, old: int, new: int) -> Tensor:
    """The rows of a table with as many of CLS tokens, from row `first` on, as asked for, all as the first was."""
    return torch.cat([table[:first], table[first : first + 1].expand(new, -1), table[first + old :]])
