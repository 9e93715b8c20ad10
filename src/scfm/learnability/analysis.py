"""The whole analysis of one run: every table of the stage from its gene errors and the annotation."""

from dataclasses import dataclass

import pandas as pd

from scfm.learnability.dynamics import dynamics
from scfm.learnability.groups import crosstab, group_table
from scfm.learnability.null import null_winners, planted_winners
from scfm.learnability.outcomes import detection_auc, score
from scfm.learnability.read import at_epoch
from scfm.learnability.sensitivity import sensitivity
from scfm.learnability.settings import Learnability
from scfm.learnability.sparsity import sparsity

GENES = [
    "gene",
    "family",
    "program",
    "n",
    "n_nonzero",
    "zero_fraction",
    "rescaled_mae",
    "rescaled_mae_ungated",
    "rescaled_mae_null",
    "auc",
    "reliable",
    "trend",
    "residual",
    "local_sd",
    "z",
    "outcome",
    "sparse",
]


@dataclass(frozen=True)
class Analysis:
    """Tables of one run and seed; the columns stand with the functions that make them."""

    genes: pd.DataFrame
    families: pd.DataFrame
    programs: pd.DataFrame
    crosstab: pd.DataFrame
    dynamics: pd.DataFrame
    sensitivity: pd.DataFrame
    summary: dict


def analyse(
    errors: pd.DataFrame,
    annotation: pd.DataFrame,
    settings: Learnability,
    families: dict[str, str] | None = None,
    programs: dict[str, str] | None = None,
) -> Analysis:
    """Analyse the gene errors of one run and seed.

    Args:
        errors: gene errors of every epoch (see `read.ERRORS`).
        annotation: gene, family, family_group and program of every vocabulary gene.
        families, programs: names (and groups) that get a row even without a gene, in the order of the rows.
    """
    now = at_epoch(errors, settings.epoch)
    scored = score(now.merge(annotation, on="gene", how="left"), settings)
    return Analysis(
        genes=scored[GENES],
        families=group_table(scored, annotation, "family", families or {}, settings),
        programs=group_table(scored, annotation, "program", programs or {}, settings),
        crosstab=crosstab(scored),
        dynamics=dynamics(errors, annotation, settings),
        sensitivity=sensitivity(scored, settings),
        summary=summarise(scored, settings),
    )


def summarise(scored: pd.DataFrame, settings: Learnability) -> dict:
    """Counts, sparsity, null models and the planted simulation of one run, ready for JSON (NaN as None)."""
    reliable = scored[scored.reliable]
    outcomes = reliable.outcome.value_counts()
    auc = detection_auc(reliable, settings)
    summary = {
        "run": str(scored.run.iloc[0]),
        "seed": int(scored.seed.iloc[0]),
        "epoch": int(scored.epoch.iloc[0]),
        "genes": len(scored),
        "expressed": int((scored.n_nonzero > 0).sum()),
        "reliable": len(reliable),
        "winners": int(outcomes.get("winner", 0)),
        "losers": int(outcomes.get("loser", 0)),
        "sparse_winners": int((reliable["sparse"] & (reliable.outcome == "winner")).sum()),
        "median_rescaled_mae": reliable.rescaled_mae.median(),
        "median_rescaled_mae_ungated": reliable.rescaled_mae_ungated.median(),
        "median_rescaled_mae_null": reliable.rescaled_mae_null.median(),
        "median_auc": auc.median(),
        "median_auc_genes": int(auc.notna().sum()),
        "sparsity": sparsity(scored, settings),
        "null": null_winners(scored, settings),
        "planted": planted_winners(scored, settings),
        "settings": settings.model_dump(mode="json"),
        "note": note(len(reliable), settings),
    }
    return _json(summary)


def note(reliable: int, settings: Learnability) -> str:
    """What a reader must know about a run with few reliable genes; empty otherwise."""
    if not reliable:
        return (
            f"No gene has {settings.min_nonzero} nonzero validation observations, so that none is evaluated; "
            "validate on more cells or lower min_nonzero."
        )
    if reliable < settings.min_window:
        return (
            f"Only {reliable} genes are reliable, fewer than the {settings.min_window} of one window: "
            "every local standard deviation is taken over all of them."
        )
    return ""


def _json(value: object) -> object:
    """NaN as None, which JSON can hold."""
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    return None if isinstance(value, float) and pd.isna(value) else value
