"""Drawn cells as a stage: what is drawn, what it is compared with, and what the table and the map say of it."""

from pathlib import Path
from types import SimpleNamespace

import anndata
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from typer.testing import CliRunner

from scfm.errors import ScfmError
from scfm.generation.draw import draw
from scfm.generation.layout import layout
from scfm.generation.score import score
from scfm.generation.settings import Comparison, Drawing
from scfm.generation.sources import CONTROLS, having, marker_genes, shuffled, sources
from scfm.models.lingshu.network import Network
from scfm.models.lingshu.settings import Lingshu
from scfm.paper.commands import app
from scfm.paper.tables.generation import generation_table
from scfm.settings import parse

GENES = [f"G{i}" for i in range(30)]
TYPES = ("a", "b", "c")
SMALL = {"group": 5, "hidden": 8, "layers": 1, "heads": 2, "ffn": 8}


def model(system="lingshu", seed=3, **keys):
    """A model directory's content with random weights; conditions cell_type of TYPES, if they are among the keys."""
    settings = parse(Lingshu, {"tokens": 20, "transformer": SMALL} | keys, "test")
    names = {condition.column: list(TYPES) for condition in settings.conditions}
    network = Network(settings, len(GENES), names, seed=0)
    about = {"run": "mine", "seed": seed, "settings": {"system": system}}
    return SimpleNamespace(network=network, about=about, genes=GENES, device=torch.device("cpu"))


def law(rng, cells, programme=1.0):
    """Cells of three types that express genes of their own, and a programme that half of the genes follow."""
    kind = rng.choice(3, cells)
    mean = np.full((3, len(GENES)), 0.5)
    mean[np.arange(3)[:, None], np.arange(9).reshape(3, 3)] = 6
    shared = programme * (np.arange(len(GENES)) % 2) * rng.normal(size=(cells, 1))
    counts = rng.poisson(mean[kind] * np.exp(shared)) + (np.arange(len(GENES)) == 29)
    obs = pd.DataFrame({"cell_type": np.array(TYPES)[kind]}, index=[f"c{i}" for i in range(cells)])
    uns = {"scfm": {"name": "held_out", "contaminated": "false", "values": "counts", "tasks": ""}}
    return anndata.AnnData(csr_matrix(counts.astype(np.float32)), obs=obs, var=pd.DataFrame(index=GENES), uns=uns)


def corpus(cells):
    """A reader of the corpus that holds some cells, every fifth for validation."""
    table = cells.obs.assign(split=np.where(np.arange(cells.n_obs) % 5, "train", "validation"))
    rows_of = {split: np.flatnonzero(table["split"] == split) for split in ("train", "validation")}

    def stream(spans):
        for rows in spans:
            own = cells.X[rows].tocsr()
            yield own.indices.astype(np.uint16), own.data.astype(np.uint16), np.diff(own.indptr)

    genes = pd.DataFrame({"gene": GENES})
    return SimpleNamespace(rows=rows_of.get, stream=stream, cells=table, genes=genes)


def as_drawn(cells, run, seed=0):
    """Cells as `draw` returns them, half of those of type a under it, all others of no condition."""
    late = np.arange(cells.n_obs) >= cells.n_obs // 2
    condition = np.where(late & (cells.obs["cell_type"] == "a").to_numpy(), "cell_type=a", "")
    out = anndata.AnnData(cells.X, obs=pd.DataFrame({"condition": condition}, index=cells.obs_names), var=cells.var)
    out.uns = {"run": run, "seed": seed}
    return out


@pytest.fixture(scope="module")
def compared():
    """Reference, sources and tidy rows of cells of the right law, and of cells of independent genes."""
    rng = np.random.default_rng(0)
    good = as_drawn(law(rng, 800), "good")
    bad = as_drawn(shuffled(law(rng, 800), rng), "bad")
    real, settings = law(rng, 900), Comparison(cells=300, shown=60)
    reference, found = sources(real, [good, bad], corpus(law(rng, 500)), settings.cells, settings.seed)
    return reference, found, score(reference, found, settings, "s", real.uns["scfm"])


