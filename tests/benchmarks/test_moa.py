"""Mechanisms of held-out drugs: sides of the split, aggregation over drugs, what is left out, planted truth."""

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from scfm.benchmarks.commands import app
from scfm.benchmarks.embedders import PcaEmbedder
from scfm.benchmarks.moa import cross_validate, drug_folds, moa, probabilities
from scfm.benchmarks.settings import Pca
from scfm.benchmarks.task_settings import Moa
from scfm.corpus.settings import Synthetic
from scfm.corpus.synthetic.planted import perturbation
from scfm.errors import ScfmError

CENSUS = Synthetic(kind="synthetic", cells=1000, genes=400, planted=60, types=6, holdout_cells=100)
DRUGS = {"A": 4, "B": 3, "C": 2}


def screen(drugs: dict[str, int] = DRUGS, cells: int = 6) -> pd.DataFrame:
    """Columns mechanism and drug, so many cells of each drug."""
    pairs = [(name, f"{name}{i}") for name, count in drugs.items() for i in range(count)]
    return pd.DataFrame(np.repeat(pairs, cells, axis=0), columns=["mechanism", "drug"])


def apart(cells: pd.DataFrame, noise: float = 0.1) -> np.ndarray:
    """Mechanisms on axes of their own: float [cells, mechanisms]."""
    codes = pd.factorize(cells["mechanism"])[0]
    return np.eye(codes.max() + 1)[codes] + np.random.default_rng(0).normal(0, noise, (len(cells), codes.max() + 1))


@pytest.fixture
def write(embeddings: Callable[..., Path]) -> Callable[..., Path]:
    """Write embeddings of cells of a screen, with the columns of `cells`."""

    def run(vectors: np.ndarray, cells: pd.DataFrame, tasks: str = "moa") -> Path:
        path = embeddings(vectors, "line", tasks=tasks)
        adata = anndata.read_h5ad(path)
        for column in cells:
            adata.obs[column] = cells[column].to_numpy()
        adata.write_h5ad(path)
        return path

    return run


def overall(table: pd.DataFrame) -> pd.Series:
    return table[table["fold"] == ""].set_index("metric")["value"]


def test_whole_drugs_are_held_out_and_every_class_stands_on_both_sides() -> None:
    cells = screen()
    labels, drugs = cells["mechanism"].to_numpy(), cells["drug"].to_numpy()
    folds = list(drug_folds(labels, drugs, Moa()))
    assert [name for name, _, _ in folds] == [f"{i}.{j}" for i in range(5) for j in range(2)]
    for _, train, test in folds:
        assert not set(drugs[train]) & set(drugs[test])
        assert set(labels[train]) == set(labels[test]) == set("ABC")
        assert sorted([*train, *test]) == list(range(len(cells)))
    for (_, _, first), (_, _, second) in zip(folds[::2], folds[1::2], strict=True):
        assert set(drugs[first]) | set(drugs[second]) == set(drugs)
    assert len({tuple(test) for _, _, test in folds}) > 2, "drugs are dealt anew each time"


def test_folds_depend_on_the_seed_alone() -> None:
    cells = screen()
    columns = cells["mechanism"].to_numpy(), cells["drug"].to_numpy()
    held = [[tuple(test) for _, _, test in drug_folds(*columns, Moa(seed=seed))] for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]


def test_separate_mechanisms_are_told_apart(write: Callable[..., Path]) -> None:
    cells = screen()
    table = moa(write(apart(cells), cells), Moa(), "s")
    values = overall(table)
    assert (values[["auroc", "recall", "f1", "drug_auroc", "drug_recall", "drug_f1"]] == 1).all()
    assert (values[["auroc_sd", "drug_f1_sd"]] == 0).all()
    assert values[["classes", "drugs", "classes_left_out", "drugs_left_out"]].tolist() == [3, 9, 0, 0]
    assert values["avg_bio"] == pytest.approx(values[["nmi", "ari", "asw_label"]].mean())
    assert set(table.loc[table["fold"] != "", "fold"]) == {f"{i}.{j}" for i in range(5) for j in range(2)}
    assert set(table["task"]) == {"moa"}


def test_figures_are_those_of_scikit_learn_over_cells_and_over_drugs() -> None:
    cells = screen(cells=8)
    vectors = apart(cells, noise=0.8)
    labels, drugs = cells["mechanism"].to_numpy(), cells["drug"].to_numpy()
    rows = cross_validate(vectors, labels, drugs, Moa(repeats=2))
    folds = {(row.metric, row.fold): row.value for row in rows}
    n = {(row.metric, row.fold): row.n for row in rows}
    for fold, train, test in drug_folds(labels, drugs, Moa(repeats=2)):
        _, chances = probabilities(vectors[train], labels[train], vectors[test], Moa())
        expected = roc_auc_score(labels[test], chances, average="macro", multi_class="ovr")
        assert folds["auroc", fold] == pytest.approx(expected)
        means = pd.DataFrame(chances).groupby([labels[test], drugs[test]]).mean()
        expected = roc_auc_score(means.index.get_level_values(0), means, average="macro", multi_class="ovr")
        assert folds["drug_auroc", fold] == pytest.approx(expected)
        assert (n["auroc", fold], n["drug_auroc", fold]) == (len(test), len(means))
    values = [value for (metric, fold), value in folds.items() if metric == "auroc" and fold]
    assert folds["auroc", ""] == pytest.approx(np.mean(values))
    assert folds["auroc_sd", ""] == pytest.approx(np.std(values, ddof=1))


