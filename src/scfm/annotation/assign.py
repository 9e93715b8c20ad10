"""Families and programs: the first rule that matches a gene wins."""

import numpy as np
import pandas as pd

from scfm.annotation.rules import in_words, matches, readings, resources
from scfm.annotation.settings import AnnotationSettings, GeneClass
from scfm.annotation.sources import Sources


def first_match(rows: tuple[GeneClass, ...], sources: Sources) -> np.ndarray:
    """Int [genes]: position of the first row whose rule takes the gene.

    Raises:
        NotInFile: a rule names a GO term that the ontology does not hold.
    """
    table = np.stack([matches(row.rule, sources) for row in rows])
    return table.argmax(0)


def counts(
    rows: tuple[GeneClass, ...], assigned: np.ndarray, settings: AnnotationSettings, releases: dict[str, str]
) -> pd.DataFrame:
    """Our number of genes of each row beside the published one.

    Args:
        assigned: what `first_match` returns.
        settings: the readings that held.
        releases: resource name to its release; a resource that is not there is named without release.

    Returns:
        One row per family or program: order, name, group, n_paper, n, difference (n less n_paper), rule (in words),
        reading (what the settings say of it), releases (of the resources that the rule asks).
    """
    found = np.bincount(assigned, minlength=len(rows))
    table = pd.DataFrame(
        {
            "order": [row.order for row in rows],
            "name": [row.name for row in rows],
            "group": [row.group or row.name for row in rows],
            "n_paper": pd.array([row.paper for row in rows], dtype="Int64"),
            "n": found,
        }
    )
    table["difference"] = table["n"] - table["n_paper"]
    table["rule"] = [in_words(row.rule, settings.relations) for row in rows]
    table["reading"] = ["; ".join(readings(row.rule, settings)) for row in rows]
    table["releases"] = [
        "; ".join(f"{name} {releases.get(name, '')}".strip() for name in sorted(resources(row.rule))) for row in rows
    ]
    return table


def misplaced(table: pd.DataFrame) -> float:
    """Genes that stand elsewhere than in the paper, at the least, out of the paper's number of genes.

    Half the summed absolute difference between the published numbers and ours, ours scaled to the same total;
    NaN where a row has no published number.
    """
    if table["n_paper"].isna().any():
        return float("nan")
    paper = table["n_paper"].to_numpy(dtype=float)
    ours = table["n"] * paper.sum() / table["n"].sum()
    return float(np.abs(ours - paper).sum() / 2)
