"""The answer that a reader looks for first: does WCED beat MLM here?"""

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from scfm.paper.claims import HOLDS, UNTESTED

METRICS = {"macro_f1": "Macro F1 of cell types", "avg_bio": "AvgBio of batch integration"}
MLM = {"mlm_cls": "MLM by its CLS token, the paper’s reading", "mlm_mean": "MLM by the mean over its tokens"}
CONTROLS = {"random": "the same network with random weights", "pca": "principal components"}
BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"


@dataclass(frozen=True)
class Comparison:
    """WCED by its CLS token against one other embedding in one metric."""

    metric: str
    other: str
    claim: str
    """Its id, empty if claims.csv lacks it."""
    state: str
    """better, worse, undecided, or not tested here."""
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    reason: str = ""

    @property
    def text(self) -> str:
        """Effect and interval with their signs."""
        if self.ours is None:
            return ""
        return f"{self.ours:+.3f} ({self.low:+.3f} to {self.high:+.3f})".replace("-", "−")


@dataclass(frozen=True)
class Verdict:
    """The block at the top of the page."""

    answer: str
    summary: str
    comparisons: list[Comparison]
    reach: float
    """Largest distance from 0 of any interval, for the drawing; 0 where there is none."""

    @property
    def groups(self) -> dict[str, list[Comparison]]:
        """Metric to its comparisons."""
        return {name: [item for item in self.comparisons if item.metric == name] for name in METRICS.values()}


def claim_ids() -> list[str]:
    """Claims that the block is made from, in its order."""
    return [f"wced_over_{other}_{metric}" for metric in METRICS for other in (*MLM, *CONTROLS)]


def verdict(claims: pd.DataFrame) -> Verdict:
    """The answer in words and figures.

    Yes: WCED is better than both readings of MLM in both metrics. In part: in some of them. No: in none, and worse in
    at least one. Otherwise it is undecided, or not tested.

    Args:
        claims: claims.csv; a claim that it lacks counts as not tested.
    """
    rows = {row["claim"]: row for row in claims.to_dict("records")}
    found = [
        _comparison(name, other, metric, rows.get(f"wced_over_{other}_{metric}"))
        for metric, name in METRICS.items()
        for other in (*MLM, *CONTROLS)
    ]
    against = [item for item in found if item.other in MLM.values()]
    states = Counter(item.state for item in against)
    tested = [item for item in against if item.state != UNTESTED]
    if not tested:
        answer, sentences = "Not tested here", ["No comparison of WCED with MLM could be judged in this study."]
    else:
        answer = _answer(states, len(against))
        sentences = [f"WCED is better in {states[BETTER]} of {len(against)} comparisons with MLM"]
        others = [f"{states[state]} {state}" for state in (WORSE, UNDECIDED, UNTESTED) if states[state]]
        sentences[0] += f" ({', '.join(others)})." if others else ", with the whole interval above 0 in each."
        sentences += _controls(found)
    reach = max((abs(value) for item in found if item.ours is not None for value in (item.low, item.high)), default=0.0)
    return Verdict(answer, " ".join(sentences), found, reach)


def _answer(states: Counter, all_of_them: int) -> str:
    if states[BETTER] == all_of_them:
        return "Yes"
    if states[BETTER]:
        return "In part"
    return "No" if states[WORSE] else "Undecided"


def _comparison(metric: str, other: str, key: str, row: dict | None) -> Comparison:
    name, claim = (MLM | CONTROLS)[other], f"wced_over_{other}_{key}"
    if row is None:
        return Comparison(metric, name, "", UNTESTED, reason=f"claims.csv has no claim {claim}.")
    if row["verdict"] == UNTESTED:
        return Comparison(metric, name, claim, UNTESTED, reason=row["reason"])
    figures = [float(row[column]) for column in ("ours", "low", "high")]
    state = BETTER if row["verdict"] == HOLDS else WORSE if figures[2] < 0 else UNDECIDED
    n = None if pd.isna(row["n"]) else int(row["n"])
    return Comparison(metric, name, claim, state, *figures, n, str(row["reason"]).partition("; ")[2])


def _controls(found: list[Comparison]) -> list[str]:
    """A sentence for each control."""
    sentences = []
    for name in CONTROLS.values():
        states = {item.metric.split(" of ")[0]: item.state for item in found if item.other == name}
        parts = [f"{state} in {metric}" for metric, state in states.items() if state != UNTESTED]
        sentences.append(f"Against {name}: {', '.join(parts) or UNTESTED}.")
    return sentences
