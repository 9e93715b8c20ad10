"""Learnability: which genes a model predicts better or worse than their sparsity lets expect.

Public face: the settings (`scfm.learnability.settings.Learnability`), the commands of `scfm learnability` and `FILES`.
"""

FILES = {
    "genes": "genes.parquet",
    "families": "families.csv",
    "family_groups": "family_groups.csv",
    "programs": "programs.csv",
    "crosstab": "crosstab.csv",
    "dynamics": "dynamics.csv",
    "sensitivity": "sensitivity.csv",
    "detection": "detection.csv",
    "gating": "gating.csv",
    "summary": "summary.json",
    "scatter": "scatter.png",
    "scatter_page": "scatter.html",
}
"""What the analysis of a run makes, and the file of it in the run's folder."""
