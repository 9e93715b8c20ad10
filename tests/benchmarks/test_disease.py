"""The state that comes with a disease: the right cluster, its share, and nothing where nothing is."""

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, hypergeom, mannwhitneyu
from typer.testing import CliRunner

from scfm.benchmarks.commands import app
from scfm.benchmarks.disease import association, cluster_genes, disease, measure, signature_tests
from scfm.benchmarks.embed import embed
from scfm.benchmarks.embedders import PcaEmbedder, log_normalised
from scfm.benchmarks.settings import Pca
from scfm.benchmarks.task_settings import Disease
from scfm.corpus.settings import Synthetic
from scfm.corpus.synthetic.planted import disease as plant
from scfm.corpus.synthetic.planted import signature
from scfm.errors import ScfmError
from scfm.settings import as_json

CENSUS = Synthetic(kind="synthetic", cells=1000, genes=400, planted=60, types=6, holdout_cells=100)
UP, DOWN = ("G0", "G1"), ("G2", "G3")
TOY = Disease(cell_type="T", case="AD", control="ct", up=UP, down=DOWN)


def toy(shift: float = 8.0) -> tuple[anndata.AnnData, np.ndarray]:
    """90 cells in three clusters; cluster 1 has genes 0 and 1 up, 2 and 3 down, and 24 of 30 cells of cases."""
    rng = np.random.default_rng(0)
    clusters = np.repeat([0, 1, 2], 30)
    mean = np.full((90, 20), 5.0)
    mean[30:60, :2] += shift
    mean[30:60, 2:4] /= 1 + shift
    case = np.concatenate([np.arange(30) < 12, np.arange(30) < 24, np.arange(30) < 12])
    adata = anndata.AnnData(rng.poisson(mean).astype(np.float32))
    adata.var_names = [f"G{i}" for i in range(20)]
    adata.obs["condition"] = np.where(case, "AD", "ct")
    adata.uns["scfm"] = {"name": "d", "values": "counts"}
    return adata, clusters


def figures(adata: anndata.AnnData, clusters: np.ndarray, settings: Disease = TOY) -> pd.Series:
    data = log_normalised(adata, "counts")
    rows = measure(data, clusters, signature_tests(data, clusters, settings), settings)
    return pd.Series({row.metric: row.value for row in rows})


def test_the_cluster_with_the_signature_and_its_share() -> None:
    values = figures(*toy())
    assert values[["clusters", "cluster_cells", "found"]].tolist() == [3, 30, 1]
    assert values[["signature_up", "signature_down"]].tolist() == [2, 2]
    assert values["case_share"] == pytest.approx(24 / 30)
    assert values["rest_case_share"] == pytest.approx(24 / 60)
    assert values["odds_ratio"] == pytest.approx((24 / 6) / (24 / 36))


def test_significant_genes_are_those_of_scipy() -> None:
    adata, clusters = toy(shift=0.6)
    data = log_normalised(adata, "counts")
    tests = [mannwhitneyu(data.X[clusters == 1, g], data.X[clusters != 1, g], method="asymptotic") for g in range(20)]
    adjusted = false_discovery_control([test.pvalue for test in tests])
    above = data.X[clusters == 1].mean(0) > data.X[clusters != 1].mean(0)
    everything = Disease(
        cell_type="T", case="AD", control="ct", up=tuple(data.var_names), down=("G2", "G3"), agreement=0.05, alpha=0.2
    )
    values = figures(adata, clusters, everything)
    assert values["signature_up"] == ((np.asarray(adjusted) < 0.2) & above).sum()
    assert values["signature_down"] == ((np.asarray(adjusted) < 0.2) & ~above)[2:4].sum()


def test_interval_and_test_by_their_formulas() -> None:
    inside, case = np.arange(40) < 10, np.r_[np.ones(9), np.zeros(1), np.ones(11), np.zeros(19)].astype(bool)
    share, low, high, rest, odds, log_p = association(inside, case, 0.05)
    z, n, p = 1.959964, 10, 0.9
    middle, half = (p + z**2 / 2 / n) / (1 + z**2 / n), z / (1 + z**2 / n) * (p * (1 - p) / n + (z / 2 / n) ** 2) ** 0.5
    assert (share, rest, odds) == pytest.approx((0.9, 11 / 30, 9 * 19 / 11))
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-6)
    chances = hypergeom(40, 20, 10).pmf(np.arange(11))
    assert 10**-log_p == pytest.approx(chances[chances <= chances[9] * (1 + 1e-7)].sum())


def test_clusters_are_told_gene_by_gene() -> None:
    adata, clusters = toy()
    data = log_normalised(adata, "counts")
    table = cluster_genes(data, clusters, signature_tests(data, clusters, TOY), TOY).set_index(["cluster", "gene"])
    assert list(table.index) == [(cluster, gene) for cluster in (0, 1, 2) for gene in (*UP, *DOWN)]
    facts = table.groupby("cluster")[["cells", "case_share", "signature"]].first()
    assert facts.to_numpy().tolist() == [[30, 12 / 30, 0], [30, 24 / 30, 1], [30, 12 / 30, 0]]
    own = data.X[clusters == 1, 2]
    assert table.loc[(1, "G2"), ["mean", "expressing"]].tolist() == pytest.approx([own.mean(), (own > 0).mean()])
    assert (np.sign(table.loc[1, "score"]) == table.loc[1, "direction"]).all()
    assert (table.loc[1, "q"] < 0.05).all()
    alone = cluster_genes(data, clusters * 0, signature_tests(data, clusters * 0, TOY), TOY)
    assert alone[["cells", "signature"]].drop_duplicates().to_numpy().tolist() == [[90, 0]]
    assert alone["q"].isna().all()


