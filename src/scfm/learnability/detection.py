"""Detection against quantification: does a model that tells whether a gene is expressed also tell how much?"""

import pandas as pd

from scfm.learnability.agreement import spearman
from scfm.learnability.groups import by_axis
from scfm.learnability.outcomes import detection_auc
from scfm.learnability.settings import Learnability


def detection(scored: pd.DataFrame, settings: Learnability, axes: tuple[str, ...]) -> pd.DataFrame:
    """Detection AUC against rescaled MAE, over reliable genes with enough zero targets.

    The gated error counts a missed detection as an error, the ungated one quantifies alone.

    Args:
        scored: genes with their outcome (see `outcomes.score`) and the columns `axes`.

    Returns:
        One row for all genes and for each group of each axis: axis, group, genes, median_auc, median_rescaled_mae,
        median_rescaled_mae_ungated, and the Spearman correlations of the AUC with either error, spearman and
        spearman_ungated (NaN with fewer than 3 genes or where one side is constant). A model that does both well
        has them below 0.
    """
    genes = scored[scored.reliable].assign(auc=lambda reliable: detection_auc(reliable, settings))
    genes = genes[genes.auc.notna()]
    rows = []
    for axis, group, part in by_axis(genes, axes):
        names = ("auc", "rescaled_mae", "rescaled_mae_ungated")
        medians = {f"median_{name}": part[name].dropna().median() for name in names}
        correlations = {
            f"spearman{suffix}": spearman(part.auc, part[f"rescaled_mae{suffix}"]) for suffix in ("", "_ungated")
        }
        rows.append({"axis": axis, "group": group, "genes": len(part), **medians, **correlations})
    return pd.DataFrame(rows)
