"""Training dynamics: the error of each family and program at each validation epoch."""

import pandas as pd

from scfm.learnability.outcomes import detection_auc, reliable_genes
from scfm.learnability.settings import Learnability

MEASURES = ("rescaled_mae", "rescaled_mae_ungated", "auc")


def dynamics(errors: pd.DataFrame, annotation: pd.DataFrame | None, settings: Learnability) -> pd.DataFrame:
    """Median errors of the genes that are reliable at an epoch, by epoch and group.

    Args:
        errors: gene errors of every epoch.
        annotation: gene, family, program; without, all genes are the only group.

    Returns:
        One row for each epoch, axis ("all", "family", "program") and group with a reliable gene: epoch, axis,
        group, n (reliable genes), median_rescaled_mae, median_rescaled_mae_ungated, median_auc (over the genes with
        enough zero targets, see `outcomes.detection_auc`).
    """
    genes = errors[reliable_genes(errors, settings)].assign(auc=lambda reliable: detection_auc(reliable, settings))
    axes = ["all"]
    if annotation is not None:
        genes, axes = genes.merge(annotation, on="gene", how="left"), ["all", "family", "program"]
    parts = [genes.assign(axis=axis, group=genes.get(axis, "all")) for axis in axes]
    groups = pd.concat(parts).groupby(["epoch", "axis", "group"], observed=True)
    medians = groups[list(MEASURES)].median().add_prefix("median_")
    medians.insert(0, "n", groups.size())
    return medians.reset_index()
