"""One self-contained HTML page: verdicts, tables, figures and how they came about."""

import json
import platform
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.files import must_exist, whole
from scfm.paper.cautions import CONTROL_COLUMNS, DATASET_COLUMNS, control_warnings, dataset_warnings
from scfm.paper.claims import COLUMNS as CLAIM_COLUMNS
from scfm.paper.claims import FAILS, HOLDS, UNTESTED
from scfm.paper.render import Table, anchor, caption, data_uri, html_table
from scfm.paper.tables.hyperparameters import flatten
from scfm.paper.tidy import read_table
from scfm.paper.timings import timings
from scfm.paper.training import training_summary

PACKAGES = (
    "scfm",
    "torch",
    "lightning",
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "anndata",
    "scanpy",
    "tiledbsoma",
    "igraph",
    "pynndescent",
    "snakemake",
    "papermill",
)


@dataclass(frozen=True)
class Inputs:
    """Everything that the page shows; tables and figures by name, e.g. table5 and figure2."""

    study: str
    scale: str
    claims: Path
    captions: Path
    tables: dict[str, Path]
    figures: dict[str, list[Path]] = field(default_factory=dict)
    corpus: list[Path] = field(default_factory=list)
    """CSV and JSON files of the corpus: QC, split, sampling, manifest."""
    training: dict[tuple[str, str], Path] = field(default_factory=dict)
    """(run, seed) to metrics.csv."""
    checks: Path | None = None
    resources: Path | None = None
    timings: list[Path] = field(default_factory=list)
    """Folders of Snakemake's benchmark files."""
    settings: dict = field(default_factory=dict)
    """The study's settings, seeds included."""


@dataclass(frozen=True)
class Section:
    """One table or figure with its caption."""

    id: str
    caption: str
    table: Table | None = None
    images: list[str] = field(default_factory=list)


def write_report(inputs: Inputs, out: Path) -> dict[str, int]:
    """Write the page to `out`.

    Returns:
        Counts for the summary line: tables, figures and one count for each verdict.

    Raises:
        ScfmError: an input is missing or lacks a column, or a table or figure has no caption.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    claims = read_table(inputs.claims, CLAIM_COLUMNS, "the verdicts on the claims")
    counts = {verdict: int((claims.verdict == verdict).sum()) for verdict in (HOLDS, FAILS, UNTESTED)}
    environment = Environment(
        loader=PackageLoader("scfm.paper", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("report.html.j2").render(
        inputs=inputs,
        counts=counts,
        claims=[_claim(row) for row in claims.fillna("").to_dict("records")],
        caption_claims=caption(inputs.captions, "claims"),
        warnings=_warnings(inputs.tables),
        tables=[_table(name, path, inputs.captions) for name, path in inputs.tables.items()],
        figures=[_figure(name, paths, inputs.captions) for name, paths in inputs.figures.items()],
        provenance=_provenance(inputs),
    )
    with whole(out) as temporary:
        temporary.write_text(page)
    return {"tables": len(inputs.tables), "figures": len(inputs.figures), **counts}


def _claim(row: dict) -> dict:
    """A claim for the template: its verdict as a CSS class, its figures as one text."""
    numbers = html_table(pd.DataFrame([{key: row[key] for key in ("ours", "low", "high")}])).rows[0]
    figures = f"{numbers[0]} ({numbers[1]} to {numbers[2]})" if numbers[0] else ""
    return row | {"css": anchor(row["verdict"]), "figures": figures}


def _warnings(tables: dict[str, Path]) -> list[str]:
    found = []
    if "table14" in tables:
        found += dataset_warnings(read_table(tables["table14"], DATASET_COLUMNS, "table 14"))
    else:
        found.append("Table 14 is not part of this page, so contamination and small panels were not looked for.")
    if "controls" in tables:
        found += control_warnings(read_table(tables["controls"], CONTROL_COLUMNS, "the table of controls"))
    else:
        found.append("The table of controls is not part of this page: runs were not compared with random weights.")
    return found


def _table(name: str, path: Path, captions: Path) -> Section:
    return Section(anchor(name), caption(captions, name), html_table(read_table(path, [], f"the table {name}")))


def _figure(name: str, paths: list[Path], captions: Path) -> Section:
    return Section(anchor(name), caption(captions, name), images=[data_uri(path) for path in paths])


def _provenance(inputs: Inputs) -> list[tuple[str, Table]]:
    """Titles and tables of how the results came about."""
    parts = [(f"Corpus: {path.stem.replace('_', ' ')}", _any(path)) for path in inputs.corpus]
    if inputs.training:
        parts.append(("Training, last record of each run", training_summary(inputs.training)))
    if inputs.checks:
        parts.append(("Checks against the planted truth", _any(inputs.checks)))
    if inputs.timings:
        parts.append(("Run time and peak memory by rule", timings(inputs.timings)))
    if inputs.resources:
        parts.append(("External files", _any(inputs.resources)))
    parts.append(("Versions in the environment that wrote this page", versions()))
    if inputs.settings:
        parts.append(("Settings of the study, seeds included", _pairs(inputs.settings)))
    return [(title, html_table(table)) for title, table in parts]


def _any(path: Path) -> pd.DataFrame:
    """A CSV or TSV as it is, a JSON mapping as keys and values."""
    if path.suffix != ".json":
        return read_table(path, [], "a table")
    try:
        return _pairs(json.loads(must_exist(path, "a JSON file").read_text()))
    except json.JSONDecodeError as error:
        raise ScfmError(f"{path}: not valid JSON ({error}); make the file again") from error


def _pairs(data: dict) -> pd.DataFrame:
    return pd.DataFrame(flatten(data).items(), columns=["key", "value"])


def versions() -> pd.DataFrame:
    """Python and the packages that the results depend on; empty where one is not installed here."""
    installed = dict.fromkeys(PACKAGES, "")
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    rows = [("python", platform.python_version()), *installed.items()]
    return pd.DataFrame(rows, columns=["package", "version"])
