"""The two figures of a run: an image, and a page that needs nothing else."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from scfm.learnability.analysis import analyse
from scfm.learnability.figures import scatter
from scfm.learnability.interactive import scatter_page
from scfm.learnability.settings import Learnability, Resampling

SETTINGS = Learnability(permutations=Resampling(n=3))


@pytest.fixture
def analysis(simulated, annotated):
    errors = simulated(n=400, winners=0.05, sd=0.1).assign(gene=lambda table: "</script>" + table.gene)
    return analyse(errors, annotated(errors.gene), SETTINGS)


def references(value, known):
    """Ids of objects that a Bokeh document names before it describes them; it reads from top to bottom."""
    if isinstance(value, list):
        return [name for part in value for name in references(part, known)]
    if not isinstance(value, dict):
        return []
    if set(value) == {"id"}:
        return [] if value["id"] in known else [value["id"]]
    known |= {value["id"]} if "id" in value else set()
    return [name for part in value.values() for name in references(part, known)]


def test_page_holds_every_reliable_gene_and_loads_nothing(analysis, tmp_path):
    scatter_page(analysis.genes, analysis.summary, SETTINGS, tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    scripts = re.findall(r"<script>(.*?)</script>", page, re.S)
    assert len(scripts) == 2
    assert not re.search(r"<(link|img|iframe)|<script [^>]*src", page)
    assert page.count("<script>") == page.count("</script>") == 2
    item = json.loads(scripts[1].removeprefix("Bokeh.embed.embed_item(").removesuffix(")"))
    assert references(item["doc"]["roots"], set()) == []
    genes = re.findall(r"<\\/script>(G\d+)", scripts[1])
    assert set(genes) == {name.removeprefix("</script>") for name in analysis.genes.gene[analysis.genes.reliable]}
    assert f"winners ({analysis.summary['winners']})" in scripts[1]
    assert f"{analysis.summary['null']['sign']['rate']:.1%} with residuals of random sign" in page
    assert len(page) < 2e6


def test_image_shows_winners_in_their_colour(analysis, tmp_path):
    scatter(analysis.genes, analysis.summary, SETTINGS, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (pixels == [0x00, 0x9E, 0x73]).all(axis=1).any()


@pytest.mark.parametrize("settings", [SETTINGS.model_copy(update={"min_nonzero": 10**6}), SETTINGS])
def test_nothing_to_show_is_still_a_figure(simulated, tmp_path, settings):
    result = analyse(simulated(n=20).assign(rescaled_mae=0.0), None, settings)
    scatter(result.genes, result.summary, settings, tmp_path / "a.png")
    scatter_page(result.genes, result.summary, settings, tmp_path / "a.html")
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert "expected (" in (tmp_path / "a.html").read_text()
