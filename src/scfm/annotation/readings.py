"""What each family and program would hold under other readings of the rules that the paper leaves open."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scfm.annotation.absent import NotInFile
from scfm.annotation.assign import counts, first_match, misplaced
from scfm.annotation.settings import Alternatives, AnnotationSettings, Reading
from scfm.annotation.sources import Contents, Files, Sources

KINDS = ("families", "programs")
OWN = "this study"


@dataclass(frozen=True)
class Outcome:
    """What one reading gives, for each of `KINDS`."""

    assigned: dict[str, np.ndarray]
    """Row of each gene, int [genes]."""
    counts: dict[str, pd.DataFrame]
    """See `scfm.annotation.assign.counts`."""


def compare(
    genes: pd.Series, files: Files, settings: AnnotationSettings, alternatives: Alternatives, others: dict[str, Path]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sort the genes into families and programs under the study's reading and under each other.

    Args:
        genes: approved symbols [genes], unique.
        settings: rules and readings of the study.
        alternatives: readings to compare with them.
        others: resource name to file, for readings that ask another one.

    Returns:
        The readings, the study's first: question, reading, chosen (whether it is the study's), families_misplaced and
        programs_misplaced (of the paper's genes, see `misplaced`), families_moved and programs_moved (genes that stand
        elsewhere than in this study), all in whole genes; most_changed (the three families and programs whose numbers
        differ most from this study's), note (why there are no numbers). Then the numbers of genes: kind, name, paper,
        and a column for this study and for each reading that differs from it.

    Raises:
        ScfmError: a file is missing or of another format, or does not hold what the study itself asks.
    """
    contents = Contents.read(files)
    own = _outcome(genes, contents, settings)
    rows, outcomes = [("", OWN, True, *_summary(own, own), "")], {OWN: own}
    for question, answer, reading in alternatives.listed():
        wanted = reading.applied(settings)
        chosen = not reading.resources and wanted == settings
        try:
            outcome = own if chosen else _outcome(genes, _with_files(contents, reading, others), wanted)
        except NotInFile as fault:
            rows.append((question, answer, chosen, *[None] * 5, str(fault)))
            continue
        rows.append((question, answer, chosen, *_summary(outcome, own), ""))
        if not chosen:
            outcomes[f"{question}: {answer}"] = outcome
    distances = [f"{kind}_{what}" for what in ("misplaced", "moved") for kind in KINDS]
    table = pd.DataFrame(rows, columns=["question", "reading", "chosen", *distances, "most_changed", "note"])
    table[distances] = table[distances].astype(float).round().astype("Int64")  # whole genes, or none given
    return table, _side_by_side(outcomes)


def _with_files(contents: Contents, reading: Reading, others: dict[str, Path]) -> Contents:
    for name, resource in reading.resources.items():
        if resource not in others:
            raise NotInFile(f"the resource '{resource}' is not part of this study")
        contents = contents.with_file(name, others[resource])
    return contents


def _outcome(genes: pd.Series, contents: Contents, settings: AnnotationSettings) -> Outcome:
    sources = Sources.join(genes, contents, settings)
    rows = {kind: getattr(settings, kind) for kind in KINDS}
    assigned = {kind: first_match(rows[kind], sources) for kind in KINDS}
    return Outcome(assigned, {kind: counts(rows[kind], assigned[kind], settings, {}) for kind in KINDS})


def _summary(other: Outcome, own: Outcome) -> tuple[float | int | str, ...]:
    """Genes misplaced and genes moved for each of `KINDS`, and the largest differences from this study in words."""
    table, before = pd.concat(other.counts.values()), pd.concat(own.counts.values())
    change = (table["n"] - before["n"]).set_axis(table["name"])
    largest = change[change != 0].sort_values(key=abs, ascending=False, kind="stable").head(3)
    return (
        *(misplaced(other.counts[kind]) for kind in KINDS),
        *(int((other.assigned[kind] != own.assigned[kind]).sum()) for kind in KINDS),
        "; ".join(f"{name} {by:+,d}" for name, by in largest.items()),
    )


def _side_by_side(outcomes: dict[str, Outcome]) -> pd.DataFrame:
    parts = []
    for kind in KINDS:
        published = outcomes[OWN].counts[kind][["name", "n_paper"]].rename(columns={"n_paper": "paper"})
        numbers = {name: outcome.counts[kind]["n"] for name, outcome in outcomes.items()}
        parts.append(published.assign(kind=kind, **numbers))
    return pd.concat(parts, ignore_index=True)[["kind", "name", "paper", *outcomes]]
