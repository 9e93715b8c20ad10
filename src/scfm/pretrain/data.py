"""What a run takes from the corpus: its cells, its labels, and statistics of its genes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scfm.corpus import Reader
from scfm.errors import ScfmError
from scfm.models.bmfm.objectives import Flat, Head
from scfm.ontology import UNKNOWN, LabelTree, Ontology

COLUMNS = {"cell_type": "cell_type_ontology_term_id"}
"""Column of the cells that holds a label group, where it is not of its name."""


def choose_rows(cells: pd.DataFrame, split: str, fraction: float, seed: int) -> np.ndarray:
    """Rows of a split, int64, in file order; a smaller fraction is always part of a larger one.

    Raises:
        ScfmError: no cell is left.
    """
    rank = np.random.default_rng(seed).random(len(cells))
    rows = np.flatnonzero((cells["split"].to_numpy() == split) & (rank < fraction))
    if not len(rows):
        raise ScfmError(f"corpus cells.parquet: no cell in split '{split}'; change corpus.split or corpus_fraction")
    return rows


def label_tree(cells: pd.DataFrame, ontology: Ontology) -> LabelTree:
    """The ontology pruned to the corpus's labels.

    Raises:
        ScfmError: no cell has an ontology label, all labels lie on one line from the root, or a label is unknown to
            the ontology.
    """
    labels = sorted(set(cells["cell_type_ontology_term_id"]) - {UNKNOWN})
    if not labels:
        raise ScfmError("corpus cells.parquet: 'cell_type_ontology_term_id' holds no label; an HCE run needs some")
    tree = LabelTree.prune(ontology, labels)
    if len(tree.leaves) < 2:
        raise ScfmError(
            f"corpus cells.parquet: column 'cell_type_ontology_term_id' holds the single class '{tree.leaves[0]}'; "
            "an HCE run needs two or more types, none above the other"
        )
    return tree


def label_classes(cells: pd.DataFrame, rows: np.ndarray, heads: Sequence[Head]) -> dict[str, list[str]]:
    """The labels, sorted, of each label group that a flat head predicts.

    Args:
        rows: of the training cells; a label that only others have is unknown.

    Raises:
        ScfmError: the cells have no such column, or the training cells fewer than two labels in it.
    """
    classes = {}
    for head in heads:
        if not isinstance(head, Flat):
            continue
        column = COLUMNS.get(head.label, head.label)
        if column not in cells:
            raise ScfmError(f"corpus cells.parquet: no column '{column}'; remove the head '{head.label}' of the run")
        labels = sorted(set(cells[column].iloc[rows].dropna().astype(str)) - {UNKNOWN, ""})
        if len(labels) < 2:
            raise ScfmError(
                f"corpus cells.parquet: column '{column}' holds {len(labels)} known labels in the training cells, and "
                f"a head needs two; remove the head '{head.label}' of the run"
            )
        classes[head.label] = labels
    return classes


def label_codes(
    cells: pd.DataFrame, tree: LabelTree | None, classes: dict[str, list[str]] | None = None
) -> dict[str, np.ndarray]:
    """Label group to int64 [cells], its class, else node of the tree, or -1."""
    labels = ({"cell_type": tree.nodes} if tree else {}) | (classes or {})
    return {
        group: pd.Index(known).get_indexer(cells[COLUMNS.get(group, group)].astype(str)).astype(np.int64)
        for group, known in labels.items()
    }


def marginals(corpus: Reader, rows: np.ndarray, block: int = 4096) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per-gene statistics of cells: running sums only.

    Returns:
        n measured (int64), zero fraction among them (float64, 1 where never measured) and mean of
        log1p(1e4 · x / total) where above 0 (float64, 0 where never expressed), each [genes].
    """
    genes = len(corpus.genes)
    nonzero, total = np.zeros(genes), np.zeros(genes)
    rows = corpus.reading_order(rows)
    for gene, count, lengths in corpus.stream(rows[start : start + block] for start in range(0, len(rows), block)):
        cell = np.repeat(np.arange(len(lengths)), lengths)
        depth = np.bincount(cell, weights=count, minlength=len(lengths))
        nonzero += np.bincount(gene, minlength=genes)
        total += np.bincount(gene, weights=np.log1p(1e4 * count / depth[cell]), minlength=genes)
    per_dataset = np.bincount(corpus.dataset_codes[rows], minlength=len(corpus.measured))
    n = per_dataset @ corpus.measured.astype(np.int64)
    zero_fraction = 1 - np.divide(nonzero, n, out=np.zeros(genes), where=n > 0)
    return n, zero_fraction, np.divide(total, nonzero, out=np.zeros(genes), where=nonzero > 0)
