"""The tables and figures that describe the cells before and after."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from scfm.corpus.figures import draw_figures, largest
from scfm.corpus.parts import read_parts
from scfm.corpus.report import EDGES, Report


@pytest.fixture(scope="module")
def sampled(prepare, tmp_path_factory):
    """The stage with a sampling step, an excluded dataset and upper limits."""
    qc = {"max_counts": 2500, "max_genes": 110}
    sampling = [{"kind": "cap", "field": ["tissue", "cell_type"], "cells": 12}]
    folder = tmp_path_factory.mktemp("sampled")
    return prepare(folder, exclude_datasets=["corpus_03"], qc=qc, sampling=sampling, split={"by": "cell"})


def counted(table, stage, field):
    own = table[(table["stage"] == stage) & (table["field"] == field)]
    return own.set_index("value")["cells"].to_dict()


@pytest.mark.parametrize("field", ["dataset_id", "tissue", "cell_type"])
def test_composition_is_counted_at_every_stage(sampled, field):
    table = pd.read_csv(sampled / "selection" / "composition.csv")
    assert table.columns.tolist() == ["stage", "field", "value", "cells"]
    assert not table.duplicated(["stage", "field", "value"]).any()
    scanned = read_parts([sampled / "scan" / "part-0"]).cells
    good = scanned[(scanned["dataset_id"] != "corpus_03") & (scanned["mito_fraction"].fillna(0) <= 0.2)]
    good = good[good["n_counts"].between(200, 2500) & good["n_genes"].between(50, 110)]
    chosen = pd.read_parquet(sampled / "selection" / "cells.parquet")
    stages = {"store": scanned, "after QC": good, "after sampling": chosen}
    stages |= {side: chosen[chosen["split"] == side] for side in ("train", "validation")}
    for stage, cells in stages.items():
        assert counted(table, stage, field) == cells[field].astype(object).value_counts().to_dict()
    assert len(scanned) > len(good) > len(chosen) > 0
    assert chosen.groupby(["tissue", "cell_type"]).size().max() == 12


def test_upper_limits_have_reasons_of_their_own(sampled, built):
    qc = pd.read_csv(sampled / "selection" / "qc.csv")
    dropped = qc[qc["step"] == "cells"].groupby("reason")["dropped"].sum()
    assert dropped["max_counts"] > 0
    assert dropped["max_genes"] > 0
    reasons = set(pd.read_csv(built / "selection" / "qc.csv")["reason"])
    assert not {"max_counts", "max_genes"} & reasons


def test_histograms_hold_every_cell_once(sampled):
    table = pd.read_csv(sampled / "selection" / "qc_histograms.csv")
    scanned = read_parts([sampled / "scan" / "part-0"]).cells
    for (dataset, metric), own in table[table["stage"] == "before"].groupby(["dataset", "metric"]):
        values = scanned.loc[scanned["dataset_id"] == dataset, metric].dropna()
        counts, edges = np.histogram(values, EDGES[metric])
        np.testing.assert_array_equal(own["cells"], counts[counts > 0])
        np.testing.assert_allclose(own["low"], edges[:-1][counts > 0], rtol=1e-5)
    after = table[(table["stage"] == "after") & (table["metric"] == "n_counts")]
    assert after["cells"].sum() == counted_after_qc(sampled)


def counted_after_qc(folder):
    table = pd.read_csv(folder / "selection" / "composition.csv")
    return table[(table["stage"] == "after QC") & (table["field"] == "tissue")]["cells"].sum()


def test_cells_beyond_the_last_bin_and_without_counts_are_kept(tmp_path):
    report = Report()
    cells = {"n_counts": [0, 10**8, 1], "n_genes": [0, 1, 1], "mito_fraction": [np.nan, 1.0, 0.0]}
    report.describe("before", pd.DataFrame(cells).assign(dataset_id="a"))
    report.compose("store", pd.DataFrame({"dataset_id": ["a"], "tissue": ["b"], "cell_type": ["c"]}))
    report.write(tmp_path)
    table = pd.read_csv(tmp_path / "qc_histograms.csv").set_index("metric")
    assert table.loc["n_counts", "cells"].tolist() == [1, 1, 1]
    assert table.loc["n_counts", "low"].tolist() == pytest.approx([0, 1, 10**6.9], rel=1e-5)
    assert table.loc["n_genes", "cells"].tolist() == [1, 2]
    assert table.loc["mito_fraction", ["low", "cells"]].to_numpy().tolist() == [[0.0, 1], [0.98, 1]]


def composition(values):
    rows = [(stage, "tissue", f"t{i:03d}", 10 * (values - i)) for stage in ("store", "after QC") for i in range(values)]
    rows += [("after sampling", "tissue", "t000", 7), ("train", "tissue", "t000", 7)]
    return pd.DataFrame(rows, columns=["stage", "field", "value", "cells"])


def test_the_largest_values_have_their_own_bar_and_the_others_share_one():
    table = largest(composition(5), "tissue", shown=2)
    assert table.index.tolist() == ["t000", "t001", "3 others"]
    assert table["store"].tolist() == [50, 40, 60]
    assert table["after sampling"].tolist() == [7, 0, 0]
    assert largest(composition(3), "tissue", shown=2).index.tolist() == ["t000", "t001", "t002"]


def test_hundreds_of_values_stay_legible():
    table = largest(composition(700), "tissue")
    assert len(table) == 31
    assert table.index[-1] == "670 others"
    assert table["store"].sum() == 10 * 700 * 701 // 2


def test_figures_are_drawn(sampled, tmp_path):
    done = draw_figures(sampled / "selection", tmp_path / "sampling", tmp_path / "qc", dpi=60)
    assert done == {"sampling": 3, "qc": 1}
    names = [path.name for path in sorted(tmp_path.rglob("*.png"))]
    assert names == ["page-1.png", "cell_type.png", "dataset_id.png", "tissue.png"]
    for path in tmp_path.rglob("*.png"):
        with Image.open(path) as image:
            assert min(image.size) > 100
            assert len(np.unique(np.asarray(image.convert("L")))) > 10


def test_many_datasets_take_several_pages(sampled, tmp_path):
    selection = tmp_path / "selection"
    selection.mkdir()
    for name in ("composition.csv", "manifest.json"):
        (selection / name).write_bytes((sampled / "selection" / name).read_bytes())
    one = pd.read_csv(sampled / "selection" / "qc_histograms.csv").query("dataset == 'corpus_00'")
    many = pd.concat([one.assign(dataset=f"d{i:02d}") for i in range(13)])
    many[~((many["dataset"] == "d03") & (many["metric"] == "mito_fraction"))].to_csv(
        selection / "qc_histograms.csv", index=False
    )
    assert draw_figures(selection, tmp_path / "sampling", tmp_path / "qc", dpi=30)["qc"] == 2
