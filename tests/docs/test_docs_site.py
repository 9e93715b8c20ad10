"""The documentation builds without a warning, needs no network, and its reference pages lack nothing."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]


class Page(HTMLParser):
    """Ids, links, what is loaded, and the text of a page."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loaded, self.text = set(), [], [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        self.ids |= {facts["id"]} if facts.get("id") else set()
        self.links += [facts["href"]] if tag == "a" and facts.get("href") else []
        self.loaded += [facts[name] for name in ("src", "href") if tag != "a" and facts.get(name)]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """Path of each page to what it holds."""
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def named(pages, name):
    return next(page for path, page in pages.items() if path.name == name)


def squeezed(text):
    """Text without white space and marks of Markdown."""
    return re.sub(r"[\s`*\\]", "", text)


def test_links_resolve_and_nothing_is_loaded_from_elsewhere(pages):
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            if re.match("https?:", link):
                assert link in page.links, f"{path.name} loads {link}"
                continue
            name, _, anchor = unquote(link).partition("#")
            target = (path.parent / name.split("?")[0]).resolve() if name else path
            assert target.exists(), f"{path.name}: {link}"
            if anchor and target in pages:
                assert anchor in pages[target].ids, f"{path.name}: {link}"


def test_start_page_has_a_path_for_each_reader(pages, site):
    start = pages[site / "index.html"]
    for address in ("results.html", "cluster.html", "scale.html", "biologist.html", "reference/settings.html"):
        assert address in start.links


def test_every_key_of_every_schema_is_explained(pages):
    page = named(pages, "settings.html")
    words, text = {word.strip() for word in page.text}, squeezed("".join(page.text))
    for path in (ROOT / "workflow/schemas").glob("*.schema.yaml"):
        schema = yaml.safe_load(path.read_text())
        assert path.name.split(".")[0] in page.ids
        for part in [schema, *schema.get("$defs", {}).values()]:
            for key, field in part.get("properties", {}).items():
                assert key in words, f"{path.name}: {key}"
                assert squeezed(field.get("description", "")) in text, f"{path.name}: {key}"


def test_every_rule_is_listed_under_its_file(pages):
    page = named(pages, "rules.html")
    for path in RULES:
        for name in re.findall(r"^rule (\w+):", path.read_text(), re.M):
            assert name in page.ids, name
        for name in re.findall(r"^for (\w+) in [^\n]+:\n\n    rule:", path.read_text(), re.M):
            assert f"one-for-each-{name}" in page.ids, name


def test_every_command_is_listed(pages):
    from scfm.cli import STAGES

    page = named(pages, "commands.html")
    assert {f"scfm-{name}" for name in (*STAGES, "embed", "annotate", "bench", "doctor")} <= page.ids
    assert {"scfm-paper-report", "scfm-paper-table-4", "scfm-pretrain-train", "scfm-learnability-table"} <= page.ids
    called = {match for path in RULES for match in re.findall(r"-m scfm ([a-z]+ [a-z][\w-]*)(?= )", path.read_text())}
    assert called
    assert {f"scfm-{name.replace(' ', '-')}" for name in called} <= page.ids


def test_every_caption_tells_how_to_read_its_table(pages):
    page = named(pages, "tables.html")
    names = {path.stem for path in (ROOT / "workflow/report").glob("*.rst")}
    assert names <= page.ids


def test_nothing_generated_is_committed():
    listed = subprocess.run(["git", "ls-files", "docs"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "docs/reference" not in listed
    assert "docs/files" not in listed


def test_every_tutorial_has_a_page_with_its_cells_and_a_link(pages, site):
    notebooks = sorted((ROOT / "docs/tutorials").glob("*.ipynb"))
    assert len(notebooks) == 5
    links = pages[site / "biologist.html"].links
    for notebook in notebooks:
        page = pages[site / f"tutorials/{notebook.stem}.html"]
        text = squeezed("".join(page.text))
        for cell in json.loads(notebook.read_text())["cells"]:
            if cell["cell_type"] == "code":
                assert squeezed("".join(cell["source"])) in text
        assert notebook.name in page.links
        assert f"tutorials/{notebook.stem}.html" in links
