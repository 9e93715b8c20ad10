"""The Gene Ontology graph (OBO)."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scfm.annotation.absent import NotInFile
from scfm.errors import ScfmError
from scfm.obo import read_obo


@dataclass(frozen=True)
class GeneOntology:
    """Live terms and the edges between them."""

    path: Path
    """File that was read, for messages."""
    primary: dict[str, str]
    """Every live id and every alternative id to the id of the live term."""
    children: dict[str, dict[str, tuple[str, ...]]]
    """Relation (is_a, part_of, ...) to term to the terms that stand in it to that term."""

    @classmethod
    def read(cls, path: Path) -> "GeneOntology":
        """Read go-basic.obo, gzipped or not.

        Raises:
            ScfmError: the file is missing, not OBO, or holds no GO term; a parent is no term of it, or a term its own
                ancestor.
        """
        graph = read_obo(path, "gene_ontology", "go-basic.obo")
        primary: dict[str, str] = {}
        for term, data in graph.nodes(data=True):
            if term.startswith("GO:") and "name" in data:
                primary[term] = term
                primary.update(dict.fromkeys(data.get("alt_id", ()), term))
        if not primary:
            raise ScfmError(f"{path}: no GO term found; expected go-basic.obo with terms such as GO:0008150")
        children: dict[str, dict[str, list[str]]] = {}
        for child, parent, relation in graph.edges(keys=True):
            children.setdefault(relation, {}).setdefault(parent, []).append(child)
        return cls(path, primary, {r: {p: tuple(c) for p, c in below.items()} for r, below in children.items()})

    def resolve(self, term: str) -> str:
        """The live id of a term that may be given by an alternative id.

        Raises:
            NotInFile: the ontology has no such term.
        """
        if term not in self.primary:
            raise NotInFile(
                f"{term}: not a live term of {self.path}; correct the rule or use the release that holds the term"
            )
        return self.primary[term]

    def descendants(self, term: str, relations: Iterable[str]) -> set[str]:
        """The term itself and all terms that reach it along `relations`.

        Raises:
            NotInFile: the ontology has no such term, or no edge of such a relation.
        """
        relations = tuple(relations)
        unknown = [relation for relation in relations if relation not in self.children]
        if unknown:
            raise NotInFile(
                f"relations: '{unknown[0]}' occurs nowhere in {self.path}; "
                f"choose from {', '.join(sorted(self.children))}"
            )
        reached: set[str] = set()
        stack = [self.resolve(term)]
        while stack:
            current = stack.pop()
            if current not in reached:
                reached.add(current)
                for relation in relations:
                    stack.extend(self.children[relation].get(current, ()))
        return reached