def test_cells_are_drawn_as_such_and_under_each_condition():
    settings = Drawing(cells=25, condition_cells=20, steps=2)
    cells = draw(model(conditions=[{"column": "cell_type"}]), settings)
    sizes = {"": 25} | {f"cell_type={name}": 20 for name in TYPES}
    assert cells.obs["condition"].value_counts().to_dict() == sizes
    assert cells.X.dtype == np.int32
    assert cells.X.min() >= 0
    assert list(cells.var_names) == GENES
    assert dict(cells.uns) == {"run": "mine", "seed": 3}
    plain = [draw(model(seed=seed), settings).X.toarray() for seed in (3, 3, 4)]
    assert (plain[0] == plain[1]).all()
    assert (plain[0] != plain[2]).any()
    assert draw(model(), settings).obs["condition"].eq("").all()


def test_systems_and_conditions_that_cannot_be_drawn():
    from scfm.models.lingshu.system import generate

    other = model("cellplm")
    other.network.settings = SimpleNamespace(draws_cells=False)
    with pytest.raises(ScfmError, match="run 'mine': a system 'cellplm' draws no cells"):
        draw(other, Drawing())
    network = model(conditions=[{"column": "cell_type"}]).network
    with pytest.raises(ScfmError, match="'tissue' is none of this model; choose among cell_type"):
        generate(network, 5, {"tissue": "lung"}, 1, torch.Generator())
    with pytest.raises(ScfmError, match="training saw no cell of 'd'"):
        generate(network, 5, {"cell_type": "d"}, 1, torch.Generator())


def test_shuffled_genes_keep_their_own_law_alone():
    rng = np.random.default_rng(1)
    cells = law(rng, 400)
    apart = shuffled(cells, rng)
    before, after = cells.X.toarray(), apart.X.toarray()
    assert (np.sort(before, 0) == np.sort(after, 0)).all()
    assert np.corrcoef(before[:, 11], before[:, 13])[0, 1] > 0.4
    assert abs(np.corrcoef(after[:, 11], after[:, 13])[0, 1]) < 0.15


