import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from report_inputs import png, write_inputs

from scfm.errors import ScfmError
from scfm.paper.cautions import control_warnings, dataset_warnings
from scfm.paper.render import caption, cell, html_table
from scfm.paper.report import Inputs, write_report
from scfm.paper.timings import largest, read_jobs, summed
from scfm.paper.training import training_summary

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Checks that tags are balanced; keeps ids, links, sources and text."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.sources, self.text = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if "href" in attrs else []
        self.sources += [attrs["src"]] if "src" in attrs else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parse(path):
    page = Page()
    page.feed(path.read_text())
    page.close()
    assert page.open == []
    return page


@pytest.fixture
def inputs(tmp_path, pytestconfig):
    return write_inputs(tmp_path, pytestconfig.rootpath / "workflow/report")


def test_page_holds_everything_and_needs_nothing(inputs, tmp_path):
    out = tmp_path / "report.html"
    counts = write_report(inputs, out)
    assert counts == {"tables": 3, "figures": 1, "holds": 2, "does not hold": 1, "not tested here": 1}
    page = parse(out)
    assert {"verdict", "claims", "warnings", "figure3", "table5", "table14", "workflow", "provenance"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.links
    assert all(link[0] == "#" and link[1:] in page.ids for link in page.links)
    assert '<a href="#table5">0.2 (0.1 to 0.3)</a>' in out.read_text()
    assert len(page.sources) == 2
    image = base64.b64decode(page.sources[0].removeprefix("data:image/png;base64,"))
    assert image == inputs.figures["figure3"][0].read_bytes()
    text = " ".join(page.text)
    for expected in (
        "WCED beats MLM <b>",
        "0.2 (0.1 to 0.3)",
        "13.67-fold",
        "0.700 ± 0.141 †",
        "few counts",
        "1.5",
        "hgnc",
        "61.5",
        "812",
        "paper.seed",
        "python",
        "synthetic",
        "pretrain/train-wced-0",
        "part of its cells",
        "small panel of 859",
    ):
        assert expected in text, expected
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"base64,[A-Za-z0-9+/=]+", "", out.read_text()))
    assert not re.search(r"<script[^>]* src|<link|@import|url\(", out.read_text())


def test_scatters_are_shown_and_linked_to(inputs, tmp_path):
    folders = {("mlm", "0"): tmp_path / "l/mlm/0", ("mlm", "1"): tmp_path / "l/mlm/1", ("wced", "0"): tmp_path / "l/w"}
    for folder in folders.values():
        folder.mkdir(parents=True)
        png(folder / "scatter.png")
        (folder / "scatter.html").write_text("<!doctype html>")
    write_report(replace(inputs, scatters=folders), tmp_path / "out" / "report.html")
    page = parse(tmp_path / "out" / "report.html")
    assert len(page.sources) == 2 + 2  # of each run's first seed
    assert all(source.startswith("data:") for source in page.sources)
    links = [link for link in page.links if link.endswith("html")]
    assert links == ["../l/mlm/0/scatter.html", "../l/mlm/1/scatter.html", "../l/w/scatter.html"]
    assert all((tmp_path / "out" / link).exists() for link in links)
    (tmp_path / "l/w/scatter.html").unlink()
    with pytest.raises(ScfmError, match=r"scatter\.html: an interactive figure not found"):
        write_report(replace(inputs, scatters=folders), tmp_path / "out" / "report.html")


def test_caption_of_figure_2_says_what_holds_here(inputs, tmp_path):
    claims = pd.read_csv(tmp_path / "claims.csv")
    claims = claims.astype({"published": object})
    claims.loc[1] = claims.loc[0].to_dict() | {"claim": "genes_win", "section": "Abstract, section 2.2"}
    claims.loc[1, ["text", "verdict"]] = ["Identity genes win.", "does not hold"]
    claims.to_csv(tmp_path / "claims.csv", index=False)
    figures = {"figure2": [png(tmp_path / "figure2.png")], "figure3": [png(tmp_path / "figure3.png")]}
    write_report(replace(inputs, figures=figures), tmp_path / "report.html")
    text = " ".join(" ".join(parse(tmp_path / "report.html").text).split())
    assert "At this scale does not hold : Identity genes win ." in text
    assert text.count("At this scale") == 1


def test_the_answer_stands_before_the_claims_and_they_before_everything_else(inputs, tmp_path):
    write_report(inputs, tmp_path / "report.html")
    page = parse(tmp_path / "report.html")
    assert page.ids[:2] == ["verdict", "claims"]
    text = " ".join(" ".join(page.text).split())
    assert "Does WCED beat MLM here? In part" in text
    assert "+0.200 (+0.100 to +0.300)" in text
    assert "−0.200 (−0.400 to −0.100)" in text


def test_claims_are_grouped_by_their_place_in_the_paper(inputs, tmp_path):
    sections = [
        "validation",
        "Figure 5",
        "Supplementary 10",
        "Abstract, section 2.5",
        "Section 2.2, table 4",
        "Abstract",
    ]
    row = pd.read_csv(inputs.claims).iloc[0].to_dict()
    rows = [row | {"claim": f"c{i}", "section": section} for i, section in enumerate(sections)]
    pd.DataFrame(rows).to_csv(inputs.claims, index=False)
    write_report(inputs, tmp_path / "report.html")
    groups = re.findall(r"<summary>([^:<]+): ", (tmp_path / "report.html").read_text())
    wanted = ["Abstract", "Section 2.2", "Section 2.5", "Figure 5", "Supplementary 10", "Checks of our own"]
    assert groups[: len(wanted)] == wanted


