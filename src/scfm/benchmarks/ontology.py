"""Zero-shot annotation: a model's own label head, judged on the Cell Ontology."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from scfm.benchmarks.metrics.hierarchy import (
    RELATIONS,
    depths,
    hierarchical_prf,
    lenient_macro_f1,
    level_accuracy,
    lineages,
    relation,
)
from scfm.benchmarks.read import asked, read_prepared, task_of
from scfm.benchmarks.results import Measurement, tidy
from scfm.benchmarks.seen import mark_seen
from scfm.benchmarks.task_settings import OntologyTask
from scfm.errors import ScfmError
from scfm.ontology import UNKNOWN, LabelTree, Ontology

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

POOLING = "head"
"""What stands in the column `pooling`: the label head reads what it was trained on."""

MEASURES = (
    "accuracy",
    "macro_f1",
    "hierarchical_precision",
    "hierarchical_recall",
    "hierarchical_f1",
    "truth_probability",
    "greedy_accuracy",
)
"""Measures over the cells whose true type is in the model's tree; accuracy at each level follows them."""


class Annotator(Protocol):
    """A model with a label tree."""

    tree: LabelTree | None

    def node_probabilities(self, adata: "AnnData", *, values: str) -> np.ndarray:
        """Probabilities of the tree's leaves, float [cells, leaves]."""
        ...


@dataclass(frozen=True)
class Answers:
    """What a model says of the labelled cells of one dataset."""

    tree: LabelTree
    truth: np.ndarray
    """Term ids of the ontology [cells], at least one cell."""
    leaves: np.ndarray
    """Probabilities, float [cells, leaves]."""
    best: list[str]
    """The most probable leaf of each cell."""
    paths: list[list[str]]
    """The greedy path of each cell, root first."""


def annotate(
    model: Annotator,
    paths: Sequence[Path],
    ontology: Ontology,
    settings: OntologyTask,
    seen: "pd.DataFrame | None" = None,
    **whose: object,
) -> "tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]":
    """Annotate every prepared dataset that is asked for the task.

    Cells of unknown type are left out everywhere. A true type that is a term of the ontology but not of the model's
    tree cannot be named by the model, nor can anything below it: such cells are left out of every measure but the
    shares, where a leaf above the true type is "coarser" and any other "off-lineage". `n` says how many cells count.

    Args:
        ontology: the release that the datasets' ids belong to.
        seen: what `scfm.benchmarks.contamination.contamination` returns, to mark datasets that the run has seen.
        whose: study, run and seed for the tables.

    Returns:
        Tidy rows (`MEASURES`, accuracy_level_<k>, in_tree = share of cells whose true type is in the tree, share_exact,
        share_finer, share_coarser, share_off_lineage); what `predictions_by_type` and what `nodes_by_type` return, with
        study, run, seed and dataset.

    Raises:
        ScfmError: the model has no label tree, no dataset is asked for the task, a dataset has no cell with an
            ontology id, an id is not a live term of the ontology.
    """
    import pandas as pd

    _check_tree(model.tree, ontology, whose.get("run"))
    tables: tuple[list, list, list] = ([], [], [])
    for path in paths:
        adata = read_prepared(path)
        facts = adata.uns["scfm"]
        if not asked(facts, "ontology"):
            continue
        if seen is not None:
            mark_seen(adata, seen, str(whose["run"]))
        labelled = adata[(adata.obs["cell_type_ontology_term_id"].astype(str) != UNKNOWN).to_numpy()]
        truth = labelled.obs["cell_type_ontology_term_id"].astype(str).to_numpy()
        _check_truth(truth, ontology, str(facts["name"]))
        leaves = np.asarray(model.node_probabilities(labelled, values=str(facts["values"])))
        answers = Answers(model.tree, truth, leaves, model.tree.leaf_argmax(leaves), model.tree.greedy(leaves))
        context = {**whose, "dataset": str(facts["name"])}
        more = {"pooling": POOLING, "task": task_of(facts, "ontology"), "contaminated": str(facts["contaminated"])}
        tables[0].append(tidy(measure(answers, ontology, settings), **context, **more))
        tables[1].append(predictions_by_type(answers, ontology).assign(**context))
        tables[2].append(nodes_by_type(answers).assign(**context))
    if not tables[0]:
        raise ScfmError("none of the datasets is asked for ontology; add 'ontology' to the tasks of one")
    return tuple(pd.concat(parts, ignore_index=True) for parts in tables)


def _check_tree(tree: LabelTree | None, ontology: Ontology, run: object) -> None:
    if tree is None:
        raise ScfmError(f"run '{run}': the model has no ontology head; name a run trained with cell types")
    strange = [term for term in tree.nodes if term not in ontology.names]
    if strange:
        raise ScfmError(
            f"run '{run}': term '{strange[0]}' of the model's label tree is not in the Cell Ontology given; "
            "give the release that the model was trained with"
        )


def _check_truth(truth: np.ndarray, ontology: Ontology, dataset: str) -> None:
    strange = sorted(set(truth) - set(ontology.names))
    if strange:
        raise ScfmError(
            f"dataset '{dataset}': cell type '{strange[0]}' is not a live term of the Cell Ontology; correct it, use "
            f"'{UNKNOWN}', or configure the release that holds it"
        )
    if not len(truth):
        raise ScfmError(
            f"dataset '{dataset}': no cell has an ontology id; take 'ontology' off its tasks or name the right column"
        )


