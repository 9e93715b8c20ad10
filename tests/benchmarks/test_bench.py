"""Scoring an embedding outside any study: the same figures as in a study, and clear words where something lacks."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import scfm
from scfm.benchmarks import clustering, integration, probe
from scfm.benchmarks.bench import side_by_side
from scfm.benchmarks.results import COLUMNS
from scfm.benchmarks.task_settings import Clustering, Integration, Probe
from scfm.cli import app
from scfm.datasets import EMBEDDING_TASKS
from scfm.errors import ScfmError

QUICK = {"integration": {"resolutions": [0.5]}, "probe": {"classifiers": ["lr"]}}


@pytest.fixture
def cells() -> anndata.AnnData:
    """Sixty cells of three types in two batches: counts, and an embedding that shows the types."""
    rng = np.random.default_rng(0)
    kind = np.arange(60) % 3
    obs = {"cell_type": np.array(["a", "b", "c"])[kind], "plate": np.array(["x", "y"])[np.arange(60) // 30]}
    obs = pd.DataFrame(obs, index=[f"c{i}" for i in range(60)])
    counts = rng.poisson(1 + 4.0 * (np.arange(30) // 10 == kind[:, None]))
    vectors = rng.normal(size=(60, 4)) + 4.0 * kind[:, None]
    return anndata.AnnData(counts.astype(np.float32), obs, obsm={"X_mine": vectors.astype(np.float32)})


def main(table: pd.DataFrame) -> pd.Series:
    return table[table["fold"] == ""].set_index("metric")["value"]


def test_figures_are_those_of_the_tasks(cells: anndata.AnnData) -> None:
    tidy = scfm.bench(cells, ["probe", "integration", "clustering"], batch="plate", settings=QUICK)
    assert tuple(tidy.columns) == COLUMNS
    assert tidy["task"].unique().tolist() == ["integration", "clustering", "probe"]
    assert set(tidy["contaminated"]) == {"unknown"}
    vectors, labels = cells.obsm["X_mine"], cells.obs["cell_type"].to_numpy().astype(str)
    batches = cells.obs["plate"].to_numpy()
    expected = {
        "integration": integration.score(vectors, labels, batches, Integration(resolutions=[0.5])),
        "clustering": clustering.score(vectors, labels, Clustering()),
        "probe": probe.cross_validate(vectors, labels, Probe(classifiers=["lr"])),
    }
    for task, measurements in expected.items():
        ours = main(tidy[tidy["task"] == task])
        assert ours.to_dict() == pytest.approx({m.metric: m.value for m in measurements if not m.fold})


def test_all_tasks_that_take_embeddings_are_offered(cells: anndata.AnnData) -> None:
    tidy = scfm.bench(cells, batch="plate", settings=QUICK)
    assert {*tidy["task"], *tidy.attrs["left_out"]} == set(EMBEDDING_TASKS)


def test_all_says_what_it_left_out_and_why(cells: anndata.AnnData) -> None:
    few = cells[np.r_[0:60:3, 1]].copy()  # one type has a single cell, too few for the folds
    tidy = scfm.bench(few, "all")
    assert {"integration", "clustering"} <= set(tidy["task"])
    assert "1 class with 10 cells or more where the probe needs two" in tidy.attrs["left_out"]["probe"]
    with pytest.raises(ScfmError, match="1 class with 10 cells"):
        scfm.bench(few, ["integration", "probe"])
    with pytest.raises(ScfmError, match=r"the cells allow no task \(integration: .* clustering: .* probe: ") as error:
        scfm.bench(cells[::3].copy())  # one type
    assert "\n" not in str(error.value)


def test_held_out_batches(cells: anndata.AnnData) -> None:
    table = scfm.bench(cells, "heldout", batch="plate").set_index("metric")
    assert table.loc["macro_f1", "n"] == 30  # one of two plates
    assert table.loc["macro_f1", "value"] > 0.5  # chance is a third
    assert set(table["contaminated"]) == {"unknown"}
    cells.obs["part"] = np.array(["train", "train", "train", "test"])[np.arange(60) % 4]
    assert scfm.bench(cells, "heldout", split="part").set_index("metric").loc["macro_f1", "n"] == 15
    with pytest.raises(ScfmError, match="all cells of known types are linked"):
        scfm.bench(cells, "heldout")


def test_without_a_batch_column_avg_batch_is_not_defined(cells: anndata.AnnData) -> None:
    values = main(scfm.bench(cells, "integration", settings=QUICK))
    assert np.isnan(values[["avg_batch", "score"]]).all()
    assert values["avg_bio"] > 0.9


def test_cells_without_label_are_left_out(cells: anndata.AnnData) -> None:
    cells.obs["cell_type"] = pd.Categorical(cells.obs["cell_type"].where(np.arange(60) >= 6))
    assert set(scfm.bench(cells, "clustering")["n"]) == {54}


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_beside_pca_and_another_file(cells: anndata.AnnData, tmp_path: Path, order: slice) -> None:
    other = anndata.AnnData(obs=cells.obs[[]], obsm={"X_other": cells.obsm["X_mine"]})
    other[order].write_h5ad(tmp_path / "other.h5ad")
    with_pca = scfm.bench(cells, "clustering", against="pca", settings={"pca": {"components": 5}}, name="mine")
    table = side_by_side(with_pca)
    assert list(table.columns) == ["mine X_mine", "pca"]
    assert list(table.index) == [("clustering", name) for name in ("ari", "nmi", "silhouette")]
    del cells.X
    table = side_by_side(scfm.bench(cells, "clustering", against=tmp_path / "other.h5ad", name="mine"))
    assert list(table.columns) == ["mine X_mine", "other X_other"]
    assert table["mine X_mine"].tolist() == table["other X_other"].tolist()


def test_several_keys(cells: anndata.AnnData) -> None:
    cells.obsm["X_noise"] = np.random.default_rng(1).normal(size=(60, 4))
    with pytest.raises(ScfmError, match="obsm holds 2 embeddings where one can be meant; name one of: X_mine, X_noise"):
        scfm.bench(cells)
    table = side_by_side(scfm.bench(cells, "clustering", ["X_noise", "X_mine"]))
    assert list(table.columns) == ["embedding X_mine", "embedding X_noise"]  # as h5ad files order them
    assert table["embedding X_mine"].gt(table["embedding X_noise"]).all()
    for key in ("X_noise", "X_mine"):
        alone = main(scfm.bench(cells, "clustering", key))
        assert table[f"embedding {key}"].tolist() == alone[["ari", "nmi", "silhouette"]].tolist()


def spoil(adata: anndata.AnnData, what: str) -> None:
    if what == "nan":
        adata.obsm["X_mine"][3, 1] = np.nan
    elif what == "names":
        adata.obs_names = ["c0", *adata.obs_names[:-1]]
    elif what == "fractions":
        adata.X = adata.X + 0.5
    elif what == "no matrix":
        del adata.X


@pytest.mark.parametrize(
    ("what", "options", "words"),
    [
        ("", {"label": "type"}, ["obs column 'type'", "name one of: cell_type, plate"]),
        ("", {"batch": "bach"}, ["obs column 'bach' (batch)", "name one of: cell_type, plate"]),
        ("", {"obsm": "X_pca"}, ["no 'X_pca' in obsm; name one of: X_mine"]),
        ("", {"task": "integrate"}, ["task: 'integrate' is not known; choose among all, integration, "]),
        ("", {"values": "logs", "against": "pca"}, ["values: 'logs' is not known"]),
        ("", {"settings": {"probes": {}}}, ["unknown key 'probes'; did you mean 'probe'?"]),
        ("", {"against": "nowhere.h5ad"}, ["nowhere.h5ad", "not found"]),
        ("nan", {}, ["'X_mine' holds NaN or infinite values for 1 of 60 cells", "first: 'c3'"]),
        ("names", {}, ["cell name 'c0' occurs more than once"]),
        ("fractions", {"against": "pca"}, ["non-integer values (3.5) where counts are promised"]),
        ("no matrix", {"against": "pca"}, ["no expression matrix in X"]),
    ],
)
@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_what_is_wrong_is_one_sentence(cells: anndata.AnnData, what: str, options: dict, words: list[str]) -> None:
    spoil(cells, what)
    with pytest.raises(ScfmError) as error:
        scfm.bench(cells, **options)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


def test_missing_cells_of_the_other_file(cells: anndata.AnnData, tmp_path: Path) -> None:
    anndata.AnnData(obs=cells.obs.iloc[5:], obsm={"X": cells.obsm["X_mine"][5:]}).write_h5ad(tmp_path / "other.h5ad")
    with pytest.raises(ScfmError, match=r"no vector for 5 of 60 cells of dataset 'embedding' \(first: 'c0'\)"):
        scfm.bench(cells, against=tmp_path / "other.h5ad")


def test_command_prints_a_table_and_writes_every_measurement(cells: anndata.AnnData, tmp_path: Path) -> None:
    cells.write_h5ad(tmp_path / "mine.h5ad")
    words = ["bench", tmp_path / "mine.h5ad", "--task", "clustering", "--task", "probe", "--against", "pca"]
    words += ["--settings", '{"probe": {"classifiers": ["lr"]}}', "--out", tmp_path / "scores.csv"]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].split() == ["mine", "X_mine", "pca"]
    assert [line.split()[-3] for line in lines[2:10]] == [
        *("ari", "nmi", "silhouette"),
        *("accuracy", "macro_f1", "precision", "recall", "auroc"),
    ]
    assert lines[-1] == f"bench mine: 60 cells, clustering, probe; every measurement in {tmp_path / 'scores.csv'}"
    table = pd.read_csv(tmp_path / "scores.csv")
    assert tuple(table.columns) == COLUMNS
    assert {"accuracy_lr", "ari"} <= set(table["metric"])


def test_command_with_all_names_what_it_left_out(cells: anndata.AnnData, tmp_path: Path) -> None:
    cells[np.r_[0:60:3, 1]].copy().write_h5ad(tmp_path / "mine.h5ad")
    result = CliRunner().invoke(app, ["bench", str(tmp_path / "mine.h5ad"), "--task", "all"])
    assert result.exit_code == 0, result.output
    assert "left out: probe: dataset 'mine': 1 class with 10 cells or more" in result.output
    assert "–" in result.output  # AvgBatch, without a batch
