"""Table 1: the resolved settings of every run beside the published ones."""

import json
from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.paper.tidy import read_table

PUBLISHED = ("setting", "key", "published_mlm", "published_wced", "source")


def flatten(data: object, prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted keys and printed values; list items are numbered."""
    if isinstance(data, dict | list) and data:
        items = data.items() if isinstance(data, dict) else enumerate(data)
        return {key: value for name, part in items for key, value in flatten(part, f"{prefix}.{name}").items()}
    return {prefix.lstrip("."): data if isinstance(data, str) else json.dumps(data)}


def read_run(path: Path) -> dict[str, str]:
    """Flattened settings of one run's JSON file.

    Raises:
        ScfmError: the file is missing or is not a JSON mapping.
    """
    try:
        data = json.loads(must_exist(path, "the settings of a run").read_text())
    except json.JSONDecodeError as error:
        raise ScfmError(f"{path}: not valid JSON ({error}); train the run again") from error
    if not isinstance(data, dict):
        raise ScfmError(f"{path}: expected a JSON mapping of settings; train the run again")
    return flatten(data)


def hyperparameters(runs: dict[str, dict[str, str]], published: Path) -> pd.DataFrame:
    """Published settings first, in their order, then every other setting of the runs.

    Args:
        runs: run name to flattened settings (`flatten`).
        published: CSV with the columns of `PUBLISHED`; `key` is the end of the dotted key, or empty for a
            published setting that a run has no key for.

    Returns:
        Columns setting, key, one per run, published_mlm, published_wced, differs (runs whose value is not the published
        one of their objective), source.

    Raises:
        ScfmError: no run given, or a column of the published table is missing.
    """
    if not runs:
        raise ScfmError("--run: no run given; give NAME=FILE for each pretraining run")
    printed = read_table(published, PUBLISHED, "a table of published settings").fillna("").astype(str)
    ours = pd.DataFrame(runs).rename_axis("full").reset_index()
    ours["key"] = [_published_key(full, list(printed.key)) for full in ours.full]
    table = printed.merge(ours, on="key", how="outer", sort=False)
    table["key"] = table.full.where(table.full.notna(), table.key)
    table["setting"] = table.setting.where(table.setting.notna(), table.key)
    order = {name: place for place, name in enumerate([*printed.setting, *sorted(ours.full)])}
    table = table.sort_values("setting", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    table = table[["setting", "key", *runs, *PUBLISHED[2:]]].fillna("")
    table.insert(table.shape[1] - 1, "differs", [_differs(row, runs) for row in table.to_dict("records")])
    return table


def _differs(row: dict[str, str], runs: dict[str, dict[str, str]]) -> str:
    """Names of the runs that have a value and a published one for their objective, which is another."""
    found = []
    for name, settings in runs.items():
        objective = next((value for key, value in settings.items() if key.endswith("objective.kind")), "")
        ours, published = row[name], row.get(f"published_{objective}", "")
        if ours and published and _number(ours) != _number(published):
            found.append(name)
    return ", ".join(found)


def _number(text: str) -> float | str:
    """A printed value as a number, so that 1e-4 equals 0.0001; as it is if it is none."""
    try:
        return float(text)
    except ValueError:
        return text


def _published_key(full: str, published: list[str]) -> str:
    """The published key that `full` ends with, or `full` itself."""
    return next((key for key in published if key and f".{full}".endswith(f".{key}")), full)