def test_page_without_optional_parts(inputs, tmp_path):
    bare = Inputs(study="x", scale="demo", claims=inputs.claims, captions=inputs.captions, tables={})
    write_report(bare, tmp_path / "bare.html")
    text = " ".join(parse(tmp_path / "bare.html").text)
    assert "No table was given." in text
    assert "No figure was given." in text
    assert "contamination and small panels were not looked for" in text
    assert "Not drawn: Snakemake has no records" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tables": {"table99": "table5.csv"}}, "table99.rst: a caption not found"),
        ({"tables": {"table5": "none.csv"}}, "none.csv: the table table5 not found"),
        ({"figures": {"figure3": ["table5.csv"]}}, "table5.csv: not a PNG image"),
        ({"claims": "table5.csv"}, "table5.csv: column 'claim' is missing"),
        ({"corpus": ["bad.json"]}, "bad.json: not valid JSON"),
        ({"training": {("mlm", "0"): "empty.csv"}}, "empty.csv: the training log has no row"),
        ({"timings": ["nothing"]}, "nothing: the folder of benchmark files not found"),
        ({"tidy": "none.csv"}, "none.csv: a tidy results table not found"),
        ({"configs": {("wced", "0"): "manifest.json"}}, "manifest.json: key 'settings' is missing"),
    ],
)
def test_bad_inputs_are_named_and_leave_no_page(inputs, tmp_path, change, message):
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "empty.csv").write_text("epoch\n")

    def at(value):
        if isinstance(value, dict):
            return {key: at(part) for key, part in value.items()}
        return [at(part) for part in value] if isinstance(value, list) else tmp_path / value

    broken = Inputs(**(vars(inputs) | {key: at(value) for key, value in change.items()}))
    with pytest.raises(ScfmError, match=message):
        write_report(broken, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_every_table_and_figure_has_a_caption(pytestconfig):
    folder = pytestconfig.rootpath / "workflow/report"
    for name in (
        "claims",
        *(f"table{k}" for k in (1, 2, 3, 4, 5, 6, 7, 14)),
        "macro_f1",
        "ontology",
        "controls",
        "ranks",
        "pairs",
        "figure2",
        "figure3",
        *("learnability", "winners", "crosstab", "sensitivity", "detection", "gating", "scatter"),
    ):
        html = caption(folder, name)
        assert html.startswith("<p>"), name
        assert "system-message" not in html, name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        (True, "yes"),
        (12345, "12,345"),
        (12345.0, "12,345"),
        (4956.7, "4,957"),
        (0.123456, "0.123"),
        (1e-9, "1e-09"),
        (2.0, "2"),
        ("a", "a"),
        (pd.NA, ""),
    ],
)
def test_cells_as_text(value, text):
    assert cell(value) == text


def test_columns_of_numbers_are_marked():
    table = html_table(pd.DataFrame({"name": ["a"], "n": [1], "ok": [True], "x": [0.5]}))
    assert table.numeric == [False, True, False, True]
    assert table.rows == [["a", "1", "yes", "0.5"]]


def test_rules_are_summed_over_their_jobs(tmp_path):
    for name, seconds, memory in (
        ("pretrain/train-mlm-0", 10, "500"),
        ("pretrain/train-wced-0", 30, "700"),
        ("embed", 5, "-"),
    ):
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:10\t{memory}\n")
    jobs = read_jobs([tmp_path])
    table = summed(jobs, "rule")
    assert table.rule.tolist() == ["pretrain/train", "embed"]
    assert table.loc[0].tolist() == ["pretrain/train", 2, 40, 30, 700]
    assert pd.isna(table.loc[1, "peak_mib"])
    assert summed(jobs, "stage").stage.tolist() == ["pretrain", "embed"]
    assert largest(jobs, 1).loc[0].tolist() == ["pretrain/train-wced-0", 700, 30]


def test_last_record_of_a_log_skips_gaps(tmp_path):
    path = tmp_path / "metrics.csv"
    pd.DataFrame({"epoch": [0, 1], "train_loss": [2.0, 1.0], "validate_loss": [1.8, None]}).to_csv(path, index=False)
    row = training_summary({("mlm", "3"): path}).iloc[0]
    assert (row.run, row.seed, row.epoch, row.train_loss, row.validate_loss) == ("mlm", "3", 1, 1.0, 1.8)


def test_warnings_name_what_is_wrong():
    rows = {
        "dataset": list("abc"),
        "role": ["zero-shot", "zero-shot", "pretraining"],
        "contaminated": ["true", "false", ""],
    }
    facts = {"panel": [False, False, True], "genes": 9000, "values": ["counts", "tpm", "counts"], "batches": [2, 1, 1]}
    found = dataset_warnings(pd.DataFrame(rows | facts))
    assert [text.split(":")[0] for text in found] == ["a", "b", "b"]
    controls = pd.DataFrame(
        {
            "run": ["wced", "mlm", "mlm_hce"],
            "pooling": "cls",
            "metric": "avg_bio",
            "control": "random/cls",
            "beaten": [3, 1, None],
            "datasets": 3,
            "above_control": [True, False, None],
        }
    )
    untold, failed = control_warnings(controls)
    assert untold.startswith("mlm_hce (cls), avg_bio: one seed, so without a spread")
    assert failed.startswith("mlm (cls), avg_bio: does not beat random/cls")
    assert failed.endswith("(1 of 3).")
