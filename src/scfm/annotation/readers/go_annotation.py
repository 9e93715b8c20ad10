"""Gene associations of the Gene Ontology (GAF 2.2)."""

import csv
import gzip
from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.reading import reading

COLUMNS = {2: "symbol", 3: "qualifier", 4: "term", 6: "evidence", 12: "taxon"}
"""Position in a GAF 2.2 row to our name for the column."""
HUMAN = r"taxon:9606(\||$)"
"""A row's own taxon comes first; a second one is that of an organism it interacts with."""


def read_gaf(path: Path) -> pd.DataFrame:
    """Read the human associations that hold: rows of other taxa or with a NOT qualifier are left out.

    Returns:
        One row per association, all columns categorical: symbol (as the provider writes it), term (GO id), evidence
        (code).

    Raises:
        ScfmError: the file is missing, damaged, not GAF 2, or holds no human gene.
    """
    path = Path(path)
    with reading(path, "go_annotation", "GAF 2.2"):
        text = {"sep": "\t", "dtype": "category", "keep_default_na": False, "quoting": csv.QUOTE_NONE}
        table = pd.read_csv(path, header=None, skiprows=_header_lines(path), usecols=list(COLUMNS), **text)
    table = table.rename(columns=COLUMNS)
    if not table["term"].cat.categories.str.startswith("GO:").all():
        raise ScfmError(f"{path}: column 5 holds something else than GO ids; expected GAF 2.2")
    taxa = table["taxon"].cat.categories
    human = table.pop("taxon").isin(taxa[taxa.str.match(HUMAN)])
    if not human.any():
        found = ", ".join(taxa[:3])
        raise ScfmError(f"{path}: holds no human gene but {found}; expected associations of taxon:9606")
    qualifiers = table["qualifier"].cat.categories
    negative = qualifiers[qualifiers.str.match(r"NOT(\||$)")]
    return table.loc[human & ~table.pop("qualifier").isin(negative)].drop_duplicates(ignore_index=True)


def _header_lines(path: Path) -> int:
    """Number of comment lines at the top; the first must name GAF version 2."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as handle:
        first = handle.readline()
        if not first.startswith("!gaf-version: 2"):
            raise ScfmError(f"{path}: the first line is not '!gaf-version: 2.x'; expected GAF 2.2")
        return 1 + next((i for i, line in enumerate(handle) if not line.startswith("!")), 0)
