"""Values as they stand in the report: tables, captions and images as safe HTML."""

import base64
import json
import os
import re
from dataclasses import dataclass, field
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
    sources: list[list[str]] = field(default_factory=list)
    """For each cell the numbers of its tidy rows, as `scfm.paper.sources` gives them; empty for a table without."""
    file: str = ""
    """Address of the CSV, relative to the page."""


def cell(value: object) -> str:
    """One value as text: 3 significant digits for fractions, thousands separators for counts, empty for missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def html_table(table: pd.DataFrame, sources: list[list[str]] | None = None, file: str = "") -> Table:
    """A DataFrame as text cells; columns of numbers are marked, so that they can stand right-aligned."""
    numeric = [
        pd.api.types.is_numeric_dtype(table[name]) and not pd.api.types.is_bool_dtype(table[name]) for name in table
    ]
    rows = [[cell(value) for value in row] for row in table.astype(object).to_numpy().tolist()]
    return Table([str(name).replace("_", " ") for name in table], numeric, rows, sources or [], file)


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


def address(path: Path, page: Path) -> str:
    """A file as a link from the page to it."""
    return Path(os.path.relpath(path, page.parent)).as_posix()


def packed(table: pd.DataFrame) -> dict:
    """A long table in little room: for each column its distinct values, and the place of each row's among them."""
    columns = {}
    for name in table:
        codes, levels = pd.factorize(table[name].astype(object), use_na_sentinel=True)
        columns[name] = {"levels": list(levels), "codes": codes.tolist()}
    return columns


def script_json(data: object) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def anchor(text: str) -> str:
    """A text as the id of an element."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
