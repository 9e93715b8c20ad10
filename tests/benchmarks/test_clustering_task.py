"""Clusters against cell types: frozen figures of cz-benchmarks, planted clusters, and data that is hard on it."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.benchmarks.clustering import clustering, score
from scfm.benchmarks.commands import app
from scfm.benchmarks.task_settings import Clustering
from scfm.errors import ScfmError
from scfm.settings import parse

Write = Callable[..., Path]
ORACLE = json.loads((Path(__file__).parent / "oracles" / "cz_clustering.json").read_text())


def groups(sizes: dict[str, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Cells of each type around a place of its own, far from the others: vectors [cells, 4], labels."""
    labels = np.repeat(list(sizes), list(sizes.values()))
    place = np.repeat(np.arange(len(sizes)), list(sizes.values()))
    return np.random.default_rng(seed).normal(size=(len(labels), 4)) + 50 * place[:, None], labels


def values(vectors: np.ndarray, labels: np.ndarray, **settings: object) -> dict[str, float]:
    return {m.metric: m.value for m in score(vectors, np.asarray(labels), Clustering(**settings))}


@pytest.fixture(scope="module")
def pbmc() -> tuple[np.ndarray, np.ndarray]:
    """Embedding and labels of the frozen figures (see oracles/make_cz_clustering.py)."""
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = sc.datasets.pbmc68k_reduced()
    return adata.obsm["X_pca"], adata.obs["bulk_labels"].astype(str).to_numpy()


@pytest.mark.parametrize("seed", ORACLE["clustering_by_seed"])
def test_figures_of_cz_benchmarks(pbmc: tuple, seed: str) -> None:
    ours, theirs = values(*pbmc, seed=int(seed)), ORACLE["clustering_by_seed"][seed]
    assert ours["ari"] == pytest.approx(theirs["adjusted_rand_index"], abs=1e-6)
    assert ours["nmi"] == pytest.approx(theirs["normalized_mutual_info"], abs=1e-6)
    assert ours["silhouette"] == pytest.approx(ORACLE["silhouette_score"], abs=1e-6)


def test_clusters_are_those_of_scanpy(pbmc: tuple) -> None:
    import anndata
    import scanpy as sc
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score

    vectors, labels = pbmc
    adata = anndata.AnnData(obs=pd.DataFrame(index=[f"c{i}" for i in range(len(labels))]), obsm={"e": vectors})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.neighbors(adata, n_neighbors=15, use_rep="e", random_state=7)
        sc.tl.leiden(adata, resolution=0.6, flavor="igraph", n_iterations=2, random_state=7)
    ours = values(vectors, labels, resolution=0.6, seed=7)
    assert ours["ari"] == pytest.approx(adjusted_rand_score(labels, adata.obs["leiden"]), abs=1e-6)
    assert ours["nmi"] == pytest.approx(normalized_mutual_info_score(labels, adata.obs["leiden"]), abs=1e-6)
    assert ours["silhouette"] == pytest.approx((silhouette_score(vectors, labels) + 1) / 2, abs=1e-6)


def test_separate_types_are_found_perfectly() -> None:
    ours = values(*groups({"a": 40, "b": 50, "c": 30}), resolution=0.1)
    assert ours["ari"] == ours["nmi"] == pytest.approx(1)
    assert ours["silhouette"] > 0.95


def test_labels_that_mean_nothing_score_nothing() -> None:
    vectors, labels = groups({"a": 100, "b": 100})
    ours = values(vectors, np.random.default_rng(1).permutation(labels))
    assert abs(ours["ari"]) < 0.05
    assert ours["silhouette"] == pytest.approx(0.5, abs=0.05)


def test_a_type_of_one_cell_counts(embeddings: Write) -> None:
    table = clustering(embeddings(*groups({"a": 40, "b": 50, "lonely": 1})), Clustering(resolution=0.1), "s")
    assert set(table["n"]) == {91}
    assert table["value"].between(0.9, 1).all()


def test_more_cells_than_approximate_neighbours_can_bear(embeddings: Write) -> None:
    # From 8,192 cells on, approximate search takes over elsewhere; ours is exact at any number.
    vectors, labels = groups({"a": 4500, "b": 4500})
    settings = Clustering(resolution=0.001, max_silhouette_cells=1000)
    table = clustering(embeddings(vectors, labels), settings, "s").set_index("metric")
    assert table.loc[["ari", "nmi"], "value"].tolist() == pytest.approx([1, 1])
    assert set(table["n"]) == {9000}
    assert table.loc["silhouette", "split"] == "silhouettes of a stratified subsample of 1000 cells"
    assert table.loc[["ari", "nmi"], "split"].tolist() == ["", ""]


def test_cells_of_unknown_type_are_left_out(embeddings: Write) -> None:
    known = clustering(embeddings(*groups({"a": 30, "b": 30})), Clustering(), "s")
    vectors, labels = groups({"a": 30, "b": 30})
    more = embeddings(np.concatenate([vectors, np.zeros((5, 4))]), [*labels, *["unknown"] * 5])
    pd.testing.assert_frame_equal(clustering(more, Clustering(), "s"), known)


@pytest.mark.parametrize("labels", ["a", "unknown"])
def test_fewer_than_two_types(embeddings: Write, labels: str) -> None:
    path = embeddings(np.zeros((20, 2)), labels, tasks="clustering")
    with pytest.raises(ScfmError, match=r"dataset 'd': [01] known cell type where clustering needs two"):
        clustering(path, Clustering(), "s")


def test_embedding_with_nan(embeddings: Write) -> None:
    vectors, labels = groups({"a": 20, "b": 20})
    vectors[3, 1] = np.nan
    with pytest.raises(ScfmError, match="dataset 'd': the embedding holds NaN"):
        clustering(embeddings(vectors, labels), Clustering(), "s")


def test_command(embeddings: Write, tmp_path: Path) -> None:
    path, out = embeddings(*groups({"a": 30, "b": 30})), tmp_path / "clustering" / "0.csv"
    arguments = ["clustering", "--embeddings", path, "--study", "s", "--settings", '{"resolution": 0.1}', "--out", out]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.output == "benchmarks clustering r: 1 datasets, mean ari cls 1.000\n"
    table = pd.read_csv(out)
    assert table["metric"].tolist() == ["ari", "nmi", "silhouette"]
    assert table[["study", "run", "pooling", "dataset", "task"]].iloc[0].tolist() == [
        "s",
        "r",
        "cls",
        "d",
        "clustering",
    ]


@pytest.mark.parametrize("text", ['{"resolution": 0}', '{"neighbors": 1}', '{"resolutions": [1]}'])
def test_bad_clustering_settings(text: str) -> None:
    with pytest.raises(ScfmError, match="--settings"):
        parse(Clustering, text, "--settings")
