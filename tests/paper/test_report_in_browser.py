"""The report in a real browser, at both widths: no error, links resolve, nothing overflows, cells show their rows."""

import json
import re
import shutil
import subprocess
from html import unescape

import pytest
from report_inputs import png, write_inputs

from scfm.paper.report import write_report

pytestmark = pytest.mark.xdist_group("browser")

WIDTHS = (1280, 400)
# Two frames of given widths; what their pages do is written into this page, which the browser prints when all is done.
LOOK = """<!doctype html><body><pre id="found"></pre>
{frames}
<script>
const found = [];
function look(frame) {{
  const page = frame.contentDocument, root = page.documentElement, panel = page.getElementById("panel");
  const answer = page.querySelector("#verdict h2").getBoundingClientRect().bottom;
  const cells = [...page.querySelectorAll("td[data-rows]")], plain = page.querySelector("#table2 tbody td");
  const open = (cell, how) => {{
    how(cell);
    const text = panel.open ? panel.textContent : null;
    const links = [...panel.querySelectorAll("a")].map((a) => a.getAttribute("href"));
    panel.querySelector("button").click();
    return {{ text, links, closed: !panel.open }};
  }};
  const key = (key) => (target) => target.dispatchEvent(
    new frame.contentWindow.KeyboardEvent("keydown", {{ key, bubbles: true, cancelable: true }}));
  const visible = () => [...page.querySelectorAll("#claims tr[data-verdict]")].filter((row) => row.offsetParent).length;
  const filter = {{}};
  page.querySelectorAll("#claims input").forEach((input) => {{ input.click(); filter[input.value] = visible(); }});
  page.querySelector("#claims input").click();
  const box = page.querySelector("#table5 .box");
  key("Enter")(box);
  key("ArrowRight")(page.activeElement);
  key("ArrowDown")(page.activeElement);
  const walked = page.activeElement.textContent;
  found.push({{
    width: frame.contentWindow.innerWidth,
    overflow: root.scrollWidth - root.clientWidth,
    small: [...page.querySelectorAll("body *")].filter((e) => e.offsetParent && e.childNodes.length && !e.closest("svg")
      && parseFloat(getComputedStyle(e).fontSize) < 11).length,
    wide: [...page.querySelectorAll("body *")].filter((e) => e.offsetParent && !e.closest(".box, dialog")
      && e.getBoundingClientRect().right > root.clientWidth).map((e) => e.outerHTML.slice(0, 80)),
    answer,
    ids: [...page.querySelectorAll("[id]")].map((e) => e.id),
    links: [...page.querySelectorAll("a[href]")].map((a) => a.getAttribute("href")),
    loaded: frame.contentWindow.performance.getEntriesByType("resource").map((e) => e.name),
    images: [...page.images].every((image) => image.naturalWidth > 0),
    cells: cells.length, clicked: open(cells[cells.length - 1], (cell) => cell.click()),
    plain: open(plain, (cell) => cell.click()), keyed: open(cells[0], key("Enter")), walked, filter,
  }});
}}
addEventListener("load", () => {{
  [...document.querySelectorAll("iframe")].forEach(look);
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script></body>"""


@pytest.fixture(scope="module")
def browser(need):
    """Function: what the browser prints of a page when its scripts have ended, and what it logs."""
    program = shutil.which("chromium")
    need(program, "install chromium to look at the report in a browser")

    def run(page, profile):
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions"]
        options += [
            "--allow-file-access-from-files",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
        ]
        options += [f"--user-data-dir={profile}", "--window-size=1400,900", "--dump-dom", page.as_uri()]
        done = subprocess.run([program, *options], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    return run


@pytest.fixture(scope="module")
def looked(browser, tmp_path_factory, pytestconfig):
    """Folder of a small report, what was found at each width, and what the browser wrote to its console."""
    folder = tmp_path_factory.mktemp("browser")
    inputs = write_inputs(folder, pytestconfig.rootpath / "workflow/report")
    (folder / "scatter.html").write_text("<!doctype html>")
    png(folder / "scatter.png")
    inputs.scatters["wced", "0"] = folder
    write_report(inputs, folder / "report.html")
    frames = [f'<iframe src="report.html" style="width:{width}px;height:900px;border:0"></iframe>' for width in WIDTHS]
    (folder / "look.html").write_text(LOOK.format(frames="\n".join(frames)))
    printed, logged = browser(folder / "look.html", folder / "profile")
    found = json.loads(unescape(re.search(r'<pre id="found">(.*?)</pre>', printed, re.S)[1]))
    return folder, {page["width"]: page for page in found}, re.findall(r".*CONSOLE.*", logged)


def test_nothing_is_wrong_and_nothing_loaded(looked):
    _, pages, console = looked
    assert console == []
    for page in pages.values():
        assert page["loaded"] == []
        assert page["images"]


@pytest.mark.parametrize("width", WIDTHS)
def test_page_fits_its_width_and_can_be_read(looked, width):
    page = looked[1][width]
    assert page["wide"] == []
    assert page["overflow"] <= 0
    assert page["small"] == 0
    assert page["answer"] < 400  # pixels from the top


def test_links_resolve(looked):
    folder, pages, _ = looked
    page = pages[1280]
    everywhere = [*page["links"], *page["clicked"]["links"], *page["plain"]["links"]]
    assert {"#claims", "scatter.html", "results.csv", "config.json", "table2.csv"} <= set(everywhere)
    for link in everywhere:
        assert link[1:] in page["ids"] if link.startswith("#") else (folder / link).is_file(), link


@pytest.mark.parametrize("width", WIDTHS)
def test_a_cell_shows_the_measurements_behind_it(looked, width):
    page = looked[1][width]
    assert page["cells"] == 4  # mean and gut of two runs
    text = page["clicked"]["text"]
    assert "gut: 0.700 ± 0.141 †" in text
    assert "Line 3, column 5 of table5.csv" in text
    assert "From 2 measurements of results.csv" in text
    assert "wcedclsgutintegrationscore" in text
    assert page["clicked"]["closed"]
    assert "From 1 measurement of" in page["keyed"]["text"]
    assert "stems from no row" in page["plain"]["text"]


def test_arrows_walk_the_cells(looked):
    assert looked[1][1280]["walked"] == "cls"


def test_claims_are_filtered_by_verdict(looked):
    assert looked[1][400]["filter"] == {"": 4, "holds": 2, "does not hold": 1, "not tested here": 1}
