import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.benchmarks.commands import app
from scfm.benchmarks.probe import METRICS, cross_validate, probe
from scfm.benchmarks.task_settings import Probe
from scfm.errors import ScfmError
from scfm.settings import parse

Write = Callable[..., Path]
ORACLE = json.loads((Path(__file__).parent / "oracles" / "cz_benchmarks.json").read_text())["figures"]
LR = Probe(classifiers=("lr",))


def separate(sizes: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Classes far apart: vectors [cells, 3], labels."""
    labels = np.repeat(list(sizes), list(sizes.values()))
    kind = np.repeat(np.arange(len(sizes)), list(sizes.values()))
    vectors = np.random.default_rng(0).normal(size=(len(labels), 3)) * 0.1
    return vectors + 10 * np.eye(3)[kind % 3] * (1 + kind // 3)[:, None], labels


@pytest.fixture(scope="module")
def pbmc() -> pd.DataFrame:
    """All measurements on the data of the frozen figures (see oracles/make_cz_benchmarks.py)."""
    import warnings

    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = sc.datasets.pbmc68k_reduced()
    labels = adata.obs["bulk_labels"].astype(str).to_numpy()
    sizes = pd.Series(labels).map(pd.Series(labels).value_counts()).to_numpy()
    kept = sizes >= 10
    return pd.DataFrame(map(vars, cross_validate(adata.obsm["X_pca"][kept], labels[kept], Probe())))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("classifier", ["lr", "knn", "rf", "mean"])
def test_figures_of_cz_benchmarks(pbmc: pd.DataFrame, metric: str, classifier: str) -> None:
    name = metric if classifier == "mean" else f"{metric}_{classifier}"
    (value,) = pbmc.loc[(pbmc["metric"] == name) & (pbmc["fold"] == ""), "value"]
    # Random forests and solvers differ a little between releases of scikit-learn.
    assert value == pytest.approx(ORACLE[f"{metric.removeprefix('macro_')}_{classifier}"], abs=5e-3)


def test_means_are_over_the_folds_and_the_classifiers(pbmc: pd.DataFrame) -> None:
    folds = pbmc[pbmc["fold"] != ""].groupby("metric")
    assert set(folds["fold"].nunique()) == {5}
    assert set(folds["n"].sum()) == {692}  # 700 cells but for the 8 of a class below 10
    overall = pbmc[pbmc["fold"] == ""].set_index("metric")["value"]
    assert overall["recall_knn"] == pytest.approx(folds["value"].mean()["recall_knn"])
    assert overall["auroc"] == pytest.approx(overall[["auroc_lr", "auroc_knn", "auroc_rf"]].mean())


def test_separate_classes_are_predicted_perfectly() -> None:
    table = cross_validate(*separate({"a": 20, "b": 30}), Probe())
    assert {measurement.value for measurement in table} == {1.0}


def test_labels_that_mean_nothing_are_at_chance() -> None:
    rng = np.random.default_rng(0)
    table = cross_validate(rng.normal(size=(400, 5)), rng.choice(["a", "b"], 400), LR)
    values = {measurement.metric: measurement.value for measurement in table if not measurement.fold}
    assert values["accuracy"] == pytest.approx(0.5, abs=0.1)
    assert values["auroc"] == pytest.approx(0.5, abs=0.1)


def test_f1_is_macro_for_two_classes() -> None:
    from sklearn.metrics import f1_score

    # Vectors without information: the larger class is always predicted, so its F1 is 2·0.9/1.9 and the other's 0.
    table = cross_validate(np.zeros((100, 2)), np.repeat(["a", "b"], [90, 10]), LR)
    expected = f1_score(["a"] * 90 + ["b"] * 10, ["a"] * 100, average="macro")
    assert [m.value for m in table if m.metric == "macro_f1"] == pytest.approx([expected])


def test_small_classes_and_unknown_cells_are_left_out(embeddings: Write) -> None:
    vectors, labels = separate({"a": 20, "b": 30, "rare": 9, "unknown": 40})
    table = probe(embeddings(vectors, labels), LR, "s")
    means = table[table["fold"] == ""]
    assert set(means["n"]) == {50}
    assert set(means["value"]) == {1.0}


@pytest.mark.parametrize(("sizes", "count"), [({"a": 50}, 1), ({"a": 50, "b": 9}, 1), ({"unknown": 50}, 0)])
def test_fewer_than_two_classes(embeddings: Write, sizes: dict[str, int], count: int) -> None:
    with pytest.raises(ScfmError, match=f"dataset 'd': {count} class with 10 cells or more"):
        probe(embeddings(*separate(sizes)), LR, "s")


def test_probed_embedding_with_nan(embeddings: Write) -> None:
    vectors, labels = separate({"a": 20, "b": 30})
    vectors[3, 1] = np.nan
    with pytest.raises(ScfmError, match="run 'r', pooling 'cls', dataset 'd': the embedding holds NaN"):
        probe(embeddings(vectors, labels), LR, "s")


def test_the_same_seed_gives_the_same_figures() -> None:
    vectors, labels = separate({"a": 20, "b": 20})
    noise = vectors + np.random.default_rng(1).normal(size=vectors.shape) * 8
    settings, other = (Probe(folds=2, classifiers=("rf",), seed=seed) for seed in (42, 1))
    assert cross_validate(noise, labels, settings) == cross_validate(noise, labels, settings)
    assert cross_validate(noise, labels, settings) != cross_validate(noise, labels, other)


def test_command(embeddings: Write, tmp_path: Path) -> None:
    path, out = embeddings(*separate({"a": 20, "b": 20})), tmp_path / "probe" / "0.csv"
    arguments = ["probe", "--embeddings", path, "--study", "s", "--settings", '{"classifiers": ["lr"]}', "--out", out]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.output == "benchmarks probe r: 1 datasets, mean macro_f1 cls 1.000\n"
    table = pd.read_csv(out)
    assert set(table["metric"]) == {*METRICS, *(f"{metric}_lr" for metric in METRICS)}


@pytest.mark.parametrize("text", ['{"folds": 1}', '{"min_cells": 4}', '{"classifiers": ["svm"]}', '{"classifier": []}'])
def test_bad_probe_settings(text: str) -> None:
    with pytest.raises(ScfmError, match="--settings"):
        parse(Probe, text, "--settings")
