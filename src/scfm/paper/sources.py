"""From a cell of a table to the tidy rows that it stems from, by the labels of its row and column."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from scfm.paper.tables.by_dataset import UNDEFINED
from scfm.paper.tidy import in_one_column, per_seed, read_tidy

KEY = ["task", "metric", "split", "dataset", "run", "pooling"]
LABELS = ("task", "metric", "dataset")
ARM = re.compile(r"([\w.+-]+)/([\w.+-]+)")
NUMBER = re.compile(r"-?\d+(?:\.(\d+))?(?![\w.])")
Measure = tuple[str, str, str]
"""Task, metric and split."""


@dataclass(frozen=True)
class TidyRows:
    """Tidy results in an order in which the rows of one embedding on one dataset in one metric are neighbours."""

    table: pd.DataFrame
    """The tidy columns, and `line`: where a row stands in its file."""
    spans: dict[tuple[str, ...], tuple[int, int]]
    """`KEY` to the first row and the one after the last."""
    values: dict[tuple[str, ...], pd.Series]
    """`KEY` to the values by seed, folds averaged."""
    sides: dict[tuple[Measure, str], list[tuple[str, ...]]]
    """Measure and run to its keys, of every dataset and pooling."""

    @cached_property
    def measures(self) -> list[Measure]:
        """Every measure, in their order."""
        return list(dict.fromkeys(measure for measure, _ in self.sides))


@dataclass(frozen=True)
class Cell:
    """What the labels say of one cell."""

    text: str
    arms: tuple[tuple[str, str], ...]
    """(run, pooling) of each side; an empty pooling stands for any."""
    labels: dict[str, str]


def tidy_rows(path: Path) -> TidyRows:
    """Read tidy results.

    Raises:
        ScfmError: as `read_tidy`.
    """
    tidy = read_tidy([path])
    tidy = tidy.assign(line=tidy.index + 2).sort_values([*KEY, "seed", "fold"], ignore_index=True)
    spans = {key: (own[0], own[-1] + 1) for key, own in tidy.groupby(KEY).groups.items()}
    values = {key: own.set_index("seed").value for key, own in per_seed(tidy).groupby(KEY)}
    sides = defaultdict(list)
    for key in spans:
        sides[key[:3], key[4]].append(key)
    return TidyRows(in_one_column(tidy), spans, values, dict(sides))


def sources(table: pd.DataFrame, rows: TidyRows) -> list[list[str]]:
    """For each cell the numbers of its tidy rows, as `3-5 9-11`; empty where it has none.

    Labels leave open which measure a table is of that does not say so, such as macro F1 by dataset. The values settle
    that: of the measures that the labels allow, the one counts whose mean over seeds is what the cell shows, and of
    several the one that fits most cells of the table. A cell that shows something else, as a spread or a mean over
    datasets, is of the same measure as its row. What stays open has no rows.
    """
    known = {name: set(rows.table[name]) for name in (*LABELS, "run", "pooling")}
    cells = [_row_of_cells(row, known) for row in table.astype(object).to_dict("records")]
    fits = [[_fitting(cell, rows) for cell in row] for row in cells]
    score = Counter(measure for row in fits for found in row for measure in found)
    return [
        [_spans(cell, _measure(cell, found, row, score, rows), rows) for cell, found in zip(own, row, strict=True)]
        for own, row in zip(cells, fits, strict=True)
    ]


def _row_of_cells(row: dict, known: dict[str, set]) -> list[Cell | None]:
    texts = {column: value for column, value in row.items() if isinstance(value, str)}
    labels = {name: texts[name] for name in LABELS if texts.get(name) in known[name]}
    pooling = texts["pooling"] if texts.get("pooling") in known["pooling"] else ""
    # A baseline's pooling has the name of its run.
    arms = [(text, pooling) for column, text in texts.items() if text in known["run"] and column != "pooling"]
    for text in texts.values():
        arms += [arm for arm in ARM.findall(text) if arm[0] in known["run"] and arm[1] in known["pooling"]]
    return [_cell(column, value, tuple(arms), labels, known) for column, value in row.items()]


def _cell(column: str, value: object, arms: tuple, labels: dict, known: dict[str, set]) -> Cell | None:
    """The cell as its labels have it; None where it holds no number, or one that is published or counts something."""
    text = "" if pd.isna(value) else str(value)
    number = text == UNDEFINED or NUMBER.match(text)
    if not (arms and number) or column.startswith("published") or column in (*LABELS, "run", "pooling"):
        return None
    own = dict(labels)
    if column in known["dataset"]:
        own["dataset"] = column
    named = [metric for metric in known["metric"] if column == metric or column.startswith(f"{metric}_")]
    if named:
        own["metric"] = max(named, key=len)
    counts = isinstance(value, int) and "metric" not in own
    labelled = bool({"metric", "dataset"} & set(own)) or column == "mean"
    return Cell(text, arms, own) if labelled and not counts else None


def _allowed(cell: Cell, rows: TidyRows) -> list[Measure]:
    """Measures that the labels allow and that every side has."""
    given = [(place, cell.labels[name]) for place, name in enumerate(("task", "metric")) if name in cell.labels]
    measures = [measure for measure in rows.measures if all(measure[place] == text for place, text in given)]
    return [measure for measure in measures if all(_keys(cell, measure, arm, rows) for arm in cell.arms)]


def _keys(cell: Cell, measure: Measure, arm: tuple[str, str], rows: TidyRows) -> list[tuple[str, ...]]:
    """Keys of one side in one measure: of the cell's dataset, or of every one."""
    run, pooling = arm
    dataset = cell.labels.get("dataset")
    return [
        key
        for key in rows.sides.get((measure, run), [])
        if dataset in (None, key[3]) and (not pooling or key[5] == pooling)
    ]


