"""CellPLM as a system of the study: from a corpus to a network, and back from a model directory."""

import numpy as np
import torch
from torch import Tensor

from scfm.corpus import mean_counts
from scfm.models.cellplm.network import Network
from scfm.models.cellplm.settings import Cellplm
from scfm.models.grouping import group_codes
from scfm.models.prepared import Material, Prepared
from scfm.ontology import LabelTree

PLACES = ("x", "y")
"""Columns of the cells with their coordinates."""
MOST_MEANS = 100_000
"""Training cells of the means at which the decoder starts."""


def prepare(settings: Cellplm, material: Material, seed: int) -> Prepared:
    """The network at its start, the groups whose cells are read together, and coordinates where there are some.

    Raises:
        ScfmError: the cells have no column that `sets.by` names.
    """
    corpus = material.corpus
    datasets = len(corpus.datasets)
    network = Network(settings, len(corpus.genes), datasets, seed)
    network.start_at_means(torch.from_numpy(mean_counts(corpus, material.rows[:MOST_MEANS])).float())
    places = {name: corpus.cells[name].to_numpy(np.float32) for name in PLACES if name in corpus.cells}
    return Prepared(
        network=network,
        labels=places,
        groups=group_codes(corpus.cells, settings.sets.by),
        set_cells=settings.sets.cells,
        about={"datasets": datasets},
    )


def restore(
    settings: Cellplm,
    weights: dict[str, Tensor],
    genes: int,
    about: dict,
    tree: LabelTree | None,
    classes: dict[str, list[str]],
) -> Network:
    """The network of a model directory, before its weights are loaded; `weights`, `tree` and `classes` are not read.

    Raises:
        LookupError: `about` says nothing of the datasets.
    """
    return Network(settings, genes, about["datasets"], seed=0)
