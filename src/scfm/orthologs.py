"""Genes of another species and the human genes that they are one-to-one orthologs of."""

from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.reading import reading

MGI_COLUMNS = ["DB Class Key", "NCBI Taxon ID", "Symbol"]
"""Columns of the homology report of Mouse Genome Informatics (HOM_MouseHumanSequence.rpt)."""
MOUSE, HUMAN_TAXON = "10090", "9606"
PAIRS = ["gene", "human"]
"""Columns of any other file: name or Ensembl id of the species' gene; symbol or Ensembl id of the human gene."""


def read_orthologs(path: Path, species: str) -> pd.Series:
    """Read one-to-one orthologs: the homology report of MGI for mouse, or a tab-separated table with columns `PAIRS`.

    A gene that stands in several pairs, on either side, is left out.

    Args:
        species: as the Census writes it, e.g. mus_musculus.

    Returns:
        Human names or ids (object) by the species' names or ids, each once.

    Raises:
        ScfmError: the file is missing, unreadable or of neither form, is of another species, or holds no such pair.
    """
    with reading(path, f"orthologs of {species}", "a tab-separated table"):
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    if set(MGI_COLUMNS) <= set(table):
        if species != "mus_musculus":
            raise ScfmError(f"{path}: holds orthologs of mouse, not of {species}; name another resource")
        pairs = _mgi_pairs(table)
    elif set(PAIRS) <= set(table):
        pairs = table[PAIRS].drop_duplicates()
        pairs = pairs[(pairs != "").all(axis=1)]
    else:
        raise ScfmError(
            f"{path}: columns are {', '.join(table.columns[:5])}; expected '{PAIRS[0]}' and '{PAIRS[1]}', or the "
            "homology report of Mouse Genome Informatics"
        )
    once = ~pairs["gene"].duplicated(keep=False) & ~pairs["human"].duplicated(keep=False)
    if not once.any():
        raise ScfmError(f"{path}: holds no gene of {species} with exactly one human ortholog; name another resource")
    return pairs[once].set_index("gene")["human"].astype(object)


def _mgi_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Every pair of a mouse and a human gene of one class."""
    key, taxon, symbol = MGI_COLUMNS
    mouse, human = (table.loc[table[taxon] == code, [key, symbol]].drop_duplicates() for code in (MOUSE, HUMAN_TAXON))
    pairs = mouse.merge(human, on=key, suffixes=("_mouse", "_human"))
    return pairs[[f"{symbol}_mouse", f"{symbol}_human"]].set_axis(PAIRS, axis=1).drop_duplicates()
