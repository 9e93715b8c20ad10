"""TFClass, the classification of human transcription factors by DNA-binding domain."""

import gzip
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from scfm.errors import ScfmError
from scfm.obo import read_obo
from scfm.reading import reading

GENUS = re.compile(r"\d(?:\.\d+){4}")
"""A TFClass id of genus level: superclass.class.family.subfamily.genus."""

REFERENCES = {
    "uniprot": re.compile(r'UNIPROT:(\w+)(?: "HUMAN"|$)'),
    "ensembl": re.compile(r"ENSEMBL(?:_GeneID)?:(ENSG\d+)"),
}
"""Kind of cross-reference to its form: in OBO with the organism after a UniProt id, in turtle with the factor's."""

NAMESPACE = "http://sybig.de/tfclass#"
HUMAN = f"{NAMESPACE}tf_9606"
"""Class of all human factors."""


def read_tfclass(path: Path) -> pd.DataFrame:
    """Read a TFClass release, gzipped or not: genus labels (.csv, 2018), ontology as OBO (.obo, 2014) or turtle (.ttl).

    Returns:
        One row per genus and name: superclass (int, 0 to 9), kind ("first_label", "label", "uniprot" or "ensembl"),
        name. The table of labels has no cross-references.

    Raises:
        ScfmError: the file is missing, of another format, or holds no genus.
    """
    path = Path(path)
    formats = {".csv": _labels, ".obo": _ontology, ".ttl": _turtle}
    ending = Path(path.name.removesuffix(".gz")).suffix
    if ending not in formats:
        raise ScfmError(f"{path}: unknown TFClass format; expected .csv, .obo or .ttl, gzipped or not")
    with reading(path, "tfclass", "a release of TFClass"):
        rows = formats[ending](path)
    if not rows:
        raise ScfmError(f"{path}: no genus found; expected ids of five levels such as 1.1.1.1.1")
    return pd.DataFrame(rows, columns=["superclass", "kind", "name"]).drop_duplicates(ignore_index=True)


def _labels(path: Path) -> list[tuple[int, str, str]]:
    """Rows of `id;label label ...`."""
    table = pd.read_csv(path, sep=";", header=None, usecols=[0, 1], dtype=str, keep_default_na=False)
    table.columns = ["id", "labels"]
    table = table[table["id"].str.fullmatch(GENUS.pattern)]
    return [row for key, labels in table.itertuples(index=False) for row in _named(key, labels.split())]


def _named(key: str, labels: list[str]) -> list[tuple[int, str, str]]:
    return [(int(key[0]), "label" if i else "first_label", label) for i, label in enumerate(labels)]


def _ontology(path: Path) -> list[tuple[int, str, str]]:
    """Genera of the OBO file: names outside and inside brackets as labels, human UniProt and Ensembl ids."""
    graph = read_obo(path, "tfclass", "a release of TFClass")
    rows = []
    for key, data in graph.nodes(data=True):
        if not GENUS.fullmatch(key):
            continue
        rows += _named(key, _words(data.get("name", "")))
        rows += _referenced(key, data.get("xref", ()))
    return rows


def _words(name: str) -> list[str]:
    return [label for label in re.split(r"[\s,()]+", name) if label]


def _referenced(key: str, references: Iterable[str]) -> list[tuple[int, str, str]]:
    found = ((kind, pattern.match(text)) for text in references for kind, pattern in REFERENCES.items())
    return [(int(key[0]), kind, match[1]) for kind, match in found if match]


def _turtle(path: Path) -> list[tuple[int, str, str]]:
    """Genera of the RDF file that hold a human factor: their labels, the factor's name and cross-references.

    A factor is a subclass of its species' class and of a restriction that names its genus.
    """
    from rdflib import OWL, RDFS, URIRef

    graph = _parsed(path)
    rows = []
    for factor in graph.subjects(RDFS.subClassOf, URIRef(HUMAN)):
        named = graph.objects(factor, RDFS.subClassOf / OWL.someValuesFrom)
        for genus in named:
            key = str(genus).removeprefix(NAMESPACE)
            if GENUS.fullmatch(key):
                rows += _named(key, _words(str(graph.value(genus, RDFS.label, default=""))))
                rows += [(int(key[0]), "label", str(label)) for label in graph.objects(factor, RDFS.label)]
                rows += _referenced(key, map(str, graph.objects(factor, URIRef(f"{NAMESPACE}xref"))))
    return sorted(rows)


def _parsed(path: Path) -> Any:
    """The rdflib Graph of a turtle file."""
    import rdflib

    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as handle:
        try:
            return rdflib.Graph().parse(handle, format="turtle")
        except SyntaxError as error:
            raise ValueError("not turtle") from error
