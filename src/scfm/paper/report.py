"""One self-contained HTML page: verdicts, tables, figures and how they came about."""

import json
import os
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
ABOUT = {"figure2": ("section 2.2", "supplementary 9", "supplementary 10")}
"""Figure to the sections of the paper whose claims it bears on; a claim names its section."""


@dataclass(frozen=True)
class Inputs:
    """Everything that the page shows; tables and figures by name, e.g. table5 and figure2."""

    study: str
    scale: str
    claims: Path
    captions: Path
    tables: dict[str, Path]
    figures: dict[str, list[Path]] = field(default_factory=dict)
    scatters: dict[tuple[str, str], Path] = field(default_factory=dict)
    """(run, seed) to the folder of its figures of the learnability stage."""
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
    links: dict[str, str] = field(default_factory=dict)
    """Text to the address of a page beside this one."""
    claims: dict[str, list[dict]] = field(default_factory=dict)
    """Verdict to the claims that the figure bears on."""


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
    rows = [_claim(row) for row in claims.fillna("").to_dict("records")]
    figures = [_figure(name, paths, inputs.captions, rows) for name, paths in inputs.figures.items()]
    if inputs.scatters:
        figures.append(_scatter(inputs, out))
    environment = Environment(
        loader=PackageLoader("scfm.paper", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("report.html.j2").render(
        inputs=inputs,
        counts=counts,
        claims=rows,
        caption_claims=caption(inputs.captions, "claims"),
        warnings=_warnings(inputs.tables),
        tables=[_table(name, path, inputs.captions) for name, path in inputs.tables.items()],
        figures=figures,
        provenance=_provenance(inputs),
    )
    with whole(out) as temporary:
        temporary.write_text(page)
    return {"tables": len(inputs.tables), "figures": len(figures), **counts}


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


def _figure(name: str, paths: list[Path], captions: Path, claims: list[dict]) -> Section:
    about = [claim for claim in claims if any(part in claim["section"].lower() for part in ABOUT.get(name, ()))]
    verdicts = {
        verdict: [claim for claim in about if claim["verdict"] == verdict] for verdict in (HOLDS, FAILS, UNTESTED)
    }
    images = [data_uri(path) for path in paths]
    return Section(anchor(name), caption(captions, name), images=images, claims=verdicts if about else {})


def _scatter(inputs: Inputs, out: Path) -> Section:
    """Z against zero fraction: the image of each run's first seed, and a link to the page with names of every one."""
    first = {run: folder for (run, _), folder in reversed(inputs.scatters.items())}
    images = [data_uri(first[run] / "scatter.png") for run in dict.fromkeys(run for run, _ in inputs.scatters)]
    pages = {
        f"{run}, seed {seed}": must_exist(folder / "scatter.html", "an interactive figure")
        for (run, seed), folder in inputs.scatters.items()
    }
    links = {text: Path(os.path.relpath(page, out.parent)).as_posix() for text, page in pages.items()}
    return Section("scatter", caption(inputs.captions, "scatter"), images=images, links=links)


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