def test_markers_are_those_that_were_planted():
    found = marker_genes(law(np.random.default_rng(2), 600), "cell_type")
    assert len(found) == 3
    assert [GENES.index(name) // 3 for name in found] == [0, 1, 2]
    one = law(np.random.default_rng(2), 50)
    one.obs["cell_type"] = "a"
    assert marker_genes(one, "cell_type") == []


def test_sources_are_the_runs_and_the_controls_and_share_no_cell_with_the_reference(compared):
    reference, found, _ = compared
    assert [source.name for source in found] == ["good", "bad", *CONTROLS]
    by_name = {source.name: source.cells for source in found}
    assert not set(reference.obs_names) & set(by_name["ceiling"].obs_names)
    assert reference.n_obs == by_name["ceiling"].n_obs == 450
    assert by_name["training"].n_obs == 300
    assert set(by_name["training"].obs["split"]) == {"train"}
    assert having(reference, "donor_id=x").n_obs == 0
    assert having(reference.copy(), "cell_type_id=a").obs["cell_type"].eq("a").all()


def test_a_good_draw_scores_as_the_ceiling_and_independent_genes_do_not(compared):
    values = compared[2].set_index(["run", "split", "metric"])["value"]
    assert values["good", "", "pair_slope"] == pytest.approx(values["ceiling", "", "pair_slope"], abs=0.15)
    assert values["good", "", "auroc"] < 0.6
    assert values["good", "", "marker_error"] < 0.1
    for name in ("bad", "independent"):
        assert values[name, "", "pair_slope"] < 0.3
        assert values[name, "", "auroc"] > 0.9
        assert values[name, "", "mean_pearson"] > 0.95, "means say nothing"
    assert values["ceiling", "", "pair_slope"] > 0.8
    assert values["good", "", "genes"] == 30


def test_each_condition_is_compared_with_its_own_real_cells(compared):
    table = compared[2]
    assert set(table["split"]) == {"", "cell_type=a"}
    own = table[(table["split"] == "cell_type=a") & (table["metric"] == "auroc")].set_index("run")
    assert set(own.index) == {"good", "bad", *CONTROLS}
    assert own["value"]["good"] < 0.65
    assert own["n"]["good"] <= 200


def test_what_has_too_few_cells_is_left_out_or_refused(capsys):
    rng = np.random.default_rng(3)
    few = as_drawn(law(rng, 200), "few")
    few = few[:130].copy()  # some ten of them under the type
    real = law(rng, 300)
    reference, found = sources(real, [few], corpus(law(rng, 100)), 100, 0)
    table = score(reference, found, Comparison(), "s", real.uns["scfm"], {"few": "true"})
    assert set(table["split"][table["run"] == "few"]) == {""}
    assert set(table["contaminated"][table["run"] == "few"]) == {"true"}
    assert set(table["contaminated"][table["run"] != "few"]) == {"false"}, "of the controls"
    assert "few/0: cell_type=a left out" in capsys.readouterr().err
    other = few.copy()
    other.var_names = GENES[::-1]
    with pytest.raises(ScfmError, match="runs of other genes"):
        sources(real, [few, other], corpus(real), 100, 0)
    strange = real.copy()
    strange.var_names = [f"X{i}" for i in range(len(GENES))]
    with pytest.raises(ScfmError, match="none of their genes is one of the drawn cells"):
        sources(strange, [few], corpus(real), 100, 0)


def test_cells_without_counts_are_counted():
    rng = np.random.default_rng(4)
    made = as_drawn(law(rng, 100), "mine")
    made.X = csr_matrix(made.X.toarray() * (np.arange(100) > 2)[:, None])
    real = law(rng, 200)
    reference, found = sources(real, [made], corpus(law(rng, 100)), 80, 0)
    assert (found[0].empty, found[0].cells.n_obs) == (3, 97)
    table = score(reference, found, Comparison(cells=40), "s", real.uns["scfm"])
    assert table[(table["run"] == "mine") & (table["metric"] == "empty")]["value"].tolist() == [3]


def test_the_table_has_the_ceiling_first_and_independent_genes_last(compared, tmp_path):
    tidy = compared[2]
    again = tidy[tidy["run"] == "good"].assign(seed=1, value=lambda t: t["value"] + 0.1, contaminated="true")
    file, out = tmp_path / "tidy.csv", tmp_path / "out.csv"
    pd.concat([tidy, again]).to_csv(file, index=False)
    done = CliRunner().invoke(app, ["table", "generation", "--tidy", str(file), "--out", str(out)])
    assert done.exit_code == 0, done.output
    table = pd.read_csv(out, keep_default_na=False)
    first = table[table["condition"] == ""]
    assert first["drawn_by"].tolist() == ["ceiling", "training", "good", "bad", "independent"]
    good = first.set_index("drawn_by").loc["good"]
    value = tidy.set_index(["run", "split", "metric"])["value"]["good", "", "pair_slope"]
    assert good["seeds"] == 2
    assert good["pair_slope"] == f"{value + 0.05:.3f} ({value:.3f} to {value + 0.1:.3f}) †"
    assert list(table.columns[5:7]) == ["pair_correlation", "pair_slope"]
    with pytest.raises(ScfmError, match="no measurement of task generation"):
        generation_table(tidy.assign(task="probe"))


@pytest.mark.long
def test_planted_types_stand_apart_on_the_map(compared):
    reference, found, _ = compared
    places = layout(reference, found, Comparison(cells=300, shown=60))
    assert places["source"].value_counts().to_dict() == dict.fromkeys(["real", "good", "bad", *CONTROLS], 60)
    assert np.isfinite(places[["x", "y"]]).all(axis=None)
    real = places[places["source"] == "real"]
    centre = real.groupby("cell_type")[["x", "y"]].mean()
    gap = np.linalg.norm(real[["x", "y"]].to_numpy()[:, None] - centre.to_numpy(), axis=2).argmin(1)
    assert (centre.index[gap] == real["cell_type"]).mean() > 0.9


def test_the_figure_has_a_panel_for_each_source(compared, tmp_path, pytestconfig):
    import matplotlib

    matplotlib.use("Agg")
    tidy, names = compared[2], {}
    sources = ["real", "good", "bad", *CONTROLS]
    places = pd.DataFrame({"source": np.repeat(sources, 5), "seed": 0, "cell_type": ["a", "b", "c", "a", "b"] * 6})
    places[["x", "y"]] = np.random.default_rng(0).normal(size=(30, 2))
    files = {"places": str(tmp_path / "map.csv"), "tidy": str(tmp_path / "tidy.csv")}
    places.to_csv(files["places"], index=False)
    tidy.to_csv(files["tidy"], index=False)
    for cell in nbformat.read(pytestconfig.rootpath / "notebooks/generated_cells.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "generated_cells", "exec"), names)
            if "parameters" in cell.metadata.get("tags", []):
                names |= files | {"out": str(tmp_path / "out"), "dpi": 50}
    titles = [axis.get_title(loc="left").split("\n")[0] for axis in names["axes"].flat]
    names["plt"].close("all")
    assert titles == ["held-out real cells", "ceiling", "training", "good, seed 0", "bad, seed 0", "independent"]
    assert (Path(names["out"]) / "generated_cells.png").stat().st_size > 1000
