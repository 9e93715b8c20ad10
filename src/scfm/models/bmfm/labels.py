"""Labels of the corpus that heads predict."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.models.bmfm.objectives import Flat, Head
from scfm.ontology import UNKNOWN, LabelTree, Ontology

COLUMNS = {"cell_type": "cell_type_ontology_term_id"}
"""Column of the cells that holds a label group, where it is not of its name."""


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
