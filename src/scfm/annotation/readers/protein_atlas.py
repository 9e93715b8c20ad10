"""The Human Protein Atlas's table of genes."""

from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.reading import reading

COLUMNS = {"Gene": "symbol", "Ensembl": "ensembl", "RNA single cell type specificity": "specificity"}
"""Column of proteinatlas.tsv to our name for it; the same from release 20, the first with single cells, to 25."""


def read_protein_atlas(path: Path) -> pd.DataFrame:
    """Read proteinatlas.tsv: plain, gzipped, or as the provider's zip.

    Returns:
        One row per gene: symbol, ensembl, specificity (such as "Cell type enriched").

    Raises:
        ScfmError: the file is missing, damaged, lacks a column, or says two things of one gene.
    """
    with reading(path, "protein_atlas", "the Human Protein Atlas's proteinatlas.tsv"):
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, usecols=lambda name: name in COLUMNS)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise ScfmError(f"{path}: column '{missing[0]}' is missing; expected the provider's proteinatlas.tsv")
    table = table.rename(columns=COLUMNS)[list(COLUMNS.values())].drop_duplicates(ignore_index=True)
    genes = table["ensembl"][table["ensembl"] != ""]
    if genes.duplicated().any():
        twice = genes[genes.duplicated()].iloc[0]
        raise ScfmError(f"{path}: gene '{twice}' stands in two rows that differ; expected each gene once")
    return table