def test_test_cells_are_scaled_by_the_train_cells() -> None:
    cells = screen()
    vectors, labels = apart(cells, noise=0.5), cells["mechanism"].to_numpy()
    _, together = probabilities(vectors[::2], labels[::2], vectors[1::2], Moa())
    _, alone = probabilities(vectors[::2], labels[::2], vectors[1:2], Moa())
    np.testing.assert_allclose(alone[0], together[0])


def test_single_drugs_vehicle_and_unknown_are_left_out_and_counted(write: Callable[..., Path]) -> None:
    cells = screen(DRUGS | {"D": 1, "Vehicle": 2, "unknown": 2})
    table = moa(write(apart(cells), cells), Moa(), "s")
    values = overall(table)
    assert values[["classes", "drugs", "classes_left_out", "drugs_left_out"]].tolist() == [3, 9, 1, 1]
    assert table.loc[table["metric"] == "classes", "n"].tolist() == [54]
    assert overall(moa(write(apart(cells), cells), Moa(vehicle=()), "s"))["classes"] == 4


def test_more_folds_leave_smaller_classes_out(write: Callable[..., Path]) -> None:
    cells = screen()
    values = overall(moa(write(apart(cells), cells), Moa(folds=3), "s"))
    assert values[["classes", "drugs", "classes_left_out", "drugs_left_out"]].tolist() == [2, 7, 1, 2]


def test_what_tells_drugs_apart_alone_is_of_no_use(write: Callable[..., Path]) -> None:
    cells = screen({"A": 10, "B": 10, "C": 10}, cells=4)
    codes = pd.factorize(cells["drug"])[0]
    vectors = np.random.default_rng(1).normal(size=(codes.max() + 1, 8))[codes]
    values = overall(moa(write(vectors + np.random.default_rng(2).normal(0, 0.1, vectors.shape), cells), Moa(), "s"))
    assert values["auroc"] == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"drug": "one"}, "drug 'one' has the mechanisms A and B"),
        ({"mechanism": "A"}, "1 mechanism with 2 drugs or more where moa needs two"),
        ({"mechanism": "Vehicle"}, "0 mechanism with 2 drugs or more"),
    ],
)
def test_bad_columns(write: Callable[..., Path], change: dict, sentence: str) -> None:
    cells = screen()
    with pytest.raises(ScfmError, match=sentence):
        moa(write(apart(cells), cells.assign(**change)), Moa(), "s")


def test_a_dataset_without_drugs(embeddings: Callable[..., Path]) -> None:
    with pytest.raises(ScfmError, match="no column 'drug', which moa needs"):
        moa(embeddings(np.eye(4), "T", tasks="moa"), Moa(), "s")


def test_nan_is_refused_only_among_treated_cells(write: Callable[..., Path]) -> None:
    cells = screen(DRUGS | {"Vehicle": 1})
    vectors = apart(cells)
    vectors[-1, 0] = np.nan
    moa(write(vectors, cells), Moa(repeats=1), "s")
    vectors[0, 0] = np.nan
    with pytest.raises(ScfmError, match="NaN or infinite"):
        moa(write(vectors, cells), Moa(), "s")


def test_planted_mechanisms_are_found_and_shuffled_ones_are_not() -> None:
    adata = perturbation(CENSUS)
    classes = adata.obs["mechanism"].isin([f"mechanism {name}" for name in "ABCD"])
    adata = adata[(adata.obs["dose"] == 10000) & (adata.obs["viability"] < 0.85) & classes].copy()
    vectors = PcaEmbedder(Pca()).embed(adata, values="counts")["pca"]
    mechanisms, drugs = adata.obs["mechanism"].to_numpy(), adata.obs["product_name"].to_numpy()

    def figures(labels: np.ndarray, repeats: int) -> pd.Series:
        rows = cross_validate(vectors, labels, drugs, Moa(repeats=repeats))
        return pd.Series({row.metric: row.value for row in rows if not row.fold})

    found = figures(mechanisms, 5)
    assert found["auroc"] - 3 * found["auroc_sd"] > 0.5
    assert found["auroc"] > 0.7
    assert found["drug_recall"] > 0.7
    names, first = np.unique(drugs, return_index=True)
    rng = np.random.default_rng(0)
    shuffled = [
        figures(pd.Series(drugs).map(dict(zip(names, rng.permutation(mechanisms[first]), strict=True))).to_numpy(), 1)
        for _ in range(10)
    ]
    chance = pd.DataFrame(shuffled).mean()
    assert chance["auroc"] == pytest.approx(0.5, abs=0.06)
    assert chance["drug_auroc"] == pytest.approx(0.5, abs=0.12)
    assert chance["recall"] == pytest.approx(0.25, abs=0.06)


def test_command(write: Callable[..., Path], tmp_path: Path) -> None:
    cells = screen()
    path, out = write(apart(cells), cells), tmp_path / "moa.csv"
    result = CliRunner().invoke(app, ["moa", "--embeddings", str(path), "--study", "s", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert result.output.strip() == "benchmarks moa r: 1 datasets, mean auroc cls 1.000"
    assert len(pd.read_csv(out)) == 10 * 6 + 12 + 4 + 4