def measure(answers: Answers, ontology: Ontology, settings: OntologyTask) -> list[Measurement]:
    """Every measure of one dataset; what no cell counts for is NaN with n = 0."""
    truth = answers.truth
    inside = np.flatnonzero(np.isin(truth, answers.tree.nodes))
    names = (*MEASURES, *(f"accuracy_level_{level}" for level in settings.levels))
    named = _named_types(answers, inside, settings) if len(inside) else [Measurement(name, np.nan, 0) for name in names]
    coverage = Measurement("in_tree", len(inside) / len(truth), len(truth))
    return [*named, coverage, *_shares(answers, ontology)]


def _named_types(answers: Answers, inside: np.ndarray, settings: OntologyTask) -> list[Measurement]:
    """Measures over the cells whose true type is in the tree, `inside` their row numbers."""
    tree, truth = answers.tree, answers.truth[inside]
    row = {node: i for i, node in enumerate(tree.nodes)}
    above, depth = lineages(tree), depths(tree)
    true, predicted, counts = _pairs(truth, np.array(answers.best)[inside])
    t, p = (np.array([row[term] for term in terms]) for terms in (true, predicted))
    right = above[p, t]
    truth_rows = [row[term] for term in truth]
    ends = [row[answers.paths[cell][-1]] for cell in inside]
    roots = np.array([not tree.parents[node] for node in tree.nodes])
    values = (
        counts[right].sum() / len(inside),
        lenient_macro_f1(true, predicted, counts, right),
        *hierarchical_prf(above, roots, t, p, counts),
        (answers.leaves[inside] * tree.membership[truth_rows]).sum(1).mean(),
        above[ends, truth_rows].mean(),
    )
    rows = [Measurement(name, float(value), len(inside)) for name, value in zip(MEASURES, values, strict=True)]
    for level in settings.levels:
        accuracy, deep = level_accuracy(above, depth, level, t, p, counts)
        rows.append(Measurement(f"accuracy_level_{level}", accuracy, deep))
    return rows


def _pairs(true: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(true term, predicted term, cells) of every pair that occurs, sorted."""
    import pandas as pd

    table = pd.DataFrame({"true": true, "predicted": predicted}).groupby(["true", "predicted"]).size().reset_index()
    return tuple(table[column].to_numpy() for column in table)


def _shares(answers: Answers, ontology: Ontology) -> list[Measurement]:
    table = _related(ontology, *_pairs(answers.truth, np.array(answers.best)))
    cells, total = table.groupby("relation")["n"].sum(), len(answers.truth)
    return [
        Measurement(f"share_{name.replace('-', '_')}", float(cells.get(name, 0) / total), total) for name in RELATIONS
    ]


def _related(ontology: Ontology, true: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> "pd.DataFrame":
    import pandas as pd

    ancestors = {term: ontology.ancestors(term) for term in {*true, *predicted}}
    return pd.DataFrame(
        {
            "true_id": true,
            "true_name": [ontology.names[term] for term in true],
            "predicted_id": predicted,
            "predicted_name": [ontology.names[term] for term in predicted],
            "relation": [relation(t, p, ancestors) for t, p in zip(true, predicted, strict=True)],
            "n": counts,
        }
    )


def predictions_by_type(answers: Answers, ontology: Ontology) -> "pd.DataFrame":
    """Cells by true type and prediction, for both decodings (figures 3A and 3C).

    Columns: decode ("leaf": most probable leaf; "greedy": end of the greedy path), true_id, true_name, in_tree,
    predicted_id, predicted_name, relation, n; most frequent predictions of a type first.
    """
    import pandas as pd

    parts = []
    for decode, predicted in {"leaf": answers.best, "greedy": [path[-1] for path in answers.paths]}.items():
        table = _related(ontology, *_pairs(answers.truth, np.array(predicted)))
        table.insert(0, "decode", decode)
        table.insert(3, "in_tree", table["true_id"].isin(answers.tree.nodes))
        parts.append(table.sort_values(["true_id", "n"], ascending=[True, False], kind="stable"))
    return pd.concat(parts, ignore_index=True)


def nodes_by_type(answers: Answers) -> "pd.DataFrame":
    """Mean probability of every node for the cells of each true type (figure 3B), and greedy paths (3C).

    Columns: true_id, n, node_id, node_name, depth, probability, greedy (share of the cells whose greedy path goes
    through the node); nodes in the order of the tree.
    """
    import pandas as pd

    tree = answers.tree
    row = {node: i for i, node in enumerate(tree.nodes)}
    on_path = np.zeros((len(answers.truth), len(tree.nodes)), dtype=bool)
    for cell, path in enumerate(answers.paths):
        on_path[cell, [row[node] for node in path]] = True
    nodes = pd.DataFrame({"node_id": tree.nodes, "node_name": [tree.names[node] for node in tree.nodes]})
    nodes["depth"], parts = depths(tree), []
    for term in np.unique(answers.truth):
        cells = answers.truth == term
        probability = answers.leaves[cells].mean(0, dtype=np.float64) @ tree.membership.T
        part = nodes.assign(probability=probability, greedy=on_path[cells].mean(0))
        part.insert(0, "true_id", term)
        part.insert(1, "n", int(cells.sum()))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
