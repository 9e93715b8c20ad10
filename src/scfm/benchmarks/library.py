"""The compound library of a drug screen: what each catalogue number is."""

from pathlib import Path
from typing import TYPE_CHECKING

from scfm.datasets import UNKNOWN
from scfm.errors import ScfmError
from scfm.reading import reading

if TYPE_CHECKING:
    import pandas as pd

NUMBER, PATHWAY = "Catalog.Number", "Pathway"


def read_library(path: Path) -> "pd.Series":
    """Pathway by catalogue number, unique, of a table such as Selleck's (drugProperties_short.tsv of sci-Plex).

    Raises:
        ScfmError: the file is missing or unreadable, or lacks a column.
    """
    import pandas as pd

    with reading(path, "sciplex_library", f"a tab-separated table with columns {NUMBER} and {PATHWAY}"):
        table = pd.read_csv(path, sep="\t", dtype=str, usecols=[NUMBER, PATHWAY])
    return table.dropna().drop_duplicates(NUMBER).set_index(NUMBER)[PATHWAY]


def mechanisms(numbers: "pd.Series", library: "pd.Series", path: Path) -> "pd.Series":
    """Pathway of each cell's catalogue number, "unknown" where the library does not list it.

    Raises:
        ScfmError: it lists none of them.
    """
    found = numbers.map(library)
    if found.isna().all():
        raise ScfmError(
            f"{path}: no catalogue number is in the compound library (first: '{numbers.iloc[0]}'); name the right "
            "catalog_column, or take mechanisms from the deposit"
        )
    return found.fillna(UNKNOWN)
