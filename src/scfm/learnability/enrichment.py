"""Winner rates of groups of genes, and their enrichment against other genes."""

from functools import cache

import numpy as np
import pandas as pd

from scfm.learnability.settings import Learnability

TESTS = ("odds_ratio", "odds_low", "odds_high", "fisher_p", "mannwhitney_p")


def rates(scored: pd.DataFrame, annotation: pd.DataFrame, by: str) -> pd.DataFrame:
    """Winners and losers of each group over both denominators.

    Args:
        scored: evaluated run, one row a gene, with reliable, outcome, sparse, z and the column `by`.
        annotation: every vocabulary gene with the column `by`.

    Returns:
        Indexed by group: annotated, evaluated (reliable genes), winners, losers, sparse_winners,
        winner_rate_annotated, winner_rate_evaluated, winner_low and winner_high (Wilson 95 % interval of the
        latter), loser_rate_evaluated, median_z. Rates of an empty denominator are NaN.
    """
    from statsmodels.stats.proportion import proportion_confint

    winner = scored.outcome == "winner"
    flags = pd.DataFrame(
        {
            by: scored[by],
            "evaluated": scored.reliable,
            "winners": winner,
            "losers": scored.outcome == "loser",
            "sparse_winners": winner & scored["sparse"],
        }
    )
    annotated = annotation.groupby(by, sort=False).size().rename("annotated")
    table = pd.concat([annotated, flags.groupby(by, sort=False).sum()], axis=1).fillna(0).astype(int)
    evaluated = table.evaluated.where(table.evaluated > 0)
    table["winner_rate_annotated"] = table.winners / table.annotated.where(table.annotated > 0)
    table["winner_rate_evaluated"] = table.winners / evaluated
    low, high = proportion_confint(table.winners, evaluated.fillna(1), method="wilson")
    table["winner_low"], table["winner_high"] = low.where(evaluated.notna()), high.where(evaluated.notna())
    table["loser_rate_evaluated"] = table.losers / evaluated
    table["median_z"] = scored[scored.reliable].groupby(by)["z"].median()
    return table


def enrichment(scored: pd.DataFrame, by: str, reference: str) -> pd.DataFrame:
    """Enrichment of winners in each group, over reliable genes, against two sets of other genes.

    The suffix says against which: `others` are all genes outside the group, `reference` those of the group
    named `reference`. Both are reported because the paper names the second and prints the first.

    Returns:
        Indexed by group, for each suffix: odds_ratio (sample odds ratio), odds_low and odds_high (exact
        conditional 95 % interval), fisher_p (Fisher's exact test, two-sided), mannwhitney_p (Mann-Whitney on Z,
        two-sided), and both p values adjusted by Benjamini-Hochberg over the groups (fisher_q, mannwhitney_q).
        NaN where a side has no gene.
    """
    genes = scored[scored.reliable]
    groups = pd.Categorical(genes[by])
    winner, z = (genes.outcome == "winner").to_numpy(), genes.z.to_numpy(float)
    columns = {}
    for name in pd.unique(scored[by]):
        inside = groups == name
        both = [_compare(winner, z, inside, outside) for outside in (~inside, (groups == reference) & ~inside)]
        columns[name] = {
            f"{test}_{suffix}": value
            for suffix, values in zip(("others", "reference"), both, strict=True)
            for test, value in zip(TESTS, values, strict=True)
        }
    table = pd.DataFrame.from_dict(columns, orient="index").rename_axis(by)
    for suffix in ("others", "reference"):
        for test in ("fisher", "mannwhitney"):
            table[f"{test}_q_{suffix}"] = adjust(table[f"{test}_p_{suffix}"])
    return table


def _compare(winner: np.ndarray, z: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> tuple[float, ...]:
    """The values of `TESTS` for one group; all arguments [reliable genes], `inside` and `outside` bool masks."""
    from scipy.stats import mannwhitneyu

    counts = winner[inside].sum(), inside.sum(), winner[outside].sum(), outside.sum()
    z_inside, z_outside = z[inside & ~np.isnan(z)], z[outside & ~np.isnan(z)]
    known = len(z_inside) and len(z_outside)
    return (*fisher(*map(int, counts)), mannwhitneyu(z_inside, z_outside).pvalue if known else np.nan)


@cache  # most groups of families are one family, of which the same is asked again
def fisher(
    winners_inside: int, genes_inside: int, winners_outside: int, genes_outside: int
) -> tuple[float, float, float, float]:
    """Sample odds ratio, exact 95 % interval and Fisher's two-sided p; all NaN if a side has no gene."""
    from scipy.stats import fisher_exact
    from scipy.stats.contingency import odds_ratio

    table = [
        [winners_inside, genes_inside - winners_inside],
        [winners_outside, genes_outside - winners_outside],
    ]
    if min(genes_inside, genes_outside, winners_inside + winners_outside) == 0:
        return (np.nan,) * 4
    test = fisher_exact(table)
    interval = odds_ratio(table, kind="conditional").confidence_interval(0.95)
    return float(test.statistic), float(interval.low), float(interval.high), float(test.pvalue)


def adjust(p: pd.Series) -> pd.Series:
    """Benjamini-Hochberg adjusted p values; NaN stays NaN and does not count as a test."""
    from statsmodels.stats.multitest import multipletests

    adjusted = pd.Series(np.nan, index=p.index)
    known = p.notna()
    if known.any():
        adjusted[known] = multipletests(p[known], method="fdr_bh")[1]
    return adjusted


def reference_of(by: str, settings: Learnability) -> str:
    """The group against which the second comparison of a family, group of families or program is made."""
    return settings.reference_program if by == "program" else settings.reference_family
