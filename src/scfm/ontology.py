"""The Cell Ontology, and the part of it that a corpus's labels span."""

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from scfm.errors import ScfmError
from scfm.obo import must_be_whole, read_obo
from scfm.reading import reading

UNKNOWN = "unknown"
EXPECTED = "the Cell Ontology as OBO, or the JSON of CELLxGENE's ontology guide"


@dataclass(frozen=True)
class Ontology:
    """A directed acyclic graph of terms, is_a edges only."""

    names: dict[str, str]
    """Term id to name."""
    parents: dict[str, tuple[str, ...]]
    """Term id to the ids of its direct parents."""

    @classmethod
    def read(cls, path: Path) -> "Ontology":
        """Read an OBO file or the JSON of CELLxGENE's ontology guide, gzipped or not.

        Raises:
            ScfmError: the file is missing, of another format, or holds no term; a parent is no term of it, or a term
                its own ancestor.
        """
        path = Path(path)
        readers = {".json": _read_guide, ".obo": _read_obo}
        ending = Path(path.name.removesuffix(".gz")).suffix
        if ending not in readers:
            raise ScfmError(f"{path}: unknown ontology format; expected .obo or .json, gzipped or not")
        names, parents = readers[ending](path)
        if not names:
            raise ScfmError(f"{path}: no ontology term found; expected terms such as CL:0000000")
        return cls(names, {term: tuple(p for p in above if p in names) for term, above in parents.items()})

    def ancestors(self, term: str) -> set[str]:
        """All terms above `term`, itself excluded."""
        return _reach(self.parents, term)

    def descendants(self, term: str) -> set[str]:
        """All terms below `term`, itself excluded."""
        return _reach(self._children, term)

    @cached_property
    def _children(self) -> dict[str, tuple[str, ...]]:
        return _reverse(self.parents)


