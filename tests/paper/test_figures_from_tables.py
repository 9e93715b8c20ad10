"""Figures 4, S7 and S8: planted tables in, what is drawn out."""

import nbformat
import numpy as np
import pandas as pd
import pytest

from scfm.files import write_json
from scfm.paper import style
from scfm.paper.settings import Paper
from scfm.paper.tables.difference import differences, parse_contrast
from scfm.paper.tables.pairs import pairs


@pytest.fixture
def draw(pytestconfig, tmp_path):
    """Function: the names of a notebook after its cells ran in this process; papermill does the same in a kernel."""
    import matplotlib

    matplotlib.use("Agg")

    def run(name, **parameters):
        names = {}
        for cell in nbformat.read(pytestconfig.rootpath / f"notebooks/{name}.ipynb", as_version=4).cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, name, "exec"), names)
                if "parameters" in cell.metadata.get("tags", []):
                    names.update(parameters | {"out": str(tmp_path / "out"), "dpi": 30})
        names["plt"].close("all")
        for kind in ("png", "pdf"):
            assert (tmp_path / "out" / f"{name}.{kind}").stat().st_size > 1000
        return names

    return run


@pytest.fixture
def models(tmp_path):
    """config.json of two runs, 2 and 1 million parameters."""
    for run, size in (("wced", 2_000_000), ("mlm", 1_000_000)):
        write_json(tmp_path / f"{run}.json", {"run": run, "parameters": size})
    return f"{tmp_path}/wced.json {tmp_path}/mlm.json"


def written(table, path):
    table.to_csv(path, index=False)
    return str(path)


def test_figure4_is_over_the_unseen_datasets(draw, tidy, models, tmp_path):
    tidy["value"] += np.where((tidy.dataset == "gut") & (tidy.metric == "macro_f1"), -0.2, 0)
    names = draw("figure4", tidy=written(tidy, tmp_path / "t.csv"), models=models, concatenations="both=wced+mlm")
    assert names["datasets"] == ["blood", "gut"]
    assert names["size"] == {"wced": 2_000_000, "mlm": 1_000_000, "both": 3_000_000}
    point = names["points"]["wced", "cls"]
    assert point["mean"][["avg_bio", "macro_f1"]].tolist() == pytest.approx([0.7, 0.6])
    assert point["sd"]["macro_f1"] == pytest.approx(0.2 / 2**0.5)  # of 0.5 and 0.7, the means of the two seeds
    assert (point["low"]["macro_f1"], point["high"]["macro_f1"]) == pytest.approx((0.5, 0.7))
    texts = [label for axis in names["figure"].axes for label in axis.get_legend_handles_labels()[1]]
    assert texts[0] == "mlm  mean  (2 seeds, 1 M)"
    assert "pca  (2 seeds)" in texts
    assert names["axis"].get_title(loc="left") == "mean over 2 datasets: blood (n = 100), gut (n = 100)"


def test_figure4_with_one_seed_one_dataset_and_an_undefined_value(draw, make, models, tmp_path):
    rows = [
        (run, "cls", name, task, metric, 0, value)
        for name in ("blood", "gut")
        for run, value in (("wced", 0.6), ("mlm", 0.4), ("other", 0.5))
        for task, metric in (("integration", "avg_bio"), ("probe", "macro_f1"))
    ]
    table = make(rows)
    table.loc[(table.run == "mlm") & (table.dataset == "gut"), "value"] = np.nan
    table.loc[(table.run == "other"), "contaminated"] = "unknown"
    names = draw("figure4", tidy=written(table, tmp_path / "t.csv"), models=models)
    assert names["datasets"] == ["blood"], "gut has no value of mlm"
    assert names["axis"].get_title(loc="left") == "one dataset: blood (n = 100)"
    faces = {c.get_label(): c.get_facecolor()[0].tolist() for c in names["axis"].collections if "seed" in c.get_label()}
    assert faces["other  cls  (1 seed)"] == [1, 1, 1, 1], "hollow without a number of parameters"


def test_figure4_where_every_dataset_was_seen(draw, tidy, models, tmp_path):
    names = draw("figure4", tidy=written(tidy[tidy.dataset == "seen"], tmp_path / "t.csv"), models=models)
    assert names["axis"].get_title(loc="left") == "one dataset: seen † (n = 100)"


