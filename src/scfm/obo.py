"""OBO files, and the check that an ontology has no gap and no cycle."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from scfm.errors import ScfmError
from scfm.reading import reading


def read_obo(path: Path, resource: str, expected: str) -> Any:
    """Read the live terms of an OBO file, gzipped or not.

    Args:
        resource: name of the resource the file belongs to, for messages.
        expected: what the file should be, for messages.

    Returns:
        A networkx MultiDiGraph: terms with their tags as data; edges from child to parent, keyed by the relation
        (is_a, part_of, ...).

    Raises:
        ScfmError: the file is missing or not OBO, or `must_be_whole` finds a fault in its is_a edges.
    """
    import obonet

    with reading(path, resource, expected):
        graph = obonet.read_obo(str(path))
    # What is only pointed at has no tags.
    parents = {term: data.get("is_a", ()) for term, data in graph.nodes(data=True) if data}
    must_be_whole(path, parents, expected)
    return graph


def must_be_whole(path: Path, parents: Mapping[str, Iterable[str]], expected: str) -> None:
    """Check that every parent is a term and that no term is its own ancestor.

    Args:
        path: file that was read, for messages.
        parents: term to the terms above it; those of other ontologies, such as UBERON above CL, may be missing.
        expected: what the file should be, for messages.

    Raises:
        ScfmError: a parent is no term, or there is a cycle.
    """
    for term, above in parents.items():
        for parent in above:
            if parent not in parents and _space(parent) == _space(term):
                raise ScfmError(f"{path}: '{parent}', parent of '{term}', is no live term of it; expected {expected}")
    try:
        TopologicalSorter(parents).prepare()
    except CycleError as error:
        cycle = " is_a ".join(reversed(error.args[1]))
        raise ScfmError(f"{path}: a term is its own ancestor ({cycle}); expected {expected}") from error


def _space(term: str) -> str:
    """CL of CL:0000000."""
    return term.rpartition(":")[0]
