"""One self-contained HTML page: the answer, verdicts, tables, figures and how they came about."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.files import must_exist, whole
from scfm.paper.cautions import CONTROL_COLUMNS, DATASET_COLUMNS, control_warnings, dataset_warnings
from scfm.paper.claims import COLUMNS as CLAIM_COLUMNS
from scfm.paper.claims import FAILS, HOLDS, UNTESTED
from scfm.paper.provenance import any_table, config_digests, pairs, seeds, versions
from scfm.paper.render import Table, address, anchor, caption, data_uri, html_table, packed, script_json
from scfm.paper.rule_graph import draw, read_graph
from scfm.paper.sources import TidyRows, sources, tidy_rows
from scfm.paper.tidy import read_table
from scfm.paper.timings import largest, read_jobs, summed
from scfm.paper.training import training_summary
from scfm.paper.verdict import verdict

ABOUT = {"figure2": ("section 2.2", "supplementary 9", "supplementary 10")}
"""Figure to the sections of the paper whose claims it bears on; a claim names its section."""
GROUPS = ("abstract", "section", "table", "figure", "supplementary")
"""Order of the groups of claims; what is none of these comes after them."""
VERDICTS = (HOLDS, FAILS, UNTESTED)


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
    tidy: Path | None = None
    """Tidy results, which the cells of the tables lead to."""
    configs: dict[tuple[str, str], Path] = field(default_factory=dict)
    """(run, seed) to config.json of the model directory."""
    records: Path | None = None
    """Snakemake's records, which the graph of the workflow is drawn from."""


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

    @property
    def title(self) -> str:
        """Name for the list of contents: `Table 5`, `Figure S7`, `Macro f1`."""
        if numbered := re.fullmatch(r"(table|figure)-?(s?\d+)", self.id):
            return f"{numbered[1].capitalize()} {numbered[2].upper()}"
        return self.id.replace("-", " ").capitalize()


