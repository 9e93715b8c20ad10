"""Lingshu-Cell as a system of the study: from a corpus to a network, and back from a model directory."""

from collections.abc import Iterator, Mapping

import pandas as pd
import torch
from torch import Tensor

from scfm.errors import ScfmError
from scfm.models.lingshu.conditions import condition_codes, condition_names, stacked
from scfm.models.lingshu.network import Network
from scfm.models.lingshu.predict import predict as predict
from scfm.models.lingshu.sampling import Asked
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


def condition_values(network: Network) -> dict[str, list[str]]:
    """Column of each condition to the values that training saw."""
    return network.conditions.names


def generate(
    network: Network, number: int, condition: Mapping[str, str], steps: int | None, generator: torch.Generator
) -> Iterator[Tensor]:
    """Counts of so many cells, int64 [chunk, genes]; conditions that are not named have no value.

    Raises:
        ScfmError: a column that is no condition, a value that training did not see, and what
            `scfm.models.lingshu.sampling.generate` raises.
    """
    conditions, names = network.settings.conditions, network.conditions.names
    if strange := sorted(set(condition) - set(names)):
        raise ScfmError(f"condition: '{strange[0]}' is none of this model; choose among {', '.join(names) or 'none'}")
    codes = condition_codes(pd.DataFrame([dict(condition)]), names, conditions, strict=True)
    asked = stacked({name: torch.from_numpy(code) for name, code in codes.items()}, conditions, torch.empty(1))
    return network.generate(number, Asked(asked[0], steps), generator)