def test_without_the_signature_there_is_no_share() -> None:
    adata, clusters = toy()
    values = figures(adata, np.random.default_rng(1).permutation(clusters))
    assert values["found"] == 0
    assert values[["case_share", "minus_log10_p"]].isna().all()
    assert figures(adata, np.zeros(90, dtype=int)).to_dict() == {"clusters": 1, "found": 0}


def test_half_of_a_signature_is_none() -> None:
    adata, clusters = toy()
    swapped = TOY.model_copy(update={"down": ("G10", "G11")})
    assert figures(adata, clusters, swapped)["found"] == 0


def test_small_clusters_are_not_looked_at() -> None:
    adata, clusters = toy()
    clusters = np.where(np.arange(90) < 55, 0, 1)
    clusters[30:35] = 2
    values = figures(adata, clusters, TOY.model_copy(update={"min_cells": 6}))
    assert values["clusters"] == 3
    assert values["cluster_cells"] in (35, 50)


def test_a_gene_that_is_not_measured_is_left_out_but_not_all() -> None:
    adata, clusters = toy()
    values = figures(adata, clusters, TOY.model_copy(update={"up": ("G0", "NONE")}))
    assert values[["signature_up", "found"]].tolist() == [1, 1]
    with pytest.raises(ScfmError, match="expresses no gene of the signature's NONE"):
        figures(adata, clusters, TOY.model_copy(update={"up": ("NONE",)}))


@pytest.fixture
def planted(tmp_path: Path, prepared: Callable[..., Path]) -> Callable[..., tuple[Path, Path, Disease]]:
    """Write the planted dataset as prepared, and its PCA; also the settings that look for the state."""

    def run(shares: tuple[float, float]) -> tuple[Path, Path, Disease]:
        cells = plant(CENSUS, shares)
        path = prepared("d", matrix=cells.X.toarray(), uns_tasks="disease")
        adata = anndata.read_h5ad(path)
        adata.var_names = cells.var_names
        for column in ("cell_type", "condition"):
            adata.obs[column] = cells.obs[column].to_numpy()
        adata.write_h5ad(path)
        embed(PcaEmbedder(Pca()), [path], "pca", 0).write_h5ad(tmp_path / "pca.h5ad")
        up, down = signature(CENSUS)
        kind = cells.obs["cell_type"].value_counts().idxmax()
        return path, tmp_path / "pca.h5ad", Disease(cell_type=kind, case="case", control="control", up=up, down=down)

    return run


def values_of(table: pd.DataFrame) -> pd.Series:
    return table.set_index("metric")["value"]


def test_planted_state_is_found_with_its_share(planted: Callable[..., tuple[Path, Path, Disease]]) -> None:
    path, embeddings, settings = planted((0.1, 0.4))
    values = values_of(disease(embeddings, [path], settings, "s")[0])
    assert values["found"] == 1
    assert values["case_share_low"] < 0.8 < values["case_share_high"]  # 0.4 of cases against 0.1 of controls
    assert values["minus_log10_p"] > 2


def test_a_state_that_disease_does_not_bring(planted: Callable[..., tuple[Path, Path, Disease]]) -> None:
    path, embeddings, settings = planted((0.25, 0.25))
    values = values_of(disease(embeddings, [path], settings, "s")[0])
    assert values["found"] == 1
    assert values["minus_log10_p"] < 1.3


def test_no_state_at_all(planted: Callable[..., tuple[Path, Path, Disease]]) -> None:
    path, embeddings, settings = planted((0.0, 0.0))
    values = values_of(disease(embeddings, [path], settings, "s")[0])
    assert values["found"] == 0
    assert np.isnan(values["minus_log10_p"])


def test_refusals_and_command(planted: Callable[..., tuple[Path, Path, Disease]], tmp_path: Path) -> None:
    path, embeddings, settings = planted((0.1, 0.4))
    for change, sentence in (
        ({"cell_type": "neuron"}, "no cell of type 'neuron'; name one of: "),
        ({"case": "AD"}, "of condition 'AD'; name one of: case, control"),
    ):
        with pytest.raises(ScfmError, match=sentence):
            disease(embeddings, [path], settings.model_copy(update=change), "s")
    with pytest.raises(ScfmError, match="not among the prepared datasets given"):
        disease(embeddings, [], settings, "s")
    options = ["--embeddings", str(embeddings), "--study", "s", "--settings", as_json(settings)]
    options += ["--out-clusters", str(tmp_path / "clusters.csv")]
    result = CliRunner().invoke(app, ["disease", str(path), *options, "--out", str(tmp_path / "disease.csv")])
    assert result.exit_code == 0, result.output
    assert result.output.strip() == "benchmarks disease pca: 1 datasets, mean found pca 1.000"
    written = pd.read_csv(tmp_path / "clusters.csv").drop_duplicates("cluster")
    table = values_of(pd.read_csv(tmp_path / "disease.csv"))
    assert len(written) == table["clusters"]
    chosen = written[written["signature"] == 1]
    assert chosen[["cells", "case_share"]].to_numpy() == pytest.approx(
        table[["cluster_cells", "case_share"]].to_numpy()[None]
    )
    adata = anndata.read_h5ad(path)
    adata[::-1].write_h5ad(tmp_path / "other.h5ad")
    with pytest.raises(ScfmError, match="its cells are not those that were embedded"):
        disease(embeddings, [tmp_path / "other.h5ad"], settings, "s")
