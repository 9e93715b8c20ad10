import gzip
import json

import networkx as nx
import numpy as np
import pytest

from scfm.errors import ScfmError
from scfm.ontology import LabelTree, Ontology

OBO = """format-version: 1.2
ontology: tiny

[Term]
id: CL:0000000
name: cell

[Term]
id: CL:0000001
name: left
is_a: CL:0000000 ! cell

[Term]
id: CL:0000002
name: right
is_a: CL:0000000 ! cell

[Term]
id: CL:0000003
name: both
is_a: CL:0000001 ! left
is_a: CL:0000002 ! right
relationship: part_of CL:0000009 ! elsewhere

[Term]
id: CL:0000004
name: under both
is_a: CL:0000003 ! both
is_a: CL:0000002 ! right

[Term]
id: CL:0000005
name: only right
is_a: CL:0000002 ! right
is_a: UBERON:0000001 ! of another ontology

[Term]
id: CL:0000006
name: gone
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""
NAMES = {
    "CL:0000000": "cell",
    "CL:0000001": "left",
    "CL:0000002": "right",
    "CL:0000003": "both",
    "CL:0000004": "under both",
    "CL:0000005": "only right",
}
PARENTS = {
    "CL:0000000": set(),
    "CL:0000001": {"CL:0000000"},
    "CL:0000002": {"CL:0000000"},
    "CL:0000003": {"CL:0000001", "CL:0000002"},
    "CL:0000004": {"CL:0000002", "CL:0000003"},
    "CL:0000005": {"CL:0000002"},
}


def ancestors_with_distance(term):
    """What CELLxGENE's guide lists: every ancestor with its shortest distance."""
    found, level, distance = {}, {term}, 0
    while level:
        level, distance = set().union(*(PARENTS[t] for t in level)), distance + 1
        found = dict.fromkeys(level, distance) | found
    return found


@pytest.fixture(params=["tiny.obo", "tiny.obo.gz", "tiny.json", "tiny.json.gz"])
def path(request, tmp_path):
    guide = {t: {"label": NAMES[t], "ancestors": ancestors_with_distance(t), "deprecated": False} for t in NAMES}
    guide["CL:0000006"] = {"label": "gone", "ancestors": {}, "deprecated": True}
    text = OBO if ".obo" in request.param else json.dumps(guide)
    path = tmp_path / request.param
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.fixture
def ontology():
    return Ontology(NAMES, {term: tuple(sorted(above)) for term, above in PARENTS.items()})


def test_both_formats_give_live_terms_and_direct_parents(path):
    ontology = Ontology.read(path)
    assert ontology.names == NAMES
    assert {term: set(above) for term, above in ontology.parents.items()} == PARENTS


def test_ancestors_and_descendants(ontology):
    assert ontology.ancestors("CL:0000004") == {"CL:0000000", "CL:0000001", "CL:0000002", "CL:0000003"}
    assert ontology.descendants("CL:0000001") == {"CL:0000003", "CL:0000004"}
    assert ontology.ancestors("CL:0000000") == ontology.descendants("CL:0000005") == set()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"", "expected .obo or .json"),
        ("x.json", b"{", "cannot be read"),
        ("x.json", b"[1, 2]", "cannot be read"),
        ("x.json", b'{"CL:0000000": {"label": "cell"}}', "cannot be read"),
        ("x.json", b"{}", "no ontology term"),
        ("x.json.gz", b"plain", "cannot be read"),
        ("x.json.gz", gzip.compress(b"{}" * 1000, mtime=0)[:-9], "cannot be read"),
        ("x.obo", b"", "no ontology term"),
        ("x.obo", b"<html>not found</html>", "x.obo"),
        ("x.obo.gz", b"plain", "cannot be read"),
    ],
)
def test_a_wrong_file_is_a_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScfmError, match=message) as error:
        Ontology.read(tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("above", "message"),
    [("CL:0000009", "'CL:0000009', parent of 'CL:0000001', is no live term"), ("CL:0000003", "its own ancestor")],
)
def test_a_gap_or_a_cycle_is_a_sentence(tmp_path, above, message):
    terms = {"CL:0000001": above, "CL:0000002": "UBERON:0000001", "CL:0000003": "CL:0000001"}
    obo = "".join(f"[Term]\nid: {term}\nname: x\nis_a: {parent}\n\n" for term, parent in terms.items())
    guide = {term: {"label": "x", "ancestors": {parent: 1}} for term, parent in terms.items()}
    for name, text in (("a.obo", f"ontology: cl\n\n{obo}"), ("a.json", json.dumps(guide))):
        (tmp_path / name).write_text(text)
        with pytest.raises(ScfmError, match=message) as caught:
            Ontology.read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(ScfmError, match=r"no\.obo: file not found"):
        Ontology.read(tmp_path / "no.obo")


