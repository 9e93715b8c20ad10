"""Absolute learnability of groups of genes: how large the errors are, and whether they beat the null."""

import pandas as pd

from scfm.learnability.outcomes import detection_auc, error_column
from scfm.learnability.settings import Learnability


def absolute(scored: pd.DataFrame, by: str, settings: Learnability) -> pd.DataFrame:
    """Median errors of each group, over its reliable genes.

    The null predicts a gene's mean over its nonzero observations; the improvement is 1 - error / null error.

    Args:
        scored: genes with their outcome (see `outcomes.score`) and the column `by`.

    Returns:
        Indexed by group: median_rescaled_mae, share_beating_null, median_improvement, median_auc (over the genes
        with enough zero targets, see `outcomes.detection_auc`).
    """
    genes = scored[scored.reliable]
    error, null = genes[error_column(settings)], genes["rescaled_mae_null"]
    measures = pd.DataFrame(
        {
            by: genes[by],
            "median_rescaled_mae": error,
            "share_beating_null": (error < null).astype(float).where(null.notna()),
            # A gene with the same value in all its cells has a null error of 0 and no defined improvement.
            "median_improvement": 1 - error / null.where(null > 0),
            "median_auc": detection_auc(genes, settings),
        }
    )
    groups = measures.groupby(by, sort=False)
    table = groups.median()
    table["share_beating_null"] = groups["share_beating_null"].mean()
    return table
