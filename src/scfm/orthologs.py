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


def rename(names: pd.Series, ids: pd.Series, orthologs: pd.Series) -> pd.Series:
    """Human name of each gene of another species, "" where it has no one-to-one ortholog.

    Args:
        names, ids: as deposited, of one index; the id, with or without version, counts where the name has none.
        orthologs: what `read_orthologs` returns.
    """
    found = names.map(orthologs)
    return found.where(found.notna(), ids.str.replace(r"\.\d+$", "", regex=True).map(orthologs)).fillna("")


def read_orthologs(path: Path, species: str) -> pd.Series:
    """Read one-to-one orthologs: a gene that stands in several pairs, on either side, is left out.

    Args:
        species: as the Census writes it, e.g. mus_musculus.

    Returns:
        Human names or ids (object) by the species' names or ids, each once.

    Raises:
        ScfmError: what `read_pairs` raises; no such pair.
    """
    orthologs = one_to_one(read_pairs(path, species))
    if orthologs.empty:
        raise ScfmError(f"{path}: holds no gene of {species} with exactly one human ortholog; name another resource")
    return orthologs


def one_to_one(pairs: pd.DataFrame) -> pd.Series:
    """Human names (object) by the species' names, of the pairs whose genes stand in no other pair."""
    once = ~pairs["gene"].duplicated(keep=False) & ~pairs["human"].duplicated(keep=False)
    return pairs[once].set_index("gene")["human"].astype(object)


def read_pairs(path: Path, species: str) -> pd.DataFrame:
    """Read orthologs: the homology report of MGI for mouse, or a tab-separated table with columns `PAIRS`.

    Returns:
        `PAIRS`, each pair once; genes may have several human orthologs, and several genes the same one.

    Raises:
        ScfmError: the file is missing, unreadable or of neither form, or is of another species.
    """
    with reading(path, f"orthologs of {species}", "a tab-separated table"):
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    if set(MGI_COLUMNS) <= set(table):
        if species != "mus_musculus":
            raise ScfmError(f"{path}: holds orthologs of mouse, not of {species}; name another resource")
        return _mgi_pairs(table)
    if not set(PAIRS) <= set(table):
        raise ScfmError(
            f"{path}: columns are {', '.join(table.columns[:5])}; expected '{PAIRS[0]}' and '{PAIRS[1]}', or the "
            "homology report of Mouse Genome Informatics"
        )
    pairs = table[PAIRS].drop_duplicates()
    return pairs[(pairs != "").all(axis=1)]


def _mgi_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Every pair of a mouse and a human gene of one class."""
    key, taxon, symbol = MGI_COLUMNS
    mouse, human = (table.loc[table[taxon] == code, [key, symbol]].drop_duplicates() for code in (MOUSE, HUMAN_TAXON))
    pairs = mouse.merge(human, on=key, suffixes=("_mouse", "_human"))
    return pairs[[f"{symbol}_mouse", f"{symbol}_human"]].set_axis(PAIRS, axis=1).drop_duplicates()