def write_report(inputs: Inputs, out: Path) -> dict[str, int]:
    """Write the page to `out`.

    Returns:
        Counts for the summary line: tables, figures and one count for each verdict.

    Raises:
        ScfmError: an input is missing or lacks a column, or a table or figure has no caption.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    claims = read_table(inputs.claims, CLAIM_COLUMNS, "the verdicts on the claims")
    counts = {name: int((claims.verdict == name).sum()) for name in VERDICTS}
    rows = [_claim(row, inputs.tables) for row in claims.fillna("").to_dict("records")]
    figures = [_figure(name, paths, inputs.captions, rows) for name, paths in inputs.figures.items()]
    if inputs.scatters:
        figures.append(_scatter(inputs, out))
    tidy = tidy_rows(inputs.tidy) if inputs.tidy else None
    environment = Environment(
        loader=PackageLoader("scfm.paper", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("report.html.j2").render(
        inputs=inputs,
        style=_beside("report.css"),
        script=_beside("report.js"),
        verdict=verdict(claims),
        counts=counts,
        groups=_groups(rows),
        caption_claims=caption(inputs.captions, "claims"),
        warnings=_warnings(inputs.tables),
        tables=[_table(name, path, inputs.captions, tidy, out) for name, path in inputs.tables.items()],
        figures=figures,
        graph=draw(read_graph(_targets(inputs), inputs.records)) if inputs.records else "",
        provenance=_provenance(inputs),
        tidy=script_json(_tidy(tidy, inputs, out)),
    )
    with whole(out) as temporary:
        temporary.write_text(page)
    return {"tables": len(inputs.tables), "figures": len(figures), **counts}


def _beside(name: str) -> str:
    return (Path(__file__).parent / name).read_text()


def _claim(row: dict, tables: dict[str, Path]) -> dict:
    """A claim for the template: its verdict as a CSS class, its figures as one text, the id of its table if shown."""
    numbers = html_table(pd.DataFrame([{key: row[key] for key in ("ours", "low", "high")}])).rows[0]
    figures = f"{numbers[0]} ({numbers[1]} to {numbers[2]})" if numbers[0] else ""
    shown = anchor(row["table"]) if row["table"] in tables else ""
    return row | {"css": anchor(row["verdict"]), "figures": figures, "shown": shown}


def _groups(claims: list[dict]) -> dict[str, list[dict]]:
    """Claims by the place of the paper that they stand in: the numbered section if one is named, else the first."""
    groups: dict[str, list[dict]] = {}
    for claim in claims:
        numbered = re.search(r"(?:section|supplementary) \d+(?:\.\d+)?", claim["section"], re.I)
        name = numbered[0] if numbered else re.split(r"[,;]", claim["section"])[0].strip()
        title = "Checks of our own" if name == "validation" else name[:1].upper() + name[1:]
        groups.setdefault(title, []).append(claim)
    return dict(sorted(groups.items(), key=lambda item: _place(item[0])))


def _place(group: str) -> tuple:
    kind, *numbers = group.lower().split()
    rank = GROUPS.index(kind) if kind in GROUPS else len(GROUPS)
    return rank, [int(part) for part in re.findall(r"\d+", " ".join(numbers))], group


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


def _table(name: str, path: Path, captions: Path, tidy: TidyRows | None, out: Path) -> Section:
    table = read_table(path, [], f"the table {name}")
    found = sources(table, tidy) if tidy else []
    return Section(anchor(name), caption(captions, name), html_table(table, found, address(path, out)))


def _figure(name: str, paths: list[Path], captions: Path, claims: list[dict]) -> Section:
    about = [claim for claim in claims if any(part in claim["section"].lower() for part in ABOUT.get(name, ()))]
    verdicts = {name: [claim for claim in about if claim["verdict"] == name] for name in VERDICTS}
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
    links = {text: address(page, out) for text, page in pages.items()}
    return Section("scatter", caption(inputs.captions, "scatter"), images=images, links=links)


def _targets(inputs: Inputs) -> list[Path]:
    """Files that the page is made from."""
    single = [inputs.claims, inputs.checks, inputs.resources, inputs.tidy]
    several = [*inputs.tables.values(), *inputs.corpus, *inputs.training.values(), *inputs.configs.values()]
    pictures = [path for paths in inputs.figures.values() for path in (*paths, *(path.parent for path in paths))]
    pictures += [folder / name for folder in inputs.scatters.values() for name in ("scatter.png", "scatter.html")]
    return [path for path in single if path] + several + pictures


def _tidy(tidy: TidyRows | None, inputs: Inputs, out: Path) -> dict:
    """What a click on a cell shows: the tidy rows, and the settings that each run was made from."""
    if tidy is None:
        return {"columns": {}, "runs": {}, "file": ""}
    runs = config_digests(inputs.configs, inputs.settings)
    linked = {name: run | {"file": run["file"] and address(Path(run["file"]), out)} for name, run in runs.items()}
    return {"columns": packed(tidy.table), "runs": linked, "file": address(inputs.tidy, out)}


def _provenance(inputs: Inputs) -> list[tuple[str, Table]]:
    """Titles and tables of how the results came about."""
    parts = []
    if inputs.timings:
        jobs = read_jobs(inputs.timings)
        parts.append(("Run time and peak memory by stage", summed(jobs, "stage")))
        parts.append(("The jobs that took the most memory", largest(jobs)))
        parts.append(("Run time and peak memory by rule", summed(jobs, "rule")))
    parts.append(("Versions in the environment that wrote this page", versions()))
    if inputs.settings:
        parts.append(("Seeds", seeds(inputs.settings)))
    parts += [(f"Corpus: {path.stem.replace('_', ' ')}", any_table(path)) for path in inputs.corpus]
    if inputs.resources:
        parts.append(("External files", any_table(inputs.resources)))
    if inputs.training:
        parts.append(("Training, last record of each run", training_summary(inputs.training)))
    if inputs.checks:
        parts.append(("Checks against the planted truth", any_table(inputs.checks)))
    if inputs.settings:
        parts.append(("Settings of the study", pairs(inputs.settings)))
    return [(title, html_table(table)) for title, table in parts]


def images(path: Path) -> list[Path]:
    """The PNG files of a figure's folder by name, or the one file given.

    Raises:
        ScfmError: the folder holds none.
    """
    found = sorted(path.glob("*.png")) if path.is_dir() else [path]
    if not found:
        raise ScfmError(f"{path}: no PNG file in this folder; run the figure's notebook again")
    return found
