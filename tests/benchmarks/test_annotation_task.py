from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scfm.benchmarks.metrics.hierarchy import depths, hierarchical_prf, level_accuracy, lineages, relation
from scfm.benchmarks.ontology import MEASURES, annotate
from scfm.benchmarks.task_settings import OntologyTask
from scfm.errors import ScfmError
from scfm.ontology import LabelTree, Ontology

Write = Callable[..., Path]

# cell ── lymphocyte ── T ── CD4, CD8, NKT;  lymphocyte ── NK ── NKT;  cell ── neuron.  CD4 naive lies below CD4.
PARENTS = {
    "CL:0": (),
    "lymphocyte": ("CL:0",),
    "T": ("lymphocyte",),
    "NK": ("lymphocyte",),
    "CD4": ("T",),
    "CD8": ("T",),
    "NKT": ("T", "NK"),
    "neuron": ("CL:0",),
    "CD4 naive": ("CD4",),
    "B": ("lymphocyte",),
}
ONTOLOGY = Ontology({term: term for term in PARENTS}, PARENTS)
TREE = LabelTree.prune(ONTOLOGY, ["CD4", "CD8", "NKT", "neuron", "T"])
ROW = {node: i for i, node in enumerate(TREE.nodes)}


class Model:
    """Gives each cell the leaf probabilities that its first count names."""

    tree: LabelTree | None = TREE

    def __init__(self, *answers: dict[str, float]) -> None:
        self.answers = answers

    def node_probabilities(self, adata: object, *, values: str) -> np.ndarray:
        assert values == "counts"
        leaves = [[answer.get(leaf, 0.0) for leaf in TREE.leaves] for answer in self.answers]
        return np.array(leaves, dtype=np.float32)[adata.X.toarray()[:, 0].astype(int) - 1]


def run(prepared: Write, truth: list[str], answers: list[dict], levels: tuple[int, ...] = (1, 2, 3)) -> tuple:
    matrix = np.arange(1, len(truth) + 1)[:, None]
    path = prepared("d", matrix=matrix, cell_type_ontology_term_id=truth)
    return annotate(Model(*answers), [path], ONTOLOGY, OntologyTask(levels=levels), study="s", run="r", seed=0)


def values(table: pd.DataFrame) -> dict[str, float]:
    return table.set_index("metric")["value"].to_dict()


def test_relations() -> None:
    ancestors = {term: ONTOLOGY.ancestors(term) for term in PARENTS}
    assert relation("T", "T", ancestors) == "exact"
    assert relation("T", "NKT", ancestors) == "finer"
    assert relation("CD4 naive", "CD4", ancestors) == "coarser"
    assert relation("CD4", "CD8", ancestors) == "off-lineage"


