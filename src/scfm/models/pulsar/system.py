"""PULSAR as a system of the study: from a corpus and its cell vectors to a network, and back from a model directory."""

import numpy as np
import pandas as pd
from torch import Tensor

from scfm.corpus import Reader
from scfm.errors import ScfmError
from scfm.models.grouping import group_codes
from scfm.models.prepared import Material, Prepared
from scfm.models.pulsar.change import fit_change as fit_change
from scfm.models.pulsar.network import Network
from scfm.models.pulsar.settings import Pulsar
from scfm.ontology import UNKNOWN, LabelTree


def prepare(settings: Pulsar, material: Material, seed: int) -> Prepared:
    """The network at its start, the cells' vectors and donors, and the labels of its objectives.

    Raises:
        ScfmError: vectors of another width, a column that is missing or of one value, a simulation of conditions.
    """
    corpus, vectors = material.corpus, material.vectors
    if vectors.shape[1] != settings.width:
        raise ScfmError(f"cell vectors: {vectors.shape[1]} wide, model.width is {settings.width}; set it to that")
    if settings.film:
        raise ScfmError("model.film: the corpus has no vectors of conditions; fit it on a trained model, see its docs")
    classes = {
        name: _classes(corpus, material.rows, name) for name, kind in settings.label_kinds.items() if kind == "class"
    }
    labels = {
        name: pd.Index(classes[name]).get_indexer(corpus.cells[name].astype(str)).astype(np.int64)
        if name in classes
        else pd.to_numeric(_column(corpus, name), errors="coerce").to_numpy(np.float32)
        for name in settings.label_kinds
    }
    return Prepared(
        network=_network(settings, classes, seed),
        labels={"vector": vectors} | labels,
        groups=group_codes(corpus.cells, settings.donors),
        set_cells=settings.sampling.cells,
        one_set=True,
        classes=classes,
    )


def restore(
    settings: Pulsar,
    weights: dict[str, Tensor],
    genes: int,
    about: dict,
    tree: LabelTree | None,
    classes: dict[str, list[str]],
) -> Network:
    """The network of a model directory, before its weights are loaded; of the rest only `classes` is read."""
    return _network(settings, classes, seed=0)


def _network(settings: Pulsar, classes: dict[str, list[str]], seed: int) -> Network:
    return Network(settings, genes=0, datasets=0, seed=seed, classes={name: len(own) for name, own in classes.items()})


def _column(corpus: Reader, name: str) -> pd.Series:
    if name not in corpus.cells:
        raise ScfmError(f"corpus cells.parquet: no column '{name}' of the donors; remove its head or alignment")
    return corpus.cells[name]


def _classes(corpus: Reader, rows: np.ndarray, name: str) -> list[str]:
    """The labels of a column in the training cells, sorted."""
    known = sorted(set(_column(corpus, name).iloc[rows].dropna().astype(str)) - {UNKNOWN, ""})
    if len(known) < 2:
        raise ScfmError(
            f"corpus cells.parquet: column '{name}' holds {len(known)} known labels in the training cells, and its "
            "objective needs two; remove its head or alignment"
        )
    return known
