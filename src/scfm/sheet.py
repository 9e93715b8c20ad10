"""Sheets: tab-separated tables with one header line, each row checked against its settings."""

import csv
from pathlib import Path
from typing import Any

from pydantic import BeforeValidator

from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.settings import Model, parse


def _comma_list(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


CommaList: Any = BeforeValidator(_comma_list)
"""A field whose text is a list, separated by commas."""
Maybe: Any = BeforeValidator(lambda value: None if value == "" else value)
"""A field that is None where it is empty."""


def read_sheet(path: Path, model: type[Model], what: str) -> dict[str, Model]:
    """Read a sheet as name -> row.

    Args:
        model: settings of a row, with a field `name`.
        what: what a row describes, for the messages.

    Raises:
        ScfmError: the file is missing or has no header, a column is unknown or missing, a value is wrong, or a name
            occurs twice.
    """
    path = must_exist(path, f"sheet of {what}s")
    with path.open(newline="") as handle:
        reader = csv.DictReader(handle, delimiter="\t", restkey="(surplus field)", restval=None)
        rows, header = list(reader), reader.fieldnames
    if not header:
        raise ScfmError(f"{path}: no {what} found; expected a header line and one line for each {what}")
    sheet: dict[str, Model] = {}
    for line, row in enumerate(rows, start=2):
        where = f"{path} line {line}"
        if None in row.values() or "(surplus field)" in row:
            raise ScfmError(f"{where}: number of fields differs from the header's; separate fields with one tab each")
        entry = parse(model, row, where)
        if entry.name in sheet:
            raise ScfmError(f"{where}: {what} '{entry.name}' occurs twice; names must be unique")
        sheet[entry.name] = entry
    return sheet
