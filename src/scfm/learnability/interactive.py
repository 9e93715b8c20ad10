"""Z of every reliable gene against its zero fraction, in a page with the gene under the pointer."""

import json
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from scfm.files import whole
from scfm.learnability.figures import COLOURS, title
from scfm.learnability.outcomes import error_column
from scfm.learnability.settings import Learnability

# The library stands in the page, which so needs no network; `</script>` in the data would end the script.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>body {{ font: 15px/1.5 system-ui, sans-serif; margin: 1rem; }} p {{ margin: .3rem 0; }}</style>
</head>
<body>
<p>{title}.</p>
<p>Winners lie below the lower broken line and have an error below {ratio:g} × the trend; losers are their mirror image.
Dotted: the sparse cut. Point at a gene for its name, drag to move, scroll to zoom, hide outcomes in the legend.</p>
<div id="plot"></div>
<script>{library}</script>
<script>Bokeh.embed.embed_item({item})</script>
</body>
</html>
"""


def scatter_page(genes: pd.DataFrame, summary: dict, settings: Learnability, path: Path) -> None:
    """Write the page, which needs no other file.

    Args:
        genes: scored genes, see `outcomes.score`; family, program and n_nonzero are shown where they are there.
        summary: of the same run, see `analysis.summarise`.
    """
    from bokeh.embed import json_item
    from bokeh.resources import Resources

    plot = _plot(genes[genes.reliable], error_column(settings), settings)
    item = json.dumps(json_item(plot, "plot")).replace("</", "<\\/")
    library = "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)
    with whole(path) as temporary:
        temporary.write_text(
            PAGE.format(title=escape(title(summary)), ratio=settings.ratio, library=library, item=item)
        )


def _plot(genes: pd.DataFrame, error: str, settings: Learnability):
    """The scatter as a Bokeh plot; a click on an outcome in the legend hides it."""
    from bokeh.models import ColumnDataSource, Span
    from bokeh.plotting import figure

    shown = {"gene": "gene", "family": "family", "program": "program", "nonzero observations": "n_nonzero"}
    tips = [(label, f"@{name}") for label, name in shown.items() if name in genes]
    tips += [(label, f"@{name}{{0.000}}") for label, name in (("rescaled MAE", error), ("trend", "trend"))]
    tips += [("zero fraction", "@zero_fraction{0.000}"), ("Z", "@z{0.00}")]
    columns = [name for name in (*shown.values(), error, "trend", "zero_fraction", "z") if name in genes]
    plot = figure(
        width=1000,
        height=600,
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_scroll="wheel_zoom",
        tooltips=tips,
        x_axis_label="zero fraction",
        y_axis_label="Z",
    )
    for outcome, colour in COLOURS.items():
        part = genes.loc[genes.outcome == outcome, columns]
        # Half the bytes of float64, and more digits than a screen has pixels.
        data = {
            name: part[name].to_numpy(np.float32) if part[name].dtype == float else list(part[name]) for name in part
        }
        label = f"{outcome if outcome == 'expected' else f'{outcome}s'} ({len(part):,})"
        style = {"color": colour, "size": 4 if outcome == "expected" else 7, "line_color": None, "alpha": 0.7}
        plot.scatter("zero_fraction", "z", source=ColumnDataSource(data), legend_label=label, **style)
    for threshold in (-settings.t, settings.t):
        plot.add_layout(Span(location=threshold, dimension="width", line_dash="dashed", line_width=1))
    plot.add_layout(Span(location=settings.sparse_cut, dimension="height", line_dash="dotted", line_width=1))
    plot.legend.click_policy = "hide"
    plot.add_layout(plot.legend[0], "right")
    plot.toolbar.logo = None
    return plot
