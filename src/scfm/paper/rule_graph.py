"""The workflow as it ran: rules and what each took from which, from Snakemake's records, drawn as SVG."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from scfm.errors import ScfmError

LONGEST_NAME = 254
"""Characters of a record's file name; of a longer one Snakemake makes folders that begin with @."""
BOX, GAP = (132, 30), (34, 12)
"""Width and height of a rule, and the space between two, in user units of the SVG."""
REPORT = "report"
SWEEPS = 6
"""Passes that put each rule near those that it is joined with."""


@dataclass
class Rule:
    """One rule with its jobs."""

    stage: str
    jobs: set[tuple] = field(default_factory=set)
    after: set[str] = field(default_factory=set)
    """Rules whose outputs it took."""


def read_graph(targets: Iterable[str | Path], records: Path) -> dict[str, Rule]:
    """Rules that made `targets` and all that these stem from, and last of all `REPORT`, which takes the targets.

    Args:
        targets: files as Snakemake names them, relative to the working directory.
        records: `.snakemake/metadata`; files without a record there were made by no job, or are not recorded.

    Raises:
        ScfmError: a record is not of the form that this version of Snakemake writes.
    """
    rules: dict[str, Rule] = {}
    makers: dict[str, str | None] = {}
    inputs: list[tuple[str, str]] = []
    targets = list(dict.fromkeys(map(str, targets)))
    new = list(targets)
    while new:
        name = new.pop()
        if name in makers:
            continue
        record = _record(name, records)
        makers[name] = record and record["rule"]
        if record is None:
            continue
        logs = tuple(record["log"])
        stage = Path(logs[0]).parts[2] if logs and len(Path(logs[0]).parts) > 3 else ""
        rules.setdefault(record["rule"], Rule(stage)).jobs.add((logs, record["job_hash"]))
        inputs += [(record["rule"], other) for other in record["input"]]
        new += record["input"]
    for rule, name in inputs:
        if makers[name] not in (None, rule):
            rules[rule].after.add(makers[name])
    if rules:  # its own record is written when it has ended
        rules[REPORT] = Rule("paper", {(REPORT,)}, {makers[name] for name in targets} - {None, REPORT})
    return rules


def _record(name: str, records: Path) -> dict | None:
    encoded = urlsafe_b64encode(name.encode()).decode()
    parts = [encoded[start : start + LONGEST_NAME] for start in range(0, len(encoded), LONGEST_NAME)]
    path = records.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text())
        return {key: record[key] for key in ("rule", "input", "log", "job_hash")}
    except (ValueError, KeyError, TypeError) as error:
        raise ScfmError(
            f"{path}: not a record of Snakemake ({type(error).__name__}); delete it, then run the study again"
        ) from error


def reduced(rules: dict[str, Rule]) -> dict[str, set[str]]:
    """What each rule comes right after: without those that it comes after through another one anyway."""
    before: dict[str, set[str]] = {}
    for name in _in_order(rules):
        after = rules[name].after
        before[name] = after.union(*(before[other] for other in after))
    return {name: rule.after - set().union(*(before[other] for other in rule.after)) for name, rule in rules.items()}


def _in_order(rules: dict[str, Rule]) -> list[str]:
    order: list[str] = []
    left = dict(sorted(rules.items()))
    while left:
        ready = [name for name, rule in left.items() if rule.after <= set(order)]
        if not ready:
            raise ScfmError(f"rules {', '.join(left)}: each comes after another of them; delete Snakemake's records")
        order += ready
        left = {name: rule for name, rule in left.items() if name not in ready}
    return order


def _columns(rules: dict[str, Rule], edges: dict[str, set[str]]) -> list[list[str]]:
    """Rules, each just before the first that needs it, and in a column near the middle of those it is joined with."""
    left: dict[str, int] = {}
    for name in reversed(_in_order(rules)):
        left[name] = max((left[other] + 1 for other in left if name in rules[other].after), default=0)
    columns = [[name for name in rules if left[name] == column] for column in range(max(left.values()), -1, -1)]
    joined = {name: edges[name] | {other for other in edges if name in edges[other]} for name in rules}
    for _ in range(SWEEPS):
        place = {name: (row + 0.5) / len(column) for column in columns for row, name in enumerate(column)}
        for column in columns:
            middle = {name: sum(place[o] for o in joined[name]) / max(len(joined[name]), 1) for name in column}
            column.sort(key=middle.__getitem__)
            place |= {name: (row + 0.5) / len(column) for row, name in enumerate(column)}
    return columns


def draw(rules: dict[str, Rule]) -> str:
    """The graph as an SVG element, left to right; the class of a box is its stage. Empty for no rule."""
    if not rules:
        return ""
    edges = reduced(rules)
    columns = _columns(rules, edges)
    (width, height), (across, down) = BOX, GAP
    tall = max(map(len, columns)) * (height + down)
    at = {
        name: (column * (width + across), (row + 0.5) * tall / len(names) - height / 2)
        for column, names in enumerate(columns)
        for row, name in enumerate(names)
    }
    lines = [_line(at[first], at[second]) for second, befores in edges.items() for first in sorted(befores)]
    boxes = [_box(name, rules[name], *at[name]) for name in at]
    size = f"0 0 {len(columns) * (width + across) - across} {tall:g}"
    label = f"{len(rules)} rules of the workflow, from left to right"
    return f'<svg class="dag" viewBox="{size}" role="img" aria-label="{label}">{"".join(lines + boxes)}</svg>'


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    (width, height), across = BOX, GAP[0]
    x1, y1, x2, y2 = start[0] + width, start[1] + height / 2, end[0], end[1] + height / 2
    return f'<path d="M{x1:g} {y1:g}C{x1 + across:g} {y1:g} {x2 - across:g} {y2:g} {x2:g} {y2:g}"/>'


def _box(name: str, rule: Rule, x: float, y: float) -> str:
    jobs = f"{len(rule.jobs)} job{'s' if len(rule.jobs) > 1 else ''}"
    number = f" × {len(rule.jobs)}" if len(rule.jobs) > 1 else ""
    text = f'<text x="{x + BOX[0] / 2:g}" y="{y + BOX[1] / 2 + 4:g}">{escape(name)}{number}</text>'
    box = f'<rect x="{x:g}" y="{y:g}" width="{BOX[0]}" height="{BOX[1]}" rx="5"/>'
    stage = escape(rule.stage)
    return f'<g class="{stage}"><title>{escape(name)} ({stage}): {jobs}</title>{box}{text}</g>'
