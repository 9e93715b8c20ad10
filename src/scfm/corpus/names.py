"""What the store's features are called, and which human gene each one is."""

from collections.abc import Mapping

import pandas as pd

from scfm.errors import ScfmError
from scfm.genes import HUMAN, approve, name_genes
from scfm.orthologs import rename

MAPPED = ("symbol", "ensembl", "previous", "alias", "ortholog")
"""Ways to an approved symbol."""


def name_features(
    features: pd.DataFrame, hgnc: pd.DataFrame, other: frozenset[str], orthologs: Mapping[str, pd.Series]
) -> pd.DataFrame:
    """Approved symbol of each feature: by its name, by its Ensembl id where the name is not known; for other species
    by the one-to-one ortholog of either.

    Args:
        features: feature_id, feature_name, organism, and other_id where deposits disagree.
        other: what `scfm.genes.read_other_loci` returns.
        orthologs: species to what `scfm.orthologs.read_orthologs` returns.

    Returns:
        gene (approved symbol, NA where there is none); how (`MAPPED`, or ambiguous, not protein-coding, unmapped);
        exact (bool: the name is that very symbol); disagrees (approved symbol of the Ensembl id where it is another
        one than that of the name, "" elsewhere). Index and order of `features`.

    Raises:
        ScfmError: no feature has an approved symbol, or there are no orthologs of a species.
    """
    human = features["organism"] == HUMAN
    names, ids = features["feature_name"].astype(object), features["feature_id"].astype(object)
    for species in sorted(set(features.loc[~human, "organism"])):
        if species not in orthologs:
            raise ScfmError(f"--orthologs: none of {species}, whose genes are in the store; name a file for it")
        own = features["organism"] == species
        names[own], ids[own] = rename(names[own], ids[own], orthologs[species]), ""
    by_name, by_id = (name_genes(column, hgnc, other).set_index(features.index) for column in (names, ids))
    use_id = by_name["gene"].isna() & (by_id["gene"].notna() | (by_name["how"] == "unmapped"))
    out = by_name.where(~use_id, by_id)
    out["how"] = out["how"].mask(~human & out["gene"].notna(), "ortholog")
    out["exact"] = human & (names == out["gene"].fillna(""))
    out["disagrees"] = _disagreements(by_name["gene"], [by_id["gene"], _other(features, hgnc)])
    if out["gene"].isna().all():
        examples = ", ".join(features["feature_name"].head(3))
        raise ScfmError(
            f"corpus features: none of {len(features):,} ({examples}, ...) is a protein-coding gene of HGNC; "
            "expected human gene symbols or Ensembl ids"
        )
    return out


def refuse_disagreements(features: pd.DataFrame) -> None:
    """Raise a sentence if the name and the id of a feature belong to different genes.

    Raises:
        ScfmError: they do.
    """
    strange = features[features["disagrees"] != ""]
    if len(strange):
        first = strange.iloc[0]
        raise ScfmError(
            f"corpus features: the name '{first['feature_name']}' belongs to {first['gene']}, an id that comes with it "
            f"to {first['disagrees']} ({len(strange):,} features like it); correct the sources, or set "
            "corpus.genes.disagreements to name"
        )


def count_names(names: pd.DataFrame) -> pd.DataFrame:
    """organism, how, outcome, features: how many features of gene_names.csv there are of each sort."""
    return names.groupby(["organism", "how", "outcome"]).size().rename("features").reset_index()


def _other(features: pd.DataFrame, hgnc: pd.DataFrame) -> pd.Series:
    """Approved symbol of the second id that deposits give to a name."""
    ids = features["other_id"] if "other_id" in features else pd.Series("", index=features.index)
    return approve(ids, hgnc).set_axis(features.index)


def _disagreements(gene: pd.Series, others: list[pd.Series]) -> pd.Series:
    out = pd.Series("", index=gene.index, dtype=object)
    for other in others:
        differs = gene.notna() & other.notna() & (gene.fillna("") != other.fillna("")) & (out == "")
        out = out.mask(differs, other)
    return out
