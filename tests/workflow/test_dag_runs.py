"""The study `tiny`, run once to its end: everything is there, well-formed, and nothing else."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import yaml
from clone import clone

pytestmark = pytest.mark.slow

LEARNABILITY = ["learnability", "winners", "crosstab", "sensitivity", "detection", "gating"]
TABLES = [
    *(f"table{n}" for n in (1, 2, 3, 4, 5, 6, 7, 14)),
    "macro_f1",
    "ontology",
    "controls",
    "ranks",
    "pairs",
    "contents",
    "inconsistencies",
    *LEARNABILITY,
]
FIGURES = ["figure2", "figure3"]
STAGES = ("resources", "corpus", "pretrain", "annotation", "learnability", "benchmarks", "paper")
SUMMARY = re.compile(rf"({'|'.join(STAGES)}) [^:]+: \S.*")
# Trivial jobs, run where Snakemake runs, without command of ours.
TRIVIAL = {"run_settings"}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory, tiny):
    """Every job of the study."""
    return clone(tmp_path_factory.mktemp("empty") / "clone").jobs(*tiny)


@pytest.fixture(scope="module")
def printed(finished):
    """What Snakemake and its jobs printed."""
    return (finished.folder / "printed.txt").read_text()


@pytest.mark.parametrize("name", [*(f"tables/{table}" for table in TABLES), "claims", "check", "benchmarks/results"])
def test_table_is_well_formed(results, name):
    table = pd.read_csv(results / f"{name}.csv")
    assert len(table) > 0
    assert table.columns.is_unique
    assert not any(str(column).startswith("Unnamed") for column in table)
    assert not table.duplicated().any()


def test_tables_are_pages_too_and_the_numbered_ones_latex(results):
    written = {kind: {path.stem for path in (results / "tables").glob(f"*.{kind}")} for kind in ("html", "tex")}
    assert written == {"html": set(TABLES), "tex": {name for name in TABLES if re.fullmatch(r"table\d+", name)}}


def test_every_item_of_the_paper_is_there_or_said_to_be_missing(results):
    table = pd.read_csv(results / "tables/contents.csv", keep_default_na=False)
    assert ((table["file"] == "") != (table["missing"] == "")).all()
    assert all((results.parents[1] / path).exists() for path in table["file"] if path)
    assert (table.loc[table["item"] == "Figure 4", "missing"] == "left out by the key figures of the study file").all()


def test_no_other_tables_and_figures(results):
    assert {path.stem for path in (results / "tables").iterdir()} == set(TABLES)
    assert {path.name for path in (results / "figures").iterdir()} == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_well_formed(results, name):
    from PIL import Image

    folder = results / "figures" / name
    with Image.open(folder / f"{name}.png") as image:
        image.load()
        assert min(image.size) > 300
        assert len(np.unique(np.asarray(image.convert("L")))) > 10  # not blank
    pdf = (folder / f"{name}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    notebook = json.loads((folder / f"{name}.ipynb").read_text())
    assert all(cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code" and cell["source"])


def test_every_claim_has_a_verdict(results, finished):
    claims = pd.read_csv(results / "claims.csv")
    known = yaml.safe_load((finished.folder / "config/claims.yaml").read_text())["claims"]
    assert claims["claim"].tolist() == [claim["id"] for claim in known]
    assert set(claims["verdict"]) <= {"holds", "does not hold", "not tested here"}


class Page(HTMLParser):
    """Tags opened and closed, what is loaded from elsewhere, and ids."""

    VOID = {"meta", "link", "img", "br", "hr", "input", "col"}

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.ids = [], [], set()

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        self.ids |= {facts["id"]} if "id" in facts else set()
        self.sources += [facts["src"]] if "src" in facts else []
        self.sources += [facts["href"]] if tag == "link" and "href" in facts else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_report_is_whole_and_needs_nothing_else(results):
    text = (results / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.sources
    assert all(source.startswith("data:") for source in page.sources)
    assert not re.search(r"\{\{|\{%", text)
    for name in (*TABLES, *FIGURES):
        assert name.replace("_", "-") in page.ids


def test_interactive_figures_lie_beside_the_report(results):
    links = re.findall(r'href="([^#"]+)"', (results / "report.html").read_text())
    assert sorted(links) == [f"learnability/{run}/0/scatter.html" for run in ("mlm", "wced_hce")]
    for link in links:
        assert not re.search(r"<(link|img|iframe)|<script [^>]*src", (results / link).read_text())


def test_nothing_temporary_is_left(results):
    # Snakemake marks folders that are outputs by a file of its own.
    hidden = [p for p in results.rglob("*") if p.name.startswith(".") and p.name != ".snakemake_timestamp"]
    assert hidden == []
    assert [p for p in results.rglob("*") if p.suffix in (".tmp", ".part", ".partial", ".lock")] == []
    assert not list((results / "corpus").glob("scatter/*"))


def test_every_output_exists(jobs, finished):
    temporary = {"scatter_part"}
    missing = [path for job in jobs for path in job.output if not (finished.folder / path).exists()]
    assert {job.rule for job in jobs for path in job.output if path in missing} == temporary


def test_every_job_left_its_measurements(jobs, finished):
    for job in jobs:
        if job.rule in TRIVIAL:
            continue
        table = pd.read_csv(finished.folder / job.benchmark, sep="\t")
        assert len(table) == 1, job.name
        assert (table["s"] > 0).all(), job.name


def test_every_job_left_a_log_that_ends_with_its_summary(jobs, finished, printed):
    lines = printed.splitlines()
    for job in jobs:
        logs = [finished.folder / path for path in job.log]
        assert logs, job.name
        assert all(log.is_file() for log in logs), job.name
        if job.rule in TRIVIAL:
            continue
        text = next(log for log in logs if log.suffix == ".log").read_text()
        last = text.splitlines()[-1]
        assert SUMMARY.fullmatch(last), f"{job.name}: {last}"
        # Snakemake writes the end of its own lines separately, so that one may stand before; none of ours does.
        before = [line.removesuffix(last) for line in lines if line.endswith(last)]
        assert any(not SUMMARY.search(text) for text in before), job.name


def test_no_error_was_printed(printed):
    assert "Traceback" not in printed
    assert not re.search(r"^scfm: error", printed, re.M)


def test_rerun_has_nothing_to_do(finished, tiny):
    assert finished.jobs(*tiny) == []


def test_the_closing_line_names_the_report_even_if_nothing_is_left_to_do(edited):
    done = edited.run("all", "closing", "--config", "study=tiny", "--cores", "1")
    assert done.returncode == 0, done.stdout
    verdicts = pd.read_csv(edited.folder / "results/tiny/claims.csv")["verdict"]
    line = next(line for line in done.stdout.splitlines() if line.startswith("study tiny: claims: "))
    assert all(f"{(verdicts == verdict).sum()} {verdict}" in line for verdict in set(verdicts))
    assert line.endswith(f"open {edited.folder / 'results/tiny/report.html'}")