def test_planted_answers(prepared: Write) -> None:
    truth = ["CD4", "CD4", "T", "T", "neuron", "NK"]
    answers = [{leaf: 1.0} for leaf in ["CD4", "CD8", "CD8", "neuron", "neuron", "NKT"]]
    tidy, _, _ = run(prepared, truth, answers)
    ours = values(tidy)
    # Right: CD4, T by CD8, neuron, NK by NKT.
    assert ours["accuracy"] == pytest.approx(4 / 6)
    assert ours["greedy_accuracy"] == pytest.approx(4 / 6)
    assert ours["truth_probability"] == pytest.approx(4 / 6)
    # CD4: precision 1, recall 1/2; T: 1, 1/2; neuron: 1/2, 1; NK: 1, 1.
    assert ours["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 2 / 3 + 1) / 4)
    shares = {name: ours[f"share_{name}"] for name in ("exact", "finer", "coarser", "off_lineage")}
    assert shares == pytest.approx({"exact": 2 / 6, "finer": 2 / 6, "coarser": 0, "off_lineage": 2 / 6})
    assert ours["in_tree"] == 1


def test_accuracy_at_levels_leaves_coarser_truth_out(prepared: Write) -> None:
    truth = ["CD4", "T", "neuron", "lymphocyte"]
    answers = [{leaf: 1.0} for leaf in ["CD8", "neuron", "neuron", "CD4"]]
    table = run(prepared, truth, answers)[0].set_index("metric")
    # Level 1, lymphocyte or neuron: only T is wrong. Level 2, T or NK: CD4 right, T wrong. Level 3: CD4 wrong.
    assert table.loc[["accuracy_level_1", "accuracy_level_2", "accuracy_level_3"], "value"].tolist() == [
        3 / 4,
        1 / 2,
        0,
    ]
    assert table.loc[["accuracy_level_1", "accuracy_level_2", "accuracy_level_3"], "n"].tolist() == [4, 2, 1]


def test_a_level_that_no_truth_reaches_is_undefined(prepared: Write) -> None:
    table = run(prepared, ["CD4"], [{"CD4": 1.0}], levels=(9,))[0].set_index("metric")
    assert np.isnan(table.loc["accuracy_level_9", "value"])
    assert table.loc["accuracy_level_9", "n"] == 0


def test_with_several_ancestors_at_a_level_all_of_the_truth_are_needed() -> None:
    above, depth, one = lineages(TREE), depths(TREE), np.array([1])

    def accuracy(true: str, predicted: str) -> float:
        return level_accuracy(above, depth, 2, np.array([ROW[true]]), np.array([ROW[predicted]]), one)[0]

    assert accuracy("CD4", "NKT") == 1  # T is shared
    assert accuracy("NKT", "CD4") == 0  # NK is missing


def test_depth_is_the_longest_path() -> None:
    assert dict(zip(TREE.nodes, depths(TREE), strict=True)) == {
        **{"CL:0": 0, "lymphocyte": 1, "neuron": 1, "T": 2, "NK": 2, "CD4": 3, "CD8": 3, "NKT": 3}
    }


def test_lineages_agree_with_the_tree() -> None:
    above = lineages(TREE)
    for node in TREE.nodes:
        assert {TREE.nodes[i] for i in np.flatnonzero(above[ROW[node]])} == TREE.ancestors(node) | {node}


def test_hierarchical_figures_by_hand() -> None:
    roots = np.array([not TREE.parents[node] for node in TREE.nodes])
    true, predicted = (np.array([ROW[term] for term in terms]) for terms in (["CD4", "T"], ["CD8", "neuron"]))
    # {CD4, T, lymphocyte} against {CD8, T, lymphocyte}: 2 in common, 3 cells; {T, lymphocyte} against {neuron}: 0.
    figures = hierarchical_prf(lineages(TREE), roots, true, predicted, np.array([3, 1]))
    precision, recall = 6 / (9 + 1), 6 / (9 + 2)
    assert figures == pytest.approx((precision, recall, 2 * precision * recall / (precision + recall)))


def test_types_outside_the_tree_count_in_the_shares_only(prepared: Write) -> None:
    truth = ["CD4", "CD4 naive", "CD4 naive", "B"]
    answers = [{leaf: 1.0} for leaf in ["CD4", "CD4", "neuron", "CD8"]]
    table = run(prepared, truth, answers)[0].set_index("metric")
    assert table.loc["accuracy", ["value", "n"]].tolist() == [1, 1]
    assert table.loc["in_tree", ["value", "n"]].tolist() == [1 / 4, 4]
    assert table.loc["share_coarser", ["value", "n"]].tolist() == [1 / 4, 4]
    assert table.loc["share_off_lineage", "value"] == 2 / 4


def test_no_type_in_the_tree_leaves_measures_undefined(prepared: Write) -> None:
    table = run(prepared, ["B", "B"], [{"CD4": 1.0}] * 2)[0].set_index("metric")
    assert table.loc[[*MEASURES, "accuracy_level_1"], "value"].isna().all()
    assert set(table.loc[list(MEASURES), "n"]) == {0}
    assert table.loc["share_off_lineage", "value"] == 1


def test_unknown_cells_are_left_out(prepared: Write) -> None:
    tidy, types, nodes = run(prepared, ["unknown", "CD4", "unknown"], [{"neuron": 1}, {"CD4": 1}, {"neuron": 1}])
    assert set(tidy.loc[tidy["metric"].isin([*MEASURES, "in_tree"]), "n"]) == {1}
    assert types["n"].tolist() == [1, 1]
    assert set(nodes["true_id"]) == {"CD4"}


def test_leaf_and_greedy_decoding_can_differ(prepared: Write) -> None:
    # Neuron is the best single leaf, but lymphocyte holds more probability together.
    answer = {"CD4": 0.35, "CD8": 0.25, "neuron": 0.4}
    tidy, types, nodes = run(prepared, ["T"], [answer])
    assert values(tidy)["accuracy"] == 0
    assert values(tidy)["greedy_accuracy"] == 1
    assert values(tidy)["truth_probability"] == pytest.approx(0.6)
    predicted = types.set_index("decode")[["predicted_id", "relation"]]
    assert predicted.loc["leaf"].tolist() == ["neuron", "off-lineage"]
    assert predicted.loc["greedy"].tolist() == ["CD4", "finer"]
    probability = nodes.set_index("node_id")["probability"]
    assert probability[["CL:0", "lymphocyte", "T", "NK"]].tolist() == pytest.approx([1, 0.6, 0.6, 0])
    assert nodes.loc[nodes["greedy"] == 1, "node_id"].tolist() == ["CL:0", "lymphocyte", "T", "CD4"]


def test_a_leaf_below_two_parents_counts_once(prepared: Write) -> None:
    nodes = run(prepared, ["NKT"], [{"NKT": 1.0}])[2].set_index("node_id")
    assert nodes.loc[["NKT", "T", "NK", "lymphocyte", "CL:0"], "probability"].tolist() == [1] * 5


def test_datasets_not_asked_are_passed_over(prepared: Write) -> None:
    path = prepared("a", matrix=np.ones((1, 1)), cell_type_ontology_term_id="CD4")
    other = prepared("b", matrix=np.ones((1, 1)), uns_tasks="probe")
    settings, whose = OntologyTask(), {"study": "s", "run": "r", "seed": 0}
    tidy, _, _ = annotate(Model({"CD4": 1}), [path, other], ONTOLOGY, settings, **whose)
    assert set(tidy["dataset"]) == {"a"}
    with pytest.raises(ScfmError, match="none of the datasets is asked for ontology"):
        annotate(Model({"CD4": 1}), [other], ONTOLOGY, settings, **whose)


def test_bad_input_is_one_sentence(prepared: Write) -> None:
    whose = {"study": "s", "run": "r", "seed": 0}
    path = prepared("d", matrix=np.ones((1, 1)), cell_type_ontology_term_id="CL:9999999")
    with pytest.raises(ScfmError, match="'CL:9999999' is not a live term"):
        annotate(Model({"CD4": 1}), [path], ONTOLOGY, OntologyTask(), **whose)
    with pytest.raises(ScfmError, match="dataset 'e': no cell has an ontology id"):
        annotate(Model({"CD4": 1}), [prepared("e", matrix=np.ones((1, 1)))], ONTOLOGY, OntologyTask(), **whose)
    flat = Model({"CD4": 1})
    flat.tree = None
    with pytest.raises(ScfmError, match="run 'r': the model has no ontology head"):
        annotate(flat, [path], ONTOLOGY, OntologyTask(), **whose)
    older = Ontology({"CL:0": "cell"}, {"CL:0": ()})
    with pytest.raises(ScfmError, match="label tree is not in the Cell Ontology given"):
        annotate(Model({"CD4": 1}), [path], older, OntologyTask(), **whose)
