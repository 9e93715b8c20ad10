"""The baseline scVI: what it refuses, and what it finds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scfm.benchmarks import scvi_embedder
from scfm.benchmarks.embedders import open_embedder
from scfm.benchmarks.read import read_prepared
from scfm.benchmarks.scvi_embedder import ScviEmbedder
from scfm.benchmarks.settings import Scvi
from scfm.errors import ScfmError

Write = Callable[..., Path]


def test_without_counts(prepared: Write) -> None:
    embedder = open_embedder("scvi")
    assert isinstance(embedder, ScviEmbedder)
    for values in ("tpm", "lognorm"):
        with pytest.raises(ScfmError, match=f"dataset 'd': holds {values} values, and scVI is a model of counts"):
            embedder.embed(read_prepared(prepared("d", cells=5)), values=values)


def test_without_scvi_tools(prepared: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scvi_embedder, "find_spec", lambda name: None)
    with pytest.raises(ScfmError, match=r"scvi-tools is not installed.*pip install '\.\[scvi\]'"):
        ScviEmbedder(Scvi()).embed(read_prepared(prepared("d", cells=5)), values="counts")


def test_genes_are_so_many_expressed_ones_and_stay_counts(prepared: Write) -> None:
    matrix = np.random.default_rng(0).poisson(5.0, (80, 60))
    matrix[:, 3] = 0
    adata = read_prepared(prepared("d", matrix=matrix))
    chosen = scvi_embedder._variable(adata, 10)
    assert 10 <= chosen.n_vars < 20  # ties come too
    assert np.array_equal(chosen.X.toarray(), matrix[:, [int(name[1:]) for name in chosen.var_names]])
    assert "G3" not in scvi_embedder._variable(adata, 100).var_names
    assert adata.shape == (80, 60)


def test_types_are_told_apart_and_batches_less_than_without_their_names(prepared: Write) -> None:
    from scfm.benchmarks.metrics.silhouette import asw_label

    rng = np.random.default_rng(0)
    kind, batch = np.arange(200) % 2, np.arange(200) // 100
    rates = np.exp(rng.normal(1, 1, (2, 50)))[kind] * np.exp(rng.normal(0, 0.7, (2, 50)))[batch]
    path = prepared("d", matrix=rng.poisson(rates), batch=np.array(["x", "y"])[batch])
    embedder = ScviEmbedder(Scvi(epochs=200))
    one, other = (embedder.embed(read_prepared(path), values="counts")["scvi"] for _ in range(2))
    assert one.shape == (200, 10)
    assert one.dtype == np.float32
    assert np.array_equal(one, other)
    assert asw_label(one, kind) > 0.65
    untold = read_prepared(path)
    untold.obs["batch"] = "b"
    assert asw_label(one, batch) < asw_label(embedder.embed(untold, values="counts")["scvi"], batch)
