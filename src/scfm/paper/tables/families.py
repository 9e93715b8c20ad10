"""Table 2: gene families, their sizes in the paper and here, and how well each run learns them."""

from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.paper.tidy import read_table

SIZES = ("order", "name", "n_paper", "n")
OVER_SEEDS = {
    "evaluated": "mean",
    "winner_rate_annotated": "mean",
    "winner_rate_evaluated": "mean",
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
        columns of `OVER_SEEDS`; q is the p value adjusted by Benjamini–Hochberg.

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
        table = table.merge(summary.add_prefix(f"{run}_"), left_on="family", right_index=True, how="left")
    return table