def _fitting(cell: Cell | None, rows: TidyRows) -> list[Measure]:
    """Measures whose mean over seeds, or difference of two sides, is the number that the cell shows."""
    number = NUMBER.match(cell.text) if cell else None
    if number is None or "dataset" not in cell.labels or not all(pooling for _, pooling in cell.arms):
        return []
    half_a_digit = 0.5 * 10.0 ** -min(len(number[1] or ""), 6) + 1e-9
    return [
        measure
        for measure in _allowed(cell, rows)
        if abs(_value([rows.values[_keys(cell, measure, arm, rows)[0]] for arm in cell.arms]) - float(number[0]))
        <= half_a_digit
    ]


def _value(sides: list[pd.Series]) -> float:
    """Mean over seeds of one side, or of the difference of the first two, over the seeds in common if there are any."""
    if len(sides) == 1:
        return sides[0].mean()
    paired = (sides[0] - sides[1]).dropna()
    return paired.mean() if len(paired) else sides[0].mean() - sides[1].mean()


def _measure(
    cell: Cell | None, fitting: list[Measure], row: list[list[Measure]], score: Counter, rows: TidyRows
) -> Measure | None:
    if cell is None:
        return None
    allowed = _allowed(cell, rows)
    if not fitting:
        beside = Counter(max(found, key=score.__getitem__) for found in row if found)
        fitting = [measure for measure, _ in beside.most_common() if measure in allowed][:1]
    if not fitting and "metric" in cell.labels:
        fitting = allowed if len(allowed) == 1 else [measure for measure in allowed if score[measure]]
    return max(fitting, key=score.__getitem__) if fitting else None


def _spans(cell: Cell | None, measure: Measure | None, rows: TidyRows) -> str:
    if cell is None or measure is None:
        return ""
    keys = dict.fromkeys(key for arm in cell.arms for key in _keys(cell, measure, arm, rows))
    return " ".join(f"{first}-{end - 1}" for first, end in (rows.spans[key] for key in keys))
