"""Figures of what the verbs write; each function returns a matplotlib figure and changes nothing."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfm.errors import ScfmError

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.figure import Figure

    from scfm.ontology import LabelTree

GREY = "#555555"
SMALL, LETTER = 8, 0.06
"""Size of names in points, and inches that a letter of it takes at most."""


def genes(table: pd.DataFrame, top: int = 20) -> "Figure":
    """Effects of the genes with the strongest mean effect, either way, with 95 % intervals over cells.

    Args:
        table: what `scfm.explain` returns. top: genes to show.
    """
    chosen = table.loc[table["effect"].abs().nlargest(top).index].sort_values("effect")
    figure, axes = _figure(5, 0.22 * len(chosen) + 1.3)
    error = 1.96 * chosen["sd"] / np.sqrt(table.attrs["cells"])
    colours = np.where(chosen["effect"] > 0, "#c0392b", "#2c6fbb")
    axes.barh(chosen["gene"], chosen["effect"], xerr=error, color=colours, error_kw={"lw": 0.8, "ecolor": GREY})
    axes.axvline(0, color="black", lw=0.8)
    axes.margins(y=0.01)
    axes.set_xlabel(f"mean effect on\n{table.attrs['target']}")
    return figure


def tree(adata: "AnnData", model_tree: "LabelTree", groupby: str, key: str = "scfm", least: float = 0.05) -> "Figure":
    """Mean probability of every term in every group of cells: rows are the ontology from the root down.

    A term with several parents stands under the first of them.

    Args:
        adata: annotated with `nodes=True`. model_tree: `scfm.load(model).tree`. groupby: column of obs, e.g. clusters.
        least: terms that reach it in no group are left out.

    Raises:
        ScfmError: the probabilities of the terms are not there.
    """
    if key not in adata.obsm:
        raise ScfmError(f"obsm: there is no '{key}'; call scfm.annotate with nodes=True")
    chances = pd.DataFrame(adata.obsm[key], columns=adata.uns[key]["nodes"])
    means = chances.groupby(adata.obs[groupby].astype(str).to_numpy()).mean().T
    rows = [row for row in _indented(model_tree) if means.loc[row[0]].max() >= least]
    names = {term: "   " * depth + model_tree.names[term] for term, depth in rows}
    left, below = _room(names.values()), _room(means.columns)
    wide, high = 0.25 * means.shape[1], 0.16 * len(rows)
    figure, axes = _placed(left, below, wide, high, right=0.9)
    image = axes.imshow(means.loc[list(names)], aspect="auto", cmap="viridis", vmin=0, vmax=1)
    axes.set_yticks([])
    for i, name in enumerate(names.values()):
        axes.text(-left / wide, i, name, size=SMALL, va="center", transform=axes.get_yaxis_transform())
    axes.set_xticks(range(means.shape[1]), means.columns, rotation=90, size=SMALL)
    bar = axes.inset_axes([1 + 0.1 / wide, 0, 0.12 / wide, min(1, 1.5 / high)])
    figure.colorbar(image, cax=bar).set_label("mean probability", size=SMALL)
    bar.tick_params(labelsize=SMALL)
    return figure


def sankey(adata: "AnnData", groupby: str, key: str = "scfm", least: float = 0.01) -> "Figure":
    """Which cells of each group have which annotated type; widths are numbers of cells.

    Args:
        adata: annotated. groupby: column of obs, e.g. author labels. least: share of a group below which a type is
            not drawn.
    """
    flows = pd.crosstab(adata.obs[groupby].astype(str), adata.obs[f"{key}_name"].astype(str))
    flows = flows.where(flows.div(flows.sum(1), axis=0) >= least, 0)
    flows = flows.loc[:, flows.sum() > 0]
    sides = [_room(flows.index), _room(flows.columns)]
    figure, axes = _placed(sides[0], 0.1, 3, 0.25 * max(flows.shape), right=sides[1])
    left, right = _stacked(flows.sum(1)), _stacked(flows.sum(0))
    colour = dict(zip(flows, _colours(flows.shape[1]), strict=True))
    bend = np.linspace(0, 1, 50)
    rise = bend**2 * (3 - 2 * bend)
    begin, end = dict(left), dict(right)
    for group in flows.index:
        for name in flows.columns[flows.loc[group] > 0]:
            width = flows.loc[group, name]
            low = begin[group] + (end[name] - begin[group]) * rise
            axes.fill_between(bend, low, low + width, color=colour[name], alpha=0.6, lw=0)
            begin[group] += width
            end[name] += width
    for side, starts, ends in ((0, left, begin), (1, right, end)):
        for name, start in starts.items():
            at = {"ha": "left" if side else "right", "va": "center", "size": SMALL}
            axes.plot([side, side], [start, ends[name]], color="black", lw=2, solid_capstyle="butt")
            axes.text(side + (0.02 if side else -0.02), (start + ends[name]) / 2, name, **at)
    axes.set(xlim=(0, 1), ylim=(max(*begin.values(), *end.values()), 0))
    axes.set_axis_off()
    return figure


def _figure(width: float, height: float):
    """A figure that pyplot does not know, with its axes."""
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _room(names) -> float:
    """Inches that the longest of some names takes."""
    return LETTER * max(map(len, names)) + 0.15


def _placed(left: float, below: float, wide: float, high: float, right: float):
    """A figure with axes of a given size and room around them, in inches."""
    from matplotlib.figure import Figure

    width, height = left + wide + right, below + high + 0.1
    figure = Figure((width, height))
    return figure, figure.add_axes((left / width, below / height, wide / width, high / height))


def _indented(tree: "LabelTree") -> list[tuple[str, int]]:
    """Terms in the order of a walk from the roots down, each once, with its steps below the root."""
    first = {term: parents[0] for term, parents in tree.parents.items() if parents}

    def walk(term: str, depth: int) -> list[tuple[str, int]]:
        below = [child for child in tree.children[term] if first[child] == term]
        return [(term, depth), *(row for child in below for row in walk(child, depth + 1))]

    return [row for term in tree.nodes if not tree.parents[term] for row in walk(term, 0)]


def _stacked(sizes: pd.Series) -> dict[str, float]:
    """Where each of several bars begins, one after the other with gaps between."""
    gap = 0.02 * sizes.sum()
    return dict(zip(sizes.index, np.cumsum(sizes.to_numpy() + gap) - sizes.to_numpy() - gap, strict=True))


def _colours(number: int) -> list:
    from matplotlib import colormaps

    return [colormaps["tab20"](i % 20) for i in range(number)]
