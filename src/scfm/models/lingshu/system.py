"""Lingshu-Cell as a system of the study: from a corpus to a network, and back from a model directory."""

from torch import Tensor

from scfm.models.lingshu.conditions import condition_codes, condition_names
from scfm.models.lingshu.network import Network
from scfm.models.lingshu.predict import predict as predict
from scfm.models.lingshu.settings import Lingshu
from scfm.models.prepared import Material, Prepared
from scfm.ontology import LabelTree


def prepare(settings: Lingshu, material: Material, seed: int) -> Prepared:
    """The network at its start, and codes of the conditions of all cells.

    Raises:
        ScfmError: the cells lack a column that `conditions` names, or it has no value or no control.
    """
    cells = material.corpus.cells
    names = condition_names(cells, material.rows, settings.conditions)
    return Prepared(
        network=Network(settings, len(material.corpus.genes), names, seed),
        labels=condition_codes(cells, names, settings.conditions),
        about={"conditions": names} if names else {},
    )


def restore(
    settings: Lingshu,
    weights: dict[str, Tensor],
    genes: int,
    about: dict,
    tree: LabelTree | None,
    classes: dict[str, list[str]],
) -> Network:
    """The network of a model directory, before its weights are loaded; `about` holds the values of its conditions."""
    return Network(settings, genes, about.get("conditions", {}), seed=0)