def pruned_by_repetition(labels):
    """The rule as stated: drop leaves that are not labels until none is left."""
    kept = dict(PARENTS)
    while True:
        inner = set().union(*kept.values())
        drop = [term for term in kept if term not in inner and term not in labels]
        if not drop:
            return kept
        kept = {term: above for term, above in kept.items() if term not in drop}


@pytest.mark.parametrize(
    "labels", [{"CL:0000004"}, {"CL:0000003"}, {"CL:0000001", "CL:0000005"}, {"CL:0000000"}, set(NAMES)], ids=len
)
def test_pruning_drops_leaves_that_are_no_labels(ontology, labels):
    tree = LabelTree.prune(ontology, [*labels, "unknown"])
    expected = pruned_by_repetition(labels)
    assert {term: set(above) for term, above in tree.parents.items()} == expected
    assert tree.names == {term: NAMES[term] for term in expected}
    assert set(tree.leaves) == set(expected) - set().union(*expected.values())
    assert LabelTree.from_json(json.loads(json.dumps(tree.to_json()))) == tree


def test_a_label_that_is_no_live_term_is_an_error(ontology):
    with pytest.raises(ScfmError, match="'CL:0000006' is not a live term"):
        LabelTree.prune(ontology, ["CL:0000001", "CL:0000006"])


@pytest.fixture
def tree(ontology):
    return LabelTree.prune(ontology, ["CL:0000001", "CL:0000004", "CL:0000005"])


def test_nodes_come_after_their_ancestors(tree):
    place = {node: i for i, node in enumerate(tree.nodes)}
    assert set(place) == set(NAMES)
    assert all(place[parent] < place[node] for node in place for parent in tree.parents[node])


def test_membership_is_the_leaf_at_or_below_the_node(tree):
    assert tree.leaves == ["CL:0000004", "CL:0000005"]
    graph = nx.DiGraph((parent, node) for node, above in tree.parents.items() for parent in above)
    expected = [[leaf == node or nx.has_path(graph, node, leaf) for leaf in tree.leaves] for node in tree.nodes]
    np.testing.assert_array_equal(tree.membership, expected)
    assert tree.membership.dtype == bool


def test_leaf_argmax(tree):
    assert tree.leaf_argmax(np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])) == [
        "CL:0000004",
        "CL:0000005",
        "CL:0000004",
    ]


def test_greedy_goes_to_the_most_probable_child_and_the_smaller_id_on_ties(tree):
    right = ["CL:0000000", "CL:0000002"]
    assert tree.greedy(np.array([[0.4, 0.6]])) == [[*right, "CL:0000005"]]
    # All mass below "left" as well as below "right": a tie, which the smaller id wins.
    assert tree.greedy(np.array([[1.0, 0.0]])) == [["CL:0000000", "CL:0000001", "CL:0000003", "CL:0000004"]]
    # Under "right" three children compete: "both" and "under both" with 0.5 each, "only right" with 0.5.
    assert tree.greedy(np.array([[0.5, 0.5]])) == [[*right, "CL:0000003", "CL:0000004"]]


def test_greedy_and_argmax_may_differ():
    parents = {"a": (), "b": ("a",), "c": ("a",), "d": ("b",), "e": ("b",), "f": ("c",)}
    tree = LabelTree({term: term for term in parents}, parents)
    probabilities = np.array([[0.3, 0.3, 0.4]])  # d, e, f
    assert tree.leaf_argmax(probabilities) == ["f"]
    assert tree.greedy(probabilities) == [["a", "b", "d"]]


def test_a_forest_starts_at_its_most_probable_root():
    parents = {"a": (), "b": (), "c": ("b",), "d": ("b",)}
    tree = LabelTree({term: term for term in parents}, parents)
    assert tree.greedy(np.array([[0.4, 0.3, 0.3], [0.7, 0.2, 0.1]])) == [["b", "c"], ["a"]]


@pytest.mark.parametrize("name", ["cl_cellxgene_v2026-03-26.json.gz", "cl-basic_2022-11-25.obo.gz"])
def test_published_releases_of_the_cell_ontology(mirror_folder, name):
    ontology = Ontology.read(mirror_folder / "annotation" / name)
    t_cell = "CL:0000084"
    assert ontology.names[t_cell] == "T cell"
    assert {"CL:0000542", "CL:0000988"} <= ontology.ancestors(t_cell)  # lymphocyte, hematopoietic cell
    assert "CL:0000624" in ontology.descendants(t_cell)  # CD4-positive, alpha-beta T cell
    graph = nx.DiGraph((parent, node) for node, above in ontology.parents.items() for parent in above)
    assert nx.is_directed_acyclic_graph(graph)
    tree = LabelTree.prune(ontology, [t_cell, "CL:0000236"])
    assert tree.leaves == ["CL:0000084", "CL:0000236"]
    assert tree.membership[tree.nodes.index("CL:0000000")].all()
