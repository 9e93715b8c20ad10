from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest
from typer.testing import CliRunner

from scfm.benchmarks.commands import app
from scfm.benchmarks.embed import embed
from scfm.benchmarks.embedders import PcaEmbedder, open_embedder
from scfm.benchmarks.read import read_embeddings, read_prepared
from scfm.benchmarks.settings import Pca
from scfm.errors import ScfmError

Write = Callable[..., Path]


def pca_by_hand(matrix: np.ndarray, components: int) -> np.ndarray:
    """Absolute scores of the first components of log1p of counts scaled to 10,000, by a full SVD."""
    logged = np.log1p(1e4 * matrix / matrix.sum(1, keepdims=True))
    left, singular, _ = np.linalg.svd(logged - logged.mean(0), full_matrices=False)
    return np.abs(left * singular)[:, :components]


@pytest.mark.parametrize("values", ["counts", "tpm"])
def test_pca_is_that_of_log_normalised_values(prepared: Write, values: str) -> None:
    adata = read_prepared(prepared("d"))
    matrix = adata.X.toarray().astype(float)
    vectors = PcaEmbedder(Pca(components=5)).embed(adata, values=values)["pca"]
    assert vectors.dtype == np.float32
    assert np.abs(vectors) == pytest.approx(pca_by_hand(matrix, 5), abs=1e-3)


def test_pca_takes_lognorm_as_it_is(prepared: Write) -> None:
    counts = np.random.default_rng(1).poisson(2.0, (60, 30)) + 1
    logged = np.log1p(1e4 * counts / counts.sum(1, keepdims=True))
    of_counts = PcaEmbedder(Pca(components=5)).embed(read_prepared(prepared("a", matrix=counts)), values="counts")
    of_logs = PcaEmbedder(Pca(components=5)).embed(read_prepared(prepared("b", matrix=logged)), values="lognorm")
    assert of_counts["pca"] == pytest.approx(of_logs["pca"], abs=1e-3)


def test_pca_reads_the_highly_variable_genes(prepared: Write) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.poisson(5.0, (80, 200))
    matrix[:40, :10] = rng.poisson(60.0, (40, 10))
    vectors = PcaEmbedder(Pca(genes=10, components=1)).embed(
        read_prepared(prepared("d", matrix=matrix)), values="counts"
    )
    first = vectors["pca"][:, 0]
    assert first[:40].max() < first[40:].min() or first[:40].min() > first[40:].max()


def test_pca_of_small_data_has_fewer_components(prepared: Write) -> None:
    adata = read_prepared(prepared("d", cells=6, genes=30))
    assert PcaEmbedder(Pca()).embed(adata, values="counts")["pca"].shape == (6, 5)


def test_pca_passes_over_genes_never_expressed(prepared: Write) -> None:
    matrix = np.random.default_rng(0).poisson(1.0, (50, 20))
    wider = np.concatenate([matrix, np.zeros((50, 5))], axis=1)
    vectors = [
        PcaEmbedder(Pca(components=4)).embed(read_prepared(prepared(name, matrix=table)), values="counts")["pca"]
        for name, table in (("a", matrix), ("b", wider))
    ]
    assert np.array_equal(*vectors)


def test_pca_of_one_cell_is_an_error(prepared: Write) -> None:
    adata = read_prepared(prepared("lonely", cells=1))
    with pytest.raises(ScfmError, match="'lonely': 1 cells"):
        PcaEmbedder(Pca()).embed(adata, values="counts")


def test_embeddings_of_datasets_of_different_width_come_back_as_they_were(prepared: Write, tmp_path: Path) -> None:
    paths = [prepared("small", cells=6), prepared("large", cells=60, uns_tasks="integration")]
    pca = PcaEmbedder(Pca(components=20))
    adata = embed(pca, paths, "pca", 4)
    assert adata.obs_names[[0, 6]].tolist() == ["small/c0", "large/c0"]
    adata.write_h5ad(tmp_path / "e.h5ad")
    small, large = read_embeddings(tmp_path / "e.h5ad", "integration")
    assert (small.dataset, small.run, small.pooling, small.seed) == ("small", "pca", "pca", 4)
    assert small.vectors.shape == (6, 5)
    assert np.array_equal(large.vectors, pca.embed(read_prepared(paths[1]), values="counts")["pca"])
    assert [each.dataset for each in read_embeddings(tmp_path / "e.h5ad", "probe")] == ["small"]


def test_a_model_is_asked_with_what_the_values_are(prepared: Write) -> None:
    class Model:
        poolings = ("cls", "mean")

        def embed(self, adata: anndata.AnnData, *, values: str) -> dict[str, np.ndarray]:
            seen.append((adata.n_obs, values))
            return {name: np.full((adata.n_obs, 3), i) for i, name in enumerate(self.poolings)}

    seen: list = []
    paths = [prepared("a", cells=4), prepared("b", cells=5, uns_values="tpm")]
    adata = embed(Model(), paths, "m", 0)
    assert seen == [(4, "counts"), (5, "tpm")]
    assert adata.obsm["mean"].tolist() == [[1, 1, 1]] * 9


def test_a_model_that_loses_cells_is_an_error(prepared: Write) -> None:
    class Model:
        poolings = ("cls",)

        def embed(self, adata: anndata.AnnData, *, values: str) -> dict[str, np.ndarray]:
            return {"cls": np.zeros((adata.n_obs - 1, 3))}

    with pytest.raises(ScfmError, match="does not fit its 4 cells"):
        embed(Model(), [prepared("a", cells=4)], "m", 0)


def test_the_same_dataset_twice(prepared: Write) -> None:
    path = prepared("a")
    with pytest.raises(ScfmError, match="dataset 'a' is given twice"):
        embed(PcaEmbedder(Pca()), [path, path], "pca", 0)


def test_a_model_that_is_not_there() -> None:
    with pytest.raises(ScfmError, match="model directory or file of embeddings not found"):
        open_embedder("nowhere/wced/0")


def test_other_files_are_no_embeddings(prepared: Write) -> None:
    with pytest.raises(ScfmError, match="not a file of embeddings"):
        list(read_embeddings(prepared("d"), "probe"))


def test_command_embeds_and_says_so(prepared: Write, tmp_path: Path) -> None:
    arguments = [prepared("d"), "--model", "pca", "--run", "pca", "--seed", 0, "--out", tmp_path / "e" / "0.h5ad"]
    arguments += ["--settings", '{"components": 3}']
    result = CliRunner().invoke(app, ["embed", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert result.output == "benchmarks embed pca: 60 cells of 1 datasets, width pca 3\n"
    (embedding,) = read_embeddings(tmp_path / "e" / "0.h5ad", "probe")
    assert embedding.vectors.shape == (60, 3)


@pytest.mark.parametrize("command", ["embed", "ontology"])
def test_the_device_asked_for_reaches_the_model(command: str, toy_model: Path, toy_obo: Path, tmp_path: Path) -> None:
    words = [command, tmp_path / "d.h5ad", "--model", toy_model, "--run", "r", "--seed", 0, "--device", "tpu"]
    words += ["--out", tmp_path / "out"]
    if command == "ontology":
        words += [
            "--study",
            "s",
            "--cell-ontology",
            toy_obo,
            "--out-types",
            tmp_path / "t",
            "--out-nodes",
            tmp_path / "n",
        ]
    with pytest.raises(ScfmError, match="device: 'tpu' is not known"):
        CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
