"""Figures of the corpus: what quality control and sampling did to the cells."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfm.corpus.report import EDGES, FIELDS
from scfm.files import must_exist, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 30
"""Values of a field that have a bar of their own; the smaller ones share one."""
PAGE = 12
"""Datasets on one page of histograms."""
STAGES = {"store": "#d1d9e0", "after QC": "#7fb6e3", "after sampling": "#0b5cad"}
LABELS = {"n_counts": "counts of a cell", "n_genes": "expressed genes of a cell", "mito_fraction": "share of MT- genes"}


def draw_figures(selection: Path, sampling: Path, qc: Path, dpi: int) -> dict[str, int]:
    """Write `sampling`/<field>.png and `qc`/page-<n>.png from the tables of a selection.

    Returns:
        Numbers of images: sampling, qc.

    Raises:
        ScfmError: the selection lacks a table.
    """
    composition = _read(selection, "composition.csv")
    manifest = json.loads(must_exist(Path(selection) / "manifest.json", "selection").read_text())
    with whole(sampling) as folder:
        folder.mkdir()
        for field in FIELDS:
            _draw_composition(largest(composition, field), field, folder / f"{field}.png", dpi)
    histograms = _read(selection, "qc_histograms.csv")
    sizes = histograms[histograms["metric"] == "n_counts"].groupby(["dataset", "stage"])["cells"].sum().unstack()
    sizes = sizes.reindex(columns=["before", "after"]).fillna(0).astype(int)
    sizes = sizes.sort_values("before", ascending=False, kind="stable")
    pages = [sizes.iloc[start : start + PAGE] for start in range(0, len(sizes), PAGE)]
    with whole(qc) as folder:
        folder.mkdir()
        for number, page in enumerate(pages, start=1):
            path = folder / f"page-{number:0{len(str(len(pages)))}d}.png"
            _draw_histograms(histograms, page, manifest["settings"]["qc"], path, dpi)
    return {"sampling": len(FIELDS), "qc": len(pages)}


def _read(selection: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(must_exist(Path(selection) / name, "table of the selection"), keep_default_na=False)


def largest(composition: pd.DataFrame, field: str, shown: int = SHOWN) -> pd.DataFrame:
    """Cells of the `shown` values of a field that have most cells in the store, then of all others together.

    Returns:
        int64 [values, stages], index the values; "n others" stands last if there are more than `shown` + 1 values.
    """
    own = composition[composition["field"] == field]
    table = own.pivot(index="value", columns="stage", values="cells").reindex(columns=list(STAGES))
    table = table.fillna(0).astype(np.int64).sort_values("store", ascending=False, kind="stable")
    if len(table) <= shown + 1:
        return table
    others = table.iloc[shown:].sum().to_frame(f"{len(table) - shown:,} others").T
    return pd.concat([table.iloc[:shown], others])


def _draw_composition(table: pd.DataFrame, field: str, path: Path, dpi: int) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1.2 + 0.28 * len(table)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(table))
    for (stage, color), height in zip(STAGES.items(), (0.85, 0.6, 0.35), strict=True):
        axes.barh(places, table[stage], height, color=color, label=f"{stage} ({table[stage].sum():,} cells)")
    axes.set_yticks(places, [name if len(name) <= 60 else f"{name[:57]}..." for name in table.index])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(left=0.8)
    axes.set_xlabel("cells")
    axes.set_title(f"cells by {field.removesuffix('_id').replace('_', ' ')}", loc="left")
    axes.margins(y=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=len(STAGES), frameon=False)
    figure.savefig(path, dpi=dpi)


def _draw_histograms(histograms: pd.DataFrame, sizes: pd.DataFrame, qc: dict, path: Path, dpi: int) -> None:
    """One row a dataset: its metrics before and after, and the thresholds."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(10, 0.9 + 1.15 * len(sizes)), layout="constrained")
    grid = figure.subplots(len(sizes), len(EDGES), squeeze=False, sharex="col")
    of = dict(list(histograms[histograms["dataset"].isin(sizes.index)].groupby(["dataset", "metric"])))
    for row, (dataset, size) in zip(grid, sizes.iterrows(), strict=True):
        for axes, metric in zip(row, EDGES, strict=True):
            _draw_histogram(axes, of.get((dataset, metric)), metric, qc)
        row[0].set_title(f"{dataset}: {size['before']:,} cells, {size['after']:,} after", loc="left", fontsize=9)
    for axes, (metric, label) in zip(grid[-1], LABELS.items(), strict=True):
        axes.set_xlabel(label)
        if metric != "mito_fraction":
            axes.set_xscale("log")
            low, high = axes.get_xlim()
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.xaxis.set_minor_formatter(NullFormatter())  # labels between these run into each other
        axes.tick_params(labelsize=8)
    drawn = dict(zip(*reversed(grid[0, 0].get_legend_handles_labels()), strict=True))
    figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=dpi)


def _draw_histogram(axes: "Axes", bins: pd.DataFrame | None, metric: str, qc: dict) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_yticks([])
    if bins is None:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center", color="#59636e")
        return
    for stage, color in (("before", STAGES["store"]), ("after", STAGES["after sampling"])):
        own = bins[bins["stage"] == stage]
        # A logarithmic axis has no zero: cells without counts stand left of 1.
        low = own["low"].where((metric == "mito_fraction") | (own["low"] > 0), 0.8)
        axes.bar(low, own["cells"], own["high"] - low, align="edge", color=color, label=stage)
    for limit in _limits(metric, qc):
        axes.axvline(limit, color="#b3541e", linestyle="--", linewidth=1, label="threshold")


def _limits(metric: str, qc: dict) -> Sequence[float]:
    """Thresholds of a metric that can drop a cell."""
    what = metric.removeprefix("n_")
    limits = [qc.get(f"min_{what}"), qc.get(f"max_{what}")]
    return [limit for limit in limits if limit]
