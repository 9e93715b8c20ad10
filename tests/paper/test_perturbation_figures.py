"""The figures of perturbed cells: their notebooks run in this process on tables whose answers are known."""

from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

KINDS = ("b cell", "monocyte", "t cell")


def run(root: Path, name: str, **given) -> dict:
    """The notebook's names after its cells ran, with its parameters replaced."""
    import matplotlib

    matplotlib.use("Agg")
    names: dict = {}
    for cell in nbformat.read(root / f"notebooks/{name}.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, name, "exec"), names)
            if "parameters" in cell.metadata.get("tags", []):
                names.update(given)
    names["plt"].close("all")
    return names


@pytest.fixture(scope="module")
def deltas(pytestconfig, tmp_path_factory):
    """Two splits; `good` predicts the effects exactly, `half` half of them and only in the first split."""
    folder, rng = tmp_path_factory.mktemp("deltas"), np.random.default_rng(0)
    parts = []
    for split, runs in (("perturbations_prompted", ("good", "half")), ("combinations_2_seen", ("good",))):
        for size, pair in ((0.1, "WEAK"), (1.0, "STRONG")):
            measured = size * rng.normal(size=50)
            for own in (*runs, "additive"):
                guess = {"good": measured, "half": measured / 2, "additive": np.zeros(50)}[own]
                about = {"dataset": "s", "split": split, "fold": "", "background": "t cell", "perturbation": pair}
                genes = [f"G{i}" for i in range(50)]
                parts.append(
                    pd.DataFrame({"run": own, **about, "gene": genes, "measured": measured, "predicted": guess})
                )
    pd.concat(parts).to_csv(folder / "deltas.csv", index=False)
    given = {"deltas": str(folder / "deltas.csv"), "out": str(folder / "out"), "dpi": 50}
    return run(pytestconfig.rootpath, "perturbation_deltas", **given)


def test_a_row_for_each_system_that_predicts_the_split_and_the_baseline_last(deltas):
    panels = deltas["panels"]
    labels = {place: [axis.get_ylabel().split("\n")[0] for axis in axes[:, 0]] for place, axes in panels.items()}
    assert labels["s", "perturbations_prompted"] == ["good", "half", "additive"]
    assert labels["s", "combinations_2_seen"] == ["good", "additive"]
    for axes in panels.values():
        assert [axis.get_title().split("\n") for axis in axes[0]] == [["STRONG", "t cell"], ["WEAK", "t cell"]]
        assert {axis.get_xlabel() for axis in axes[-1]} == {"measured Δ"}


def test_points_are_the_genes_and_r_is_pearsons(deltas):
    axes = deltas["panels"]["s", "perturbations_prompted"]
    assert [axis.texts[0].get_text() for axis in axes[:, 0]] == ["r = 1.00", "r = 1.00", "r = 0.00"]
    points = axes[1, 0].collections[0].get_offsets()
    assert len(points) == 50
    assert np.allclose(points[:, 1], points[:, 0] / 2)
    assert axes[0, 0].get_xlim() == axes[0, 0].get_ylim() == axes[2, 0].get_xlim(), "one scale a column"
    assert axes[0, 1].get_xlim()[1] < axes[0, 0].get_xlim()[1] / 3


@pytest.fixture(scope="module")
def atlas(pytestconfig, tmp_path_factory):
    """Three types under four perturbations; the screen holds the last type alone; `P3` has the largest effects."""
    folder = tmp_path_factory.mktemp("atlas")
    rows = []
    for number, kind in enumerate(KINDS):
        rows.append({"cell_type": kind, "perturbation": "control", "cells": 60, "confidence": 0.5})
        for i in range(4):
            said = {"effect": 0.1 * i, "genes_changed": 10 * i + number, "confidence": i - 1.5, "cells": 60}
            said["pearson_delta"] = 0.25 * i if kind == "t cell" else np.nan
            rows.append({"cell_type": kind, "perturbation": f"P{i}", **said})
    pd.DataFrame(rows).to_csv(folder / "atlas.csv", index=False)
    given = {"atlas": str(folder / "atlas.csv"), "out": str(folder / "out"), "dpi": 50, "most": 3}
    return run(pytestconfig.rootpath, "perturbed_atlas", **given)


def test_maps_of_types_and_perturbations(atlas):
    effect, genes, confidence = atlas["axes"]
    assert [text.get_text() for text in genes.get_yticklabels()] == ["t cell ● r 0.38", "b cell", "monocyte"]
    assert [text.get_text() for text in confidence.get_xticklabels()] == ["P3", "P2", "P1"]
    assert np.allclose(effect.images[0].get_array(), [[0.3, 0.2, 0.1]] * 3)
    assert genes.images[0].get_array().tolist() == [[32, 22, 12], [30, 20, 10], [31, 21, 11]]
    assert confidence.images[0].get_clim() == (-1.5, 1.5), "white is even odds"
    assert "3 of 4" in confidence.get_xlabel()
    units = [image.colorbar.ax.get_ylabel() for axis in atlas["axes"] for image in axis.images]
    assert units == ["mean |Δ| of log1p expression", "number of genes", "median log odds"]


def test_files(deltas, atlas):
    for names, name in ((deltas, "perturbation_deltas"), (atlas, "perturbed_atlas")):
        for suffix in ("png", "pdf"):
            assert (Path(names["out"]) / f"{name}.{suffix}").stat().st_size > 1000
