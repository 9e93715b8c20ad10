"""BMFM as a system of the study: from a corpus to a network, and back from a model directory."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from scfm.corpus import Reader, marginals
from scfm.errors import ScfmError
from scfm.models.bmfm.gene_vectors import GivenVectors, read_gene_vectors, vectors_among
from scfm.models.bmfm.labels import label_classes, label_codes, label_tree
from scfm.models.bmfm.metadata import metadata_codes, metadata_values
from scfm.models.bmfm.network import Network
from scfm.models.bmfm.perturbation import perturbed_genes
from scfm.models.bmfm.selection import most_tokens
from scfm.models.bmfm.settings import Bmfm
from scfm.models.prepared import Material, Prepared
from scfm.ontology import LabelTree

MOST_MARGINALS = 100_000
"""Training cells of the marginals at which a decoder starts."""


def prepare(settings: Bmfm, material: Material, seed: int) -> Prepared:
    """The network at its start, and labels of all cells of the corpus.

    Raises:
        ScfmError: no label for a head, no known value of a metadata column, unusable gene vectors.
    """
    corpus, rows = material.corpus, material.rows
    tree = label_tree(corpus.cells, material.ontology) if settings.names_cell_types else None
    values = metadata_values(corpus.cells, rows, settings.input.metadata)
    classes = label_classes(corpus.cells, rows, settings.heads)
    labels = label_codes(corpus.cells, tree, classes) | metadata_codes(corpus.cells, values)
    vectors, genes = settings.input.gene_vectors, corpus.genes
    given = read_gene_vectors(vectors.file, genes["gene"].tolist(), genes["ensembl"].tolist()) if vectors else None
    network = _network(settings, len(genes), tree, seed, given, values, classes)
    if settings.objective.kind == "wced" and settings.objective.marginal_init:
        _, zero_fraction, mean = marginals(corpus, rows[:MOST_MARGINALS])
        network.decoder.start_at_marginals(torch.from_numpy(zero_fraction).float(), torch.from_numpy(mean).float())
    return Prepared(
        network=network,
        labels=labels | _perturbed(settings, corpus),
        tree=tree,
        classes=classes,
        about={"metadata": values} if values else {},
        remarks=(f"{len(given.gene):,} of {len(genes):,} genes have given vectors",) if given else (),
        digest=given.gene.numpy().tobytes() + given.vector.numpy().tobytes() if given else b"",
    )


def restore(
    settings: Bmfm,
    weights: dict[str, Tensor],
    genes: int,
    about: dict,
    tree: LabelTree | None,
    classes: dict[str, list[str]],
) -> Network:
    """The network of a model directory, before its weights are loaded.

    Args:
        weights: as they are stored. genes: size of the vocabulary. about: `config.json`.

    Raises:
        ValueError, LookupError: the parts do not belong together.
    """
    return _network(settings, genes, tree, 0, vectors_among(weights), about.get("metadata", {}), classes)


def tokens(settings: Bmfm, cells: pd.DataFrame) -> np.ndarray:
    """int64 [cells]: most tokens of each cell in training."""
    return most_tokens(cells["n_genes"].to_numpy(np.int64), settings)


def _network(
    settings: Bmfm,
    genes: int,
    tree: LabelTree | None,
    seed: int,
    given: GivenVectors | None,
    values: dict,
    classes: dict,
) -> Network:
    trees = [torch.from_numpy(table) for table in (tree.membership, tree.lineage)] if tree else [None, None]
    sizes = {group: len(names) for group, names in classes.items()}
    return Network(settings, genes, trees[0], seed, given, sum(map(len, values.values())), sizes, trees[1])


def _perturbed(settings: Bmfm, corpus: Reader) -> dict[str, np.ndarray]:
    perturbation = settings.input.perturbation
    if perturbation is None:
        return {}
    perturbed = perturbed_genes(corpus.cells, corpus.genes["gene"].tolist(), perturbation)
    if not (perturbed >= 0).any():
        raise ScfmError(
            f"corpus cells.parquet: column '{perturbation.column}' (input.perturbation) is missing or names no gene of "
            "the vocabulary; expected symbols joined by '+'"
        )
    return {perturbation.column: perturbed}
