"""Values as they stand in the report: tables, captions and images as safe HTML."""

import base64
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.files import must_exist

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Table:
    """A table ready for the template."""

    columns: list[str]
    numeric: list[bool]
    rows: list[list[str]]


def cell(value: object) -> str:
    """One value as text: 3 significant digits for fractions, thousands separators for counts, empty for missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{int(value):,}" if value.is_integer() and abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def html_table(table: pd.DataFrame) -> Table:
    """A DataFrame as text cells; columns of numbers are marked, so that they can stand right-aligned."""
    numeric = [
        pd.api.types.is_numeric_dtype(table[name]) and not pd.api.types.is_bool_dtype(table[name]) for name in table
    ]
    rows = [[cell(value) for value in row] for row in table.astype(object).to_numpy().tolist()]
    return Table([str(name).replace("_", " ") for name in table], numeric, rows)


def caption(folder: Path, name: str) -> str:
    """The caption `<folder>/<name>.rst` as HTML; the same file serves Snakemake's own report.

    Raises:
        ScfmError: there is no such caption.
    """
    from docutils.core import publish_parts

    path = must_exist(Path(folder) / f"{name}.rst", "a caption")
    safe = {"file_insertion_enabled": False, "raw_enabled": False, "report_level": 5}
    return publish_parts(path.read_text(), writer="html5", settings_overrides=safe)["body"]


def data_uri(path: Path) -> str:
    """A PNG as a data URI.

    Raises:
        ScfmError: the file is missing or not a PNG.
    """
    content = must_exist(path, "a figure").read_bytes()
    if not content.startswith(PNG):
        raise ScfmError(f"{path}: not a PNG image; give the PNG files of the figures")
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def anchor(text: str) -> str:
    """A text as the id of an element."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
