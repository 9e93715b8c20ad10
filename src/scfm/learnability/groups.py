"""Tables of families, programs and their cross-tabulation."""

from collections.abc import Iterator

import pandas as pd

from scfm.learnability.absolute import absolute
from scfm.learnability.enrichment import enrichment, rates, reference_of
from scfm.learnability.null import null_of_groups
from scfm.learnability.settings import Learnability


def group_table(
    scored: pd.DataFrame, annotation: pd.DataFrame, by: str, names: dict[str, str], settings: Learnability
) -> pd.DataFrame:
    """Absolute learnability, winner rates and enrichment of each family, group of families or program.

    Args:
        scored: one row a gene, see `outcomes.score` and `null.null_rates`, with the column `by` ("family",
            "family_group" or "program").
        annotation: every vocabulary gene with family, family_group and program.
        names: families (with their group) or programs that get a row even without a gene, in the order of the
            rows; those that are not named follow in the order of the annotation.

    Returns:
        One row a group: `by`, family_group (families only), the columns of `rates`, `null_of_groups`, `absolute`
        and `enrichment`, and reference (the name of the reference group).
    """
    reference = reference_of(by, settings)
    winning = rates(scored, annotation, by)
    parts = [
        winning,
        null_of_groups(scored, winning.annotated, by),
        absolute(scored, by, settings),
        enrichment(scored, by, reference),
    ]
    order = list(dict.fromkeys([*names, *annotation[by].astype(str)]))
    table = pd.concat(parts, axis=1).reindex(order)
    counts = ["annotated", "evaluated", "winners", "losers", "sparse_winners"]
    table[counts] = table[counts].fillna(0).astype(int)
    table["reference"] = reference
    if by == "family":
        groups = names | dict(zip(annotation.family, annotation.family_group, strict=True))
        table.insert(0, "family_group", [groups[name] for name in order])
    return table.rename_axis(by).reset_index()


def crosstab(scored: pd.DataFrame) -> pd.DataFrame:
    """Families against programs, in genes of the vocabulary.

    Returns:
        One row for each pair that occurs: family, program, annotated, evaluated, winners, losers.
    """
    flags = pd.DataFrame(
        {
            "family": scored.family,
            "program": scored.program,
            "annotated": 1,
            "evaluated": scored.reliable.astype(int),
            "winners": (scored.outcome == "winner").astype(int),
            "losers": (scored.outcome == "loser").astype(int),
        }
    )
    return flags.groupby(["family", "program"], as_index=False).sum()


def by_axis(genes: pd.DataFrame, axes: tuple[str, ...]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """("all", "all", all genes), then for each axis ("family", "program") its groups by name, with their genes."""
    yield "all", "all", genes
    for axis in axes:
        for group, part in genes.groupby(axis):
            yield axis, group, part