@pytest.fixture
def compared(tidy, tmp_path):
    """Tables 4 and pairs of WCED − MLM under both readings of MLM."""

    def write(table):
        contrasts = [parse_contrast(f"wced/cls-mlm/{pooling}") for pooling in ("cls", "mean")]
        tables = {"table4": differences(table, contrasts), "pairs": pairs(table, contrasts, Paper(bootstrap=100))}
        return {name: written(found, tmp_path / f"{name}.csv") for name, found in tables.items()}

    return write


def test_figure_s7_shows_both_readings_and_their_mean(draw, tidy, compared):
    names = draw("figureS7", **compared(tidy))
    axis = names["axes"][0, 0]
    assert axis.get_title(loc="left") == "wced − mlm: AvgBio"
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["blood (n = 100)", "gut (n = 100)", "seen † (n = 100)", "mean of the unseen (2)"]
    drawn = [np.asarray(line.get_xdata(), float).tolist() for line in axis.lines if line.get_linestyle() == "None"]
    assert drawn == [pytest.approx([0.2] * 3), pytest.approx([0.2]), pytest.approx([-0.2] * 3), pytest.approx([-0.2])]
    _, texts = names["axes"][0, 1].get_legend_handles_labels()
    assert texts == ["mlm by cls (2 seeds)", "mlm by mean (2 seeds)"]


def test_figure_s7_with_one_dataset_and_seed_has_no_interval(draw, tidy, compared):
    one = tidy[(tidy.dataset == "blood") & (tidy.seed == 0)]
    names = draw("figureS7", **compared(one))
    axis = names["axes"][0, 0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["blood (n = 100)", "mean of the unseen (1)"]
    _, texts = names["axes"][0, 1].get_legend_handles_labels()
    assert texts == ["mlm by cls (1 seed)", "mlm by mean (1 seed)"]
    seen = tidy[tidy.dataset == "seen"]
    names = draw("figureS7", **compared(seen))
    assert names["axes"][0, 0].get_yticklabels()[-1].get_text() == "no unseen dataset"


def test_figure_s8_orders_clusters_and_rings_what_differs_as_expected(draw, tmp_path):
    facts = [(0, 30, 0.4, 0), (1, 10, 0.8, 1)]
    rows = [
        (
            run,
            pooling,
            cluster,
            cells,
            share,
            share - 0.1,
            share + 0.1,
            found * (run == "pca"),
            gene,
            side,
            mean,
            0.5,
            s,
            q,
        )
        for run, pooling in (("pca", "pca"), ("wced", "cls"), ("wced", "mean"))
        for cluster, cells, share, found in facts
        for gene, side, mean, s, q in (("UP", 1, 1.0 + cluster, 9.0 * cluster, 0.01), ("DOWN", -1, 1.0, 4.0, 0.01))
    ]
    columns = (
        "run pooling cluster cells case_share case_share_low case_share_high signature gene direction mean expressing"
    )
    table = pd.DataFrame(rows, columns=[*columns.split(), "score", "q"]).assign(study="s", dataset="d", seed=0)
    names = draw("figureS8", clusters=written(table, tmp_path / "c.csv"))
    upper, lower = names["axes"]
    titles = [axis.get_title(loc="left").split("\n") for axis in upper]
    assert titles == [
        ["wced cls, seed 0, n = 40", "no cluster has the signature"],
        ["pca, seed 0, n = 40", "cluster 1 has the signature"],
    ]
    assert [text.get_text() for text in upper[0].texts] == ["10", "30"]
    assert [label.get_text() for label in lower[0].get_xticklabels()] == ["1", "0"]
    assert [label.get_text() for label in lower[0].get_yticklabels()] == ["UP ↑", "DOWN ↓"]
    rings, dots = lower[0].collections[:2]
    assert rings.get_offsets().tolist() == [[0, 0]], "DOWN is higher, against the expected direction"
    assert sorted(dots.get_array().tolist()) == [0, 0, 0, 1]


def test_a_run_keeps_its_colour():
    assert style.colour("wced") != style.colour("mlm")
    assert style.colour("scGPT") == style.colour("scGPT")
    assert len(set(style.RUNS.values())) == len(style.RUNS)
    assert not set(style.RUNS.values()) & set(style.OTHERS)
    assert style.colour("random_wced") == "#7FB8D8"  # half way from #0072B2 to white
    assert style.millions(196_856) == "0.20 M"
    assert style.millions(43_600_000) == "43.6 M"
