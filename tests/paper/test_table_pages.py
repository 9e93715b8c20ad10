"""Tables as HTML pages and as LaTeX, and the paper's items by their numbers."""

import re

import pandas as pd
import pytest

from scfm.errors import ScfmError
from scfm.paper.latex import escape, latex_caption, latex_table
from scfm.paper.pages import write_pages
from scfm.paper.tables.contents import ITEMS, contents


@pytest.fixture
def folder(tmp_path):
    """Two tables with captions; one is numbered."""
    table = pd.DataFrame({"run_name": ["a_b & <c>", "50 % ± 1"], "cells": [12345, 2], "value": [0.123456, None]})
    for name in ("table5", "ranks"):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        (tmp_path / f"{name}.rst").write_text(f"**Title of {name}.** ``wced`` − ``mlm`` in *units* of 5 % †\n")
    return tmp_path


def test_every_table_has_a_page_and_numbered_ones_latex(folder):
    tables = {name: folder / f"{name}.csv" for name in ("table5", "ranks")}
    assert write_pages(tables, folder, folder / "out") == {"HTML": 2, "LaTeX": 1}
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["ranks.html", "table5.html", "table5.tex"]
    page = (folder / "out/table5.html").read_text()
    assert "a_b &amp; &lt;c&gt;" in page
    assert "<strong>Title of table5.</strong>" in page
    row = re.findall(r"<td[^>]*>(.*?)</td>", page)[3:]
    assert row == ["50 % ± 1", "2", ""]
    assert '<th class="number">cells</th>' in page
    text = (folder / "out/table5.tex").read_text()
    assert r"a\_b \& \textless{}c\textgreater{} & 12,345 & 0.123 \\" in text
    assert r"50 \% $\pm$ 1 & 2 &  \\" in text
    assert r"run name & cells & value \\" in text
    assert r"\textbf{Title of table5.}" in text
    with pytest.raises(ScfmError, match=r"absent\.rst: a caption not found"):
        write_pages({"absent": folder / "ranks.csv"}, folder, folder / "out")


def test_nothing_in_a_text_is_left_to_latex():
    assert escape("\\ { } $ & % # _ ^ ~") == (
        r"\textbackslash{} \{ \} \$ \& \% \# \_ \textasciicircum{} \textasciitilde{}"
    )
    assert escape("a\n b") == "a b"
    assert escape("wced − mlm → 0.5 ± 0.1 †") == r"wced $-$ mlm $\rightarrow$ 0.5 $\pm$ 0.1 \textdagger{}"


def test_captions_of_all_tables_are_latex_in_latin_letters(pytestconfig):
    for path in sorted((pytestconfig.rootpath / "workflow/report").glob("table*.rst")):
        text = latex_caption(path.read_text())
        assert text.startswith(r"\textbf{Table"), path
        assert not re.search(r"[^\x00-\xff]", text), (path, re.findall(r"[^\x00-\xff]", text))
        assert text.count("{") == text.count("}"), path


def test_a_long_address_can_be_broken_and_a_short_text_is_left_alone():
    address = "https://example.org/collections/e5f58829-1a66?acc=GSM"
    text = latex_table(pd.DataFrame({"url": [address], "name": ["a/b-c"]}), [False] * 2, "Addresses.", "a")
    assert text.replace(r"\allowbreak{}", "").count(address) == 1
    assert r"collections/\allowbreak{}e5f58829-\allowbreak{}1a66" in text
    assert "a/b-c" in text


def test_wide_tables_come_in_parts_with_the_first_column_in_each():
    table = pd.DataFrame([[f"{row}.{column}" * 5 for column in range(12)] for row in range(3)])
    text = latex_table(table, [True] * 12, "**Wide.**", "wide")
    bodies = re.findall(r"\\endfoot\n(.*?)\\end\{longtable\}", text, re.S)
    assert len(bodies) > 1
    assert all(body.splitlines()[0].startswith("0.0") for body in bodies)
    columns = [set(re.findall(r"0\.\d+?(?=0\.)", body.splitlines()[0])) for body in bodies]
    assert len(set.union(*columns)) == 12
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == len(bodies)
    assert text.count("tab:wide") == 1
    twice = pd.DataFrame({"run": ["a", "a"], "pooling": ["cls", "mean"]} | {f"c{i}": ["x" * 30] * 2 for i in range(6)})
    parts = latex_table(twice, [False] * 8, "Wide.", "wide").split(r"\begin{longtable}")[1:]
    assert len(parts) > 1
    assert all("run & pooling & c" in part for part in parts)
    assert latex_table(pd.DataFrame(), [], "Empty.", "e").count(r"\begin{longtable}") == 1
    assert r"\\" in latex_table(pd.DataFrame({"a": []}), [False], "Empty.", "e")


def test_every_item_of_the_paper_is_here_or_missing_for_a_reason(tmp_path):
    here = {name: tmp_path / f"{name}.csv" for name in ITEMS if name != "figure6"}
    table = contents(here, {"figure6": "needs its file x.h5ad"}).set_index("item")
    assert len(table) == 14 + 9
    assert table.loc["Figure 6", ["file", "missing"]].tolist() == ["", "needs its file x.h5ad"]
    assert table.loc["Figure S7", "missing"] == ""
    assert table.index[[0, 13]].tolist() == ["Table 1", "Table 14"]
    with pytest.raises(ScfmError, match="figure6: neither its file nor a reason is given"):
        contents(here, {})
