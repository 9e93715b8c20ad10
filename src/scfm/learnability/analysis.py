"""The whole analysis of one run: every table of the stage from its gene errors and the annotation."""

from dataclasses import dataclass

import pandas as pd

from scfm.learnability.detection import detection
from scfm.learnability.dynamics import dynamics
from scfm.learnability.gating import gating
from scfm.learnability.groups import crosstab, group_table
from scfm.learnability.null import NullDraws, draw_nulls, null_rates, null_winners, planted_winners
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
    "null_shuffle",
    "null_sign",
    "null_normal",
    "n_train_targets",
]
MEDIANS = ["rescaled_mae", "rescaled_mae_ungated", "rescaled_mae_null"]


@dataclass(frozen=True)
class Analysis:
    """Tables of one run and seed; the columns stand with the functions that make them. None: without annotation."""

    genes: pd.DataFrame
    families: pd.DataFrame | None
    family_groups: pd.DataFrame | None
    programs: pd.DataFrame | None
    crosstab: pd.DataFrame | None
    dynamics: pd.DataFrame
    sensitivity: pd.DataFrame
    detection: pd.DataFrame
    gating: pd.DataFrame
    summary: dict


def analyse(
    errors: pd.DataFrame,
    annotation: pd.DataFrame | None,
    settings: Learnability,
    families: dict[str, str] | None = None,
    programs: dict[str, str] | None = None,
) -> Analysis:
    """Analyse the gene errors of one run and seed.

    Args:
        errors: gene errors of every epoch (see `read.ERRORS`).
        annotation: gene, family, family_group and program of every vocabulary gene; None leaves out what needs it.
        families, programs: names (and groups) that get a row even without a gene, in the order of the rows.
    """
    now = at_epoch(errors, settings.epoch)
    scored = score(now if annotation is None else now.merge(annotation, on="gene", how="left"), settings)
    null = draw_nulls(scored, settings)
    scored = scored.join(null_rates(scored, null))
    axes = () if annotation is None else ("family", "program")
    groups = dict.fromkeys(("families", "family_groups", "programs", "crosstab"))
    if annotation is not None:
        families, programs = families or {}, programs or {}
        by = {"family": families, "family_group": dict.fromkeys(families.values()), "program": programs}
        tables = [group_table(scored, annotation, axis, names, settings) for axis, names in by.items()]
        groups = dict(zip(groups, [*tables, crosstab(scored)], strict=True))
    return Analysis(
        genes=scored[[name for name in GENES if name in scored]],
        **groups,
        dynamics=dynamics(errors, annotation, settings),
        sensitivity=sensitivity(scored, settings),
        detection=detection(scored, settings, axes),
        gating=gating(scored, settings, axes),
        summary=summarise(scored, null, settings),
    )


def summarise(scored: pd.DataFrame, null: NullDraws, settings: Learnability) -> dict:
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
        "winner_rate": (reliable.outcome == "winner").mean(),
        "losers": int(outcomes.get("loser", 0)),
        "sparse_winners": int((reliable["sparse"] & (reliable.outcome == "winner")).sum()),
        **{f"median_{name}": reliable[name].dropna().median() for name in MEDIANS},
        "median_auc": auc.dropna().median(),
        "median_auc_genes": int(auc.notna().sum()),
        "sparsity": sparsity(scored, settings),
        "null": null_winners(null),
        "planted": planted_winners(scored, settings),
        "settings": settings.model_dump(mode="json"),
        "note": note(reliable, settings),
    }
    return _json(summary)


def note(reliable: pd.DataFrame, settings: Learnability) -> str:
    """What a reader must know about a run whose reliable genes are few or alike; empty otherwise."""
    if reliable.empty:
        return (
            f"No gene has {settings.min_nonzero} nonzero validation observations, so that none is evaluated; "
            "validate on more cells or lower min_nonzero."
        )
    if len(reliable) < settings.min_window:
        return (
            f"Only {len(reliable)} reliable genes, fewer than the {settings.min_window} of one window: "
            "every local standard deviation is taken over all of them."
        )
    if reliable.zero_fraction.nunique() == 1:
        return (
            f"All reliable genes have the zero fraction {reliable.zero_fraction.iloc[0]:g}: the trend is the mean of "
            "their log errors, and winners say nothing about sparsity."
        )
    return ""


def _json(value: object) -> object:
    """NaN as None, which JSON can hold."""
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    return None if isinstance(value, float) and pd.isna(value) else value
