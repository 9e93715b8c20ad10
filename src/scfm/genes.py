"""Gene names: the approved symbols of protein-coding genes, and the way from any other name to them."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.reading import reading

HGNC_COLUMNS = {
    "symbol": "gene",
    "ensembl_gene_id": "ensembl",
    "entrez_id": "entrez",
    "uniprot_ids": "uniprot",
    "alias_symbol": "aliases",
    "prev_symbol": "previous",
    "locus_group": "locus_group",
}
"""Column of the HGNC complete set to our name for it."""

HUMAN = "homo_sapiens"
"""The species whose genes are the vocabulary, as the Census writes it."""
ENSEMBL_GENE = r"^(ENSG\d+)(?:\.\d+)?$"
"""A human Ensembl gene id, with or without a version suffix."""


def read_hgnc(path: Path) -> pd.DataFrame:
    """Read the protein-coding rows of an HGNC complete set (tab-separated, gzipped or not).

    Returns:
        One row per gene, sorted as in the file: gene (approved symbol, unique), ensembl, entrez, uniprot
        (strings, "" where HGNC has none; several UniProt ids stay joined by "|"), aliases and previous
        (lists of names). A name that is the approved symbol of another locus of the file, coding or not, is left out
        of both lists.

    Raises:
        ScfmError: the file is missing, unreadable, lacks a column, holds no protein-coding gene or one twice.
    """
    with reading(path, "hgnc", "the tab-separated HGNC complete set"):
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, usecols=lambda name: name in HGNC_COLUMNS)
    missing = [name for name in HGNC_COLUMNS if name not in table]
    if missing:
        raise ScfmError(f"{path}: column '{missing[0]}' is missing; expected the tab-separated HGNC complete set")
    table = table.rename(columns=HGNC_COLUMNS)
    coding = table[table.pop("locus_group") == "protein-coding gene"].reset_index(drop=True)
    if coding.empty:
        raise ScfmError(f"{path}: no row has locus_group 'protein-coding gene'; expected the HGNC complete set")
    twice = coding["gene"][coding["gene"].duplicated()]
    if len(twice):
        raise ScfmError(f"{path}: the approved symbol '{twice.iloc[0]}' stands in two rows; expected each symbol once")
    approved = set(table["gene"])
    for column in ("aliases", "previous"):
        coding[column] = [
            [name for name in names.split("|") if name and name not in approved] for names in coding[column]
        ]
    return coding


def read_other_loci(path: Path) -> frozenset[str]:
    """Approved symbols and Ensembl ids of the loci of an HGNC complete set that are not protein-coding.

    Raises:
        ScfmError: the file is missing or unreadable, or lacks a column.
    """
    columns = ["symbol", "ensembl_gene_id", "locus_group"]
    with reading(path, "hgnc", "the tab-separated HGNC complete set"):
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, usecols=columns)
    other = table[table["locus_group"] != "protein-coding gene"]
    return frozenset(pd.concat([other["symbol"], other["ensembl_gene_id"]])) - {""}


def approve(symbols: Iterable[str], hgnc: pd.DataFrame) -> pd.Series:
    """Map gene names of any age to approved symbols; see `name_genes`.

    Args:
        symbols: names as deposited, any length.
        hgnc: what `read_hgnc` returns.

    Returns:
        Approved symbols (object, NA where there is none) in the order of `symbols`, RangeIndex, name "gene".
    """
    return name_genes(symbols, hgnc)["gene"]


def name_genes(names: Iterable[str], hgnc: pd.DataFrame, other: frozenset[str] = frozenset()) -> pd.DataFrame:
    """Map gene names of any age to approved symbols, and say how.

    The approved symbol itself comes first, then Ensembl ids (version suffix stripped), then previous symbols, then
    aliases. A name that belongs to several genes at the first of these levels that knows it stays without a symbol.

    Args:
        names: as deposited, any length.
        hgnc: what `read_hgnc` returns.
        other: what `read_other_loci` returns; only says why a name stays without a symbol.

    Returns:
        gene (approved symbol, object, NA where there is none) and how (symbol, ensembl, previous, alias, ambiguous,
        not protein-coding, unmapped), in the order of `names`, RangeIndex.
    """
    names = pd.Series(list(names), dtype=object)
    ensembl = names.astype(str).str.extract(ENSEMBL_GENE, expand=False)
    genes = hgnc["gene"]
    found = names.where(names.isin(genes), pd.NA)
    how = pd.Series("unmapped", index=names.index, dtype=object).mask(found.notna(), "symbol")
    levels = (
        ("ensembl", ensembl, pd.Series(genes.to_numpy(), index=hgnc["ensembl"])),
        ("previous", names, _names_to_gene(hgnc, "previous")),
        ("alias", names, _names_to_gene(hgnc, "aliases")),
    )
    open_names = found.isna()
    for level, query, table in levels:
        known = open_names & query.isin(table.index)
        unique = table[~table.index.duplicated(keep=False)]
        found = found.where(~known, query.map(unique))
        how = how.mask(known, level).mask(known & found.isna(), "ambiguous")
        open_names &= ~known
    how = how.mask(open_names & (names.isin(other) | ensembl.isin(other)), "not protein-coding")
    return pd.DataFrame({"gene": found.where(found.notna(), pd.NA), "how": how})


def _names_to_gene(hgnc: pd.DataFrame, column: str) -> pd.Series:
    """Approved symbols indexed by the names of a list column; a name repeats if several genes have it."""
    pairs = hgnc[["gene", column]].explode(column).dropna().drop_duplicates()
    return pd.Series(pairs["gene"].to_numpy(), index=pairs[column])