def _read_obo(path: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Names and parents of the live terms; parents may be of another ontology."""
    graph = read_obo(path, "cell_ontology", EXPECTED)
    terms = {term: data for term, data in graph.nodes(data=True) if data}
    names = {term: data.get("name", term) for term, data in terms.items()}
    return names, {term: data.get("is_a", []) for term, data in terms.items()}


def _read_guide(path: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The same from the JSON of CELLxGENE's ontology guide."""
    opener = gzip.open if path.suffix == ".gz" else open
    with reading(path, "cell_ontology", EXPECTED):
        with opener(path, "rt") as handle:
            terms = json.load(handle)
        rows = terms.values() if isinstance(terms, dict) else [None]
        if not all(isinstance(data, dict) and {"label", "ancestors"} <= set(data) for data in rows):
            raise ValueError("no mapping from terms to label and ancestors")
    live = {term: data for term, data in terms.items() if not data.get("deprecated")}
    parents = {term: [p for p, distance in data["ancestors"].items() if distance == 1] for term, data in live.items()}
    must_be_whole(path, parents, EXPECTED)
    return {term: data["label"] for term, data in live.items()}, parents


@dataclass(frozen=True)
class LabelTree:
    """The ontology pruned to a corpus: its labels, everything above them, nothing below.

    A DAG rather than a tree; the field's word is kept. Probabilities live on the leaves; a node's
    probability is the sum over the leaves at or below it, each leaf counted once.
    """

    names: dict[str, str]
    parents: dict[str, tuple[str, ...]]

    @classmethod
    def prune(cls, ontology: Ontology, labels: Iterable[str]) -> "LabelTree":
        """Repeatedly drop leaves that are not labels, which keeps exactly the labels and their ancestors.

        Args:
            labels: term ids; "unknown" is passed over.

        Raises:
            ScfmError: a label is not a term of the ontology.
        """
        wanted = sorted(set(labels) - {UNKNOWN})
        strange = [label for label in wanted if label not in ontology.names]
        if strange:
            raise ScfmError(
                f"cell_type_ontology_term_id: '{strange[0]}' is not a live term of the Cell Ontology; "
                f"correct the label, use '{UNKNOWN}', or configure the release that holds it"
            )
        kept = set(wanted).union(*(ontology.ancestors(label) for label in wanted))
        return cls(
            {term: ontology.names[term] for term in sorted(kept)},
            {term: ontology.parents[term] for term in sorted(kept)},
        )

    @cached_property
    def depth(self) -> dict[str, int]:
        """Term id to the steps of its longest way up to a root."""
        depth: dict[str, int] = {}

        def deepest(term: str) -> int:
            if term not in depth:
                depth[term] = 1 + max((deepest(parent) for parent in self.parents[term]), default=-1)
            return depth[term]

        for term in self.parents:
            deepest(term)
        return depth

    @cached_property
    def nodes(self) -> list[str]:
        """All terms, ancestors before descendants, ties by id."""
        return sorted(self.parents, key=lambda term: (self.depth[term], term))

    @cached_property
    def row(self) -> dict[str, int]:
        """Term id to its place among the nodes."""
        return {term: i for i, term in enumerate(self.nodes)}

    @cached_property
    def children(self) -> dict[str, tuple[str, ...]]:
        """Term id to its direct children."""
        return _reverse(self.parents)

    @cached_property
    def leaves(self) -> list[str]:
        """Terms without children, sorted by id."""
        return sorted(term for term in self.parents if not self.children[term])

    @cached_property
    def membership(self) -> np.ndarray:
        """Bool [nodes, leaves]: the leaf is the node or lies below it."""
        column = {leaf: i for i, leaf in enumerate(self.leaves)}
        table = np.zeros((len(self.nodes), len(self.leaves)), dtype=bool)
        for row, node in enumerate(self.nodes):
            below = _reach(self.children, node) | {node}
            table[row, [column[term] for term in below if term in column]] = True
        return table

    @cached_property
    def lineage(self) -> np.ndarray:
        """Bool [nodes, nodes]: the second is the first or lies above it."""
        column = {node: i for i, node in enumerate(self.nodes)}
        table = np.eye(len(self.nodes), dtype=bool)
        for row, node in enumerate(self.nodes):
            table[row, [column[term] for term in self.ancestors(node)]] = True
        return table

    def ancestors(self, term: str) -> set[str]:
        """All terms above `term`, itself excluded."""
        return _reach(self.parents, term)

    def leaf_argmax(self, leaf_probabilities: np.ndarray) -> list[str]:
        """The most probable leaf of each cell. Input float [cells, leaves]."""
        return [self.leaves[i] for i in leaf_probabilities.argmax(1)]

    def greedy(self, leaf_probabilities: np.ndarray) -> list[list[str]]:
        """For each cell the path from the root down, at each node to its most probable child.

        Input float [cells, leaves]; ties go to the smaller id.
        """
        node_probabilities = leaf_probabilities @ self.membership.T
        row = {node: i for i, node in enumerate(self.nodes)}
        roots = tuple(node for node in self.nodes if not self.parents[node])
        paths = []
        for probabilities in node_probabilities:
            path, options = [], roots
            while options:
                best = max(sorted(options), key=lambda term: probabilities[row[term]])
                path.append(best)
                options = self.children[best]
            paths.append(path)
        return paths

    def to_json(self) -> dict:
        """A plain mapping for `labels.json`."""
        return {"names": self.names, "parents": {term: list(above) for term, above in self.parents.items()}}

    @classmethod
    def from_json(cls, data: dict) -> "LabelTree":
        """The inverse of `to_json`."""
        return cls(dict(data["names"]), {term: tuple(above) for term, above in data["parents"].items()})


def _reverse(parents: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    children: dict[str, list[str]] = {term: [] for term in parents}
    for term in sorted(parents):
        for parent in parents[term]:
            children[parent].append(term)
    return {term: tuple(below) for term, below in children.items()}


def _reach(edges: dict[str, tuple[str, ...]], start: str) -> set[str]:
    """Everything reachable from `start` along `edges`, itself excluded."""
    seen: set[str] = set()
    stack = list(edges[start])
    while stack:
        term = stack.pop()
        if term not in seen:
            seen.add(term)
            stack.extend(edges[term])
    return seen
