"""Table 2: gene families, their sizes in the paper and here, and how well each run learns them."""

from pathlib import Path

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.paper.evidence import P_LIMIT
from scfm.paper.tidy import read_table

SIZES = ("order", "name", "n_paper", "n")
OVER_SEEDS = {
    "evaluated": "mean",
    "winner_rate_annotated": "mean",
    "null_rate_annotated_shuffle": "mean",
    "null_rate_annotated_sign": "mean",
    "winner_rate_evaluated": "mean",
    "null_rate_evaluated_shuffle": "mean",
    "null_rate_evaluated_sign": "mean",
    "odds_ratio_others": "median",
    "fisher_q_others": "max",
    "odds_ratio_reference": "median",
    "fisher_q_reference": "max",
    "mannwhitney_q_others": "max",
    "median_rescaled_mae": "mean",
    "median_auc": "mean",
}
"""Column of learnability's families.csv to how its seeds become one figure; of p values the largest counts."""


def families(sizes: Path, tables: dict[tuple[str, str], Path]) -> pd.DataFrame:
    """One row for each family, in the order of the rules.

    Args:
        sizes: families.csv of the annotation stage, with the published number of genes.
        tables: (run, seed) to families.csv of the learnability stage.

    Returns:
        Columns order, family, genes_published, genes, then for each run `<run>_seeds` and `<run>_<column>` for the
        columns of `OVER_SEEDS`, and `<run>_winner_rate_group` (see `rate_groups`); q is the p value adjusted by
        Benjamini–Hochberg.

    Raises:
        ScfmError: no table given, or a column is missing.
    """
    if not tables:
        raise ScfmError("--families: no table given; give RUN/SEED=FILE for each run and seed")
    names = {"name": "family", "n_paper": "genes_published", "n": "genes"}
    table = read_table(sizes, SIZES, "the sizes of the families")[list(SIZES)].rename(columns=names)
    table["genes_published"] = table.genes_published.astype("Int64")
    for run in dict.fromkeys(run for run, _ in tables):
        own = [path for (name, _), path in tables.items() if name == run]
        parts = [read_table(path, ["family", *OVER_SEEDS], "a table of families") for path in own]
        summary = pd.concat(parts).groupby("family").agg(OVER_SEEDS)
        summary.insert(0, "seeds", len(own))
        summary["winner_rate_group"] = rate_groups(summary)
        table = table.merge(summary.add_prefix(f"{run}_"), left_on="family", right_index=True, how="left")
    return table


def rate_groups(summary: pd.DataFrame) -> np.ndarray:
    """Families by their winner rate: "above", "below" or "like" all other genes, or "not evaluated".

    Above and below are said where q is below 0.05 in every seed.
    """
    told = summary.fisher_q_others < P_LIMIT
    names = {
        "not evaluated": summary.evaluated == 0,
        "above": told & (summary.odds_ratio_others > 1),
        "below": told & (summary.odds_ratio_others < 1),
    }
    return np.select(list(names.values()), list(names), "like")
