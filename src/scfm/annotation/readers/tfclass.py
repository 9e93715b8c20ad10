"""TFClass, the classification of human transcription factors by DNA-binding domain."""

import re
from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.reading import reading

GENUS = re.compile(r"\d(?:\.\d+){4}")
"""A TFClass id of genus level: superclass.class.family.subfamily.genus."""

REFERENCES = {"UNIPROT": re.compile(r'UNIPROT:(\w+) "HUMAN"'), "ENSEMBL": re.compile(r"ENSEMBL:(ENSG\d+)")}


def read_tfclass(path: Path) -> pd.DataFrame:
    """Read a TFClass release: the 2018 table of genus labels (.csv) or the 2014 ontology (.obo), gzipped or not.

    Returns:
        One row per genus and name: superclass (int, 0 to 9), kind ("first_label", "label", "uniprot" or "ensembl"),
        name. The table of labels has no cross-references.

    Raises:
        ScfmError: the file is missing, of another format, or holds no genus.
    """
    path = Path(path)
    formats = {".csv": _labels, ".obo": _ontology}
    ending = Path(path.name.removesuffix(".gz")).suffix
    if ending not in formats:
        raise ScfmError(f"{path}: unknown TFClass format; expected the genus labels as .csv or the ontology as .obo")
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
    import obonet

    graph = obonet.read_obo(str(path))
    rows = []
    for key, data in graph.nodes(data=True):
        if not GENUS.fullmatch(key):
            continue
        rows += _named(key, [label for label in re.split(r"[\s,()]+", data.get("name", "")) if label])
        for source, pattern in REFERENCES.items():
            found = [match[1] for match in map(pattern.match, data.get("xref", ())) if match]
            rows += [(int(key[0]), source.lower(), name) for name in found]
    return rows
