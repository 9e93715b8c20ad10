"""Measures of annotation on the label tree, from counts of (true term, predicted leaf)."""

import numpy as np

from scfm.ontology import LabelTree

RELATIONS = ("exact", "finer", "coarser", "off-lineage")


def relation(true: str, predicted: str, ancestors: dict[str, set[str]]) -> str:
    """One of `RELATIONS`: how the predicted term lies to the true one.

    Args:
        ancestors: term to all terms above it, for both terms.
    """
    if predicted == true:
        return "exact"
    if true in ancestors[predicted]:
        return "finer"
    return "coarser" if predicted in ancestors[true] else "off-lineage"


def lineages(tree: LabelTree) -> np.ndarray:
    """Bool [nodes, nodes]: row's term has the column's term at or above it."""
    row = {node: i for i, node in enumerate(tree.nodes)}
    table = np.eye(len(tree.nodes), dtype=bool)
    # Parents come before their children in `nodes`.
    for node in tree.nodes:
        for parent in tree.parents[node]:
            table[row[node]] |= table[row[parent]]
    return table


def depths(tree: LabelTree) -> np.ndarray:
    """Int [nodes]: length of the longest path from a root, so that a term has an ancestor at every depth above."""
    depth: dict[str, int] = {}
    for node in tree.nodes:
        depth[node] = 1 + max((depth[parent] for parent in tree.parents[node]), default=-1)
    return np.array([depth[node] for node in tree.nodes])


def level_accuracy(
    above: np.ndarray, depth: np.ndarray, level: int, true: np.ndarray, predicted: np.ndarray, counts: np.ndarray
) -> tuple[float, int]:
    """(accuracy, cells) with true and predicted terms mapped to their ancestors at one depth.

    Cells whose true term is coarser than that are left out. A term of a directed acyclic graph may have several
    ancestors at one depth: the prediction is right if it has all those of the truth.

    Args:
        above: what `lineages` returns.
        depth: what `depths` returns.
        true, predicted: node numbers [pairs].
        counts: cells of each pair [pairs].
    """
    at_level = depth == level
    wanted, given = above[true] & at_level, above[predicted] & at_level
    deep = wanted.any(1)
    cells = int(counts[deep].sum())
    right = ~(wanted & ~given).any(1)
    return (float(counts[deep & right].sum() / cells) if cells else float("nan")), cells


def hierarchical_prf(
    above: np.ndarray, roots: np.ndarray, true: np.ndarray, predicted: np.ndarray, counts: np.ndarray
) -> tuple[float, float, float]:
    """Hierarchical precision, recall and F1: overlap of the sets {term and its ancestors}, roots out, micro.

    Args:
        above: what `lineages` returns.
        roots: bool [nodes], terms that belong to no set.
        true, predicted: node numbers [pairs].
        counts: cells of each pair [pairs].

    Source: Kiritchenko, Matwin, Famili 2005.
    """
    sets = above & ~roots
    common = counts @ (sets[true] & sets[predicted]).sum(1)
    size_true, size_predicted = counts @ sets[true].sum(1), counts @ sets[predicted].sum(1)
    precision = common / size_predicted if size_predicted else float("nan")
    recall = common / size_true if size_true else float("nan")
    f1 = 2 * common / (size_true + size_predicted) if size_true + size_predicted else float("nan")
    return float(precision), float(recall), float(f1)


def lenient_macro_f1(true: np.ndarray, predicted: np.ndarray, counts: np.ndarray, at_or_below: np.ndarray) -> float:
    """Macro F1 over the true types, a prediction at or below the true type counted as the true type.

    Args:
        true, predicted: term of each pair [pairs].
        counts: cells of each pair [pairs].
        at_or_below: bool [pairs], the prediction is the truth or below it.
    """
    from sklearn.metrics import f1_score

    counted = np.where(at_or_below, true, predicted)
    types = np.unique(true)
    return float(f1_score(true, counted, labels=types, average="macro", sample_weight=counts, zero_division=0))
