"""Whose genes the columns of an AnnData are: which the model knows, and what hides the others."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.orthologs import read_orthologs

if TYPE_CHECKING:
    from scfm.model import Model

LEAST_KNOWN = 0.25
"""Share of known genes below which names are refused."""
MOUSE_SYMBOL = re.compile(r"[A-Z][a-z0-9]+[a-z][a-z0-9-]*|[A-Z][a-z]|\d{7}[A-Z]\d\dRik")
"""A capital, then small letters and digits: Cd19, Gm1992, 0610007P14Rik; human symbols have `orf` at most."""
OTHER_IDS = {
    "Entrez ids": r"\d+",
    "Ensembl transcripts": r"ENS[A-Z]*T\d{11}(\.\d+)?",
    "RefSeq ids": r"[NX][MRP]_\d+(\.\d+)?",
    "probes of an array": r"\S+_at",
    "Ensembl ids of mouse": r"ENSMUSG\d{11}(\.\d+)?",
    "Ensembl ids of another species": r"ENS(?!MUS)[A-Z]{3,4}G\d{11}(\.\d+)?",
}
"""What names may be instead of human symbols or Ensembl ids of genes."""
MOUSE_IDS = re.compile(OTHER_IDS["Ensembl ids of mouse"])


def human_names(names: pd.Index, orthologs: "Path | str | pd.Series | None") -> pd.Index:
    """The names, or those of the one-to-one human orthologs, a form that no gene has where there is none.

    Args:
        names: as deposited.
        orthologs: a file as `scfm.orthologs.read_pairs` reads it, or human names by the species' names; None for
            human genes.

    Raises:
        ScfmError: what `read_orthologs` raises; no orthologs, and the names are those of mouse genes.
    """
    if orthologs is None:
        share = np.mean([bool(MOUSE_IDS.fullmatch(name) or MOUSE_SYMBOL.fullmatch(name)) for name in names])
        if share > 0.5:
            raise ScfmError(
                f"var_names: {share:.0%} of {len(names):,} are written as mouse genes are (first: {_first(names)}), "
                "and the model knows human ones; name a table of orthologs, e.g. HOM_MouseHumanSequence.rpt of Mouse "
                "Genome Informatics"
            )
        return names
    if not isinstance(orthologs, pd.Series):
        orthologs = read_orthologs(Path(orthologs), "mus_musculus")
    plain = names.str.replace(r"(?<=\d{11})\.\d+$", "", regex=True)
    human = pd.Series(plain).map(orthologs)
    return pd.Index(human.where(human.notna(), "no ortholog: " + names.to_series(index=human.index)))


def known_genes(model: "Model", names: pd.Index, least_known: float = LEAST_KNOWN) -> tuple[np.ndarray, dict]:
    """Gene index of each name, int64, -1 where unknown; and what is to be said of it.

    The share of known genes is taken of the smaller of both sets, so that neither a small panel nor a model of few
    genes is refused.

    Returns:
        The indices; genes_known, genes_given, known_share, and names: `symbols`, `Ensembl ids` or both.

    Raises:
        ScfmError: less than `least_known` is known, with the causes that the names show; a gene twice.
    """
    from scfm.matching import one_column_a_gene

    index = model.find(names)
    known = index >= 0
    share = known.sum() / max(min(len(names), len(model.gene_table)), 1)
    if not known.any() or share < least_known:
        raise ScfmError(
            f"var_names: {f'only {known.sum():,}' if known.any() else 'none'} of {len(names):,} genes is in the "
            f"model's vocabulary of {len(model.gene_table):,} (first: {_first(names)}), {share:.0%} where "
            f"{least_known:.0%} are needed; {_causes(model, names, known.sum())}"
        )
    one_column_a_gene(names, index, model.genes)
    ids = names[known].str.match(r"ENSG\d").mean()
    kind = "symbols" if ids == 0 else "Ensembl ids" if ids == 1 else "symbols and Ensembl ids"
    facts = {"genes_known": int(known.sum()), "genes_given": len(names), "known_share": round(float(share), 4)}
    return index, {**facts, "names": kind}


def _causes(model: "Model", names: pd.Index, known: int) -> str:
    """What the names show, as advice."""
    for kind, pattern in OTHER_IDS.items():
        share = np.mean([bool(re.fullmatch(pattern, name)) for name in names]) if len(names) else 0
        if share > 0.5:
            return f"{share:.0%} look like {kind}: give human symbols or Ensembl ids of genes (gene_column)"
    changes = {
        "in another letter case": names.str.upper(),
        "without what follows the last dot, dash or underscore": names.str.replace(r"[._-][^._-]*$", "", regex=True),
        "without what stands before the first underscore": names.str.replace(r"^[^_]*_+", "", regex=True),
        "without spaces": names.str.strip(),
    }
    gains = {change: int((model.find(changed) >= 0).sum()) for change, changed in changes.items()}
    change, count = max(gains.items(), key=lambda item: item[1])
    if count > 2 * known + 1:
        return f"{count:,} are known {change}: rename them"
    return "expected human gene symbols or Ensembl ids; name a column of var that holds them (gene_column)"


def _first(names: pd.Index) -> str:
    return ", ".join(map(str, names[:3]))
