"""Embeddings of several runs side by side."""

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest
from typer.testing import CliRunner

from scfm.benchmarks.commands import app
from scfm.benchmarks.concatenate import concatenate
from scfm.benchmarks.read import read_embeddings
from scfm.errors import ScfmError

Write = Callable[..., Path]


@pytest.fixture
def two(embeddings: Write, tmp_path: Path) -> tuple[Path, Path]:
    """Files of two runs on the same cells, of which the second has seen a part."""
    tables = np.random.default_rng(0).normal(size=(2, 20, 3)).astype(np.float32)
    paths = tmp_path / "one.h5ad", tmp_path / "other.h5ad"
    for path, table, said in zip(paths, tables, ("false", "partly"), strict=True):
        adata = anndata.read_h5ad(embeddings(table, ["a", "b"] * 10))
        adata.obs["contaminated"] = np.arange(20) < (5 if said == "partly" else 0)
        adata.obsm["mean"] = 100 * table
        adata.uns["datasets"]["d"]["contaminated"] = said
        adata.write_h5ad(path)
    return paths


def test_vectors_stand_side_by_side_unscaled(two: tuple, tmp_path: Path) -> None:
    out = tmp_path / "both.h5ad"
    words = ["concatenate", *two, "--pooling", "cls", "--pooling", "mean", "--run", "bmfm_concat", "--out", out]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.output == "benchmarks concatenate bmfm_concat: 20 cells, width cls+mean 6\n"
    (joined,) = read_embeddings(out, "probe")
    one, other = (anndata.read_h5ad(path) for path in two)
    assert np.array_equal(joined.vectors, np.hstack([one.obsm["cls"], other.obsm["mean"]]))
    assert (joined.run, joined.pooling, joined.seed) == ("bmfm_concat", "cls+mean", 3)
    assert joined.facts["contaminated"] == "partly"
    assert joined.obs["contaminated"].sum() == 5


def test_parts_that_do_not_fit(two: tuple, embeddings: Write) -> None:
    with pytest.raises(ScfmError, match="no pooling 'cls_7'; choose among cls, mean"):
        concatenate(two, ["cls", "cls_7"], "r")
    with pytest.raises(ScfmError, match="1 given for 2 files"):
        concatenate(two, ["cls"], "r")
    fewer = embeddings(np.zeros((19, 3)), "a")
    with pytest.raises(ScfmError, match="not the cells of"):
        concatenate([two[0], fewer], ["cls", "cls"], "r")
    adata = anndata.read_h5ad(two[1])
    adata.uns["seed"] = 4
    adata.write_h5ad(two[1])
    with pytest.raises(ScfmError, match="seeds 3 and 4 are put side by side"):
        concatenate(two, ["cls", "cls"], "r")
