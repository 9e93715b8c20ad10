"""The verdict on each claim: holds, does not hold, or not tested here."""

from pathlib import Path

import pandas as pd

from scfm.paper.evidence import MEASURE, P_LIMIT, Evidence, NotTestedError, Results
from scfm.paper.settings import SCALES, Claim, Claims, Inconsistencies, Inconsistency, Judge, Paper, Quantity
from scfm.settings import parse, read_yaml

HOLDS = "holds"
FAILS = "does not hold"
UNTESTED = "not tested here"
COLUMNS = ("claim", "section", "text", "published", "ours", "low", "high", "n", "verdict", "reason", "table")
TABLES = {
    ("integration", "score"): "table5",
    ("integration", "avg_bio"): "table6",
    ("integration", "avg_batch"): "table7",
    ("integration_mus_musculus", "avg_bio"): "table8",
    ("probe", "macro_f1"): "macro_f1",
    ("finetune", "macro_f1"): "heldout",
    ("moa", "auroc"): "moa",
    ("learnability", "summary"): "learnability",
    ("learnability", "families"): "table2",
}
"""Task and metric, or stage and file, to the table that shows what a claim is judged on."""


def read_claims(path: Path) -> list[Claim]:
    """Read config/claims.yaml.

    Raises:
        ScfmError: the file is missing, or a claim has an unknown key, a wrong type or an id twice.
    """
    return parse(Claims, read_yaml(path), str(path)).claims


def read_inconsistencies(path: Path) -> list[Inconsistency]:
    """Read config/inconsistencies.yaml.

    Raises:
        ScfmError: the file is missing, or a point has an unknown or missing key or a wrong type.
    """
    return parse(Inconsistencies, read_yaml(path), str(path)).inconsistencies


def judge_claims(claims: list[Claim], results: Results, scale: str, settings: Paper) -> pd.DataFrame:
    """One row for each claim with the columns of `COLUMNS`; ours, low, high and n are empty if nothing was measured."""
    table = pd.DataFrame([_row(claim, results, scale, settings) for claim in claims], columns=list(COLUMNS))
    return table.astype({"n": "Int64"})


def _row(claim: Claim, results: Results, scale: str, settings: Paper) -> dict:
    row = {"claim": claim.id, "section": claim.section, "text": claim.text, "published": claim.published}
    quantity = claim.quantity
    row["table"] = table_of(quantity)
    if quantity.kind == "untested":
        return row | {"verdict": UNTESTED, "reason": quantity.missing}
    try:
        evidence = MEASURE[quantity.kind](quantity, results, settings)
    except NotTestedError as reason:
        return row | {"verdict": UNTESTED, "reason": str(reason)}
    row |= {"ours": evidence.ours, "low": evidence.low, "high": evidence.high, "n": evidence.n}
    if SCALES.index(scale) < SCALES.index(claim.scale):
        reason = f"needs a study of scale {claim.scale}, this one has scale {scale} (its figure is for information)"
        return row | {"verdict": UNTESTED, "reason": reason}
    verdict, reason = verdict_on(evidence, claim.judge)
    return row | {"verdict": verdict, "reason": f"{reason}; {evidence.basis}"}


def table_of(quantity: Quantity) -> str:
    """Name of the table that shows the figure, empty where none of the report does."""
    if quantity.kind == "difference":
        return TABLES.get((quantity.task, quantity.metric), "")
    return TABLES.get((quantity.kind, quantity.table), "") if quantity.kind == "learnability" else ""


def verdict_on(evidence: Evidence, judge: Judge) -> tuple[str, str]:
    """The verdict and its reason in a few words: the whole interval must pass the rule, and p where there is one."""
    low, high = evidence.low, evidence.high
    lower, upper = judge.value - judge.margin, judge.value + judge.margin
    passed, wanted, refuted = {
        "above": (low > judge.value, f"above {judge.value:g}", high <= judge.value),
        "at_least": (low >= judge.value, f"at least {judge.value:g}", high < judge.value),
        "below": (high < judge.value, f"below {judge.value:g}", low >= judge.value),
        "near": (low >= lower and high <= upper, f"within {lower:g} to {upper:g}", high < lower or low > upper),
    }[judge.rule]
    if passed and evidence.p is not None and not evidence.p < P_LIMIT:
        return FAILS, f"{wanted}, but p = {evidence.p:.2g} is not below {P_LIMIT}"
    tested = "" if evidence.p is None else f", p ≤ {evidence.p:.2g}"
    if passed:
        return HOLDS, f"the whole interval is {wanted}{tested}"
    return (
        FAILS,
        f"the whole interval is not {wanted}" if refuted else f"the interval is not wholly {wanted}: undecided",
    )
