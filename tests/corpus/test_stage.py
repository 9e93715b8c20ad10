"""The stage as a whole: scan, select, scatter, gather on a small synthetic census."""

import filecmp
import json

import anndata
import numpy as np
import pandas as pd
import pytest

from scfm.corpus import Shards
from scfm.corpus.gather import gather
from scfm.corpus.parts import read_parts
from scfm.corpus.select import shard_order
from scfm.corpus.settings import Layout
from scfm.errors import ScfmError
from scfm.genes import approve, read_hgnc


def same(one, other):
    compared = filecmp.dircmp(one, other)
    _, differ, missing = filecmp.cmpfiles(one, other, compared.common_files, shallow=False)
    assert compared.left_only + compared.right_only + differ + missing == []
    for name in compared.common_dirs:
        same(one / name, other / name)


def test_the_shards_hold_the_deposited_counts(census, built, densify):
    shards = Shards.open(built / "shards")
    hgnc = read_hgnc(census / "annotation" / "hgnc.tsv")
    found = densify(shards.read(np.arange(len(shards))), len(shards.genes))
    with_name = {}
    for dataset in shards.datasets:
        adata = anndata.read_h5ad(census / f"{dataset}.h5ad")
        symbols = approve(adata.var_names, hgnc)
        position = pd.Series(np.arange(len(symbols)), index=symbols)[symbols.notna().to_numpy()]
        columns = position.reindex(shards.genes["gene"]).fillna(-1).to_numpy(int)
        dense = np.where(columns >= 0, adata.X.toarray()[:, columns], 0)
        with_name[dataset] = dense
        np.testing.assert_array_equal(shards.measured[shards.datasets.index(dataset)], columns >= 0)
    sizes = [len(anndata.read_h5ad(census / f"{d}.h5ad", backed="r").obs) for d in shards.datasets]
    everything = np.concatenate([with_name[d] for d in shards.datasets])
    assert shards.cells["soma_joinid"].max() < sum(sizes)
    np.testing.assert_array_equal(found, everything[shards.cells["soma_joinid"]])
    assert shards.cells["soma_joinid"].is_unique


def test_one_dataset_does_not_measure_some_genes(census, built):
    shards = Shards.open(built / "shards")
    missing = ~shards.measured
    assert missing.any(axis=1).tolist() == [False, False, True, False]
    truth = pd.read_parquet(census / "truth.parquet").set_index("gene")
    assert set(truth.loc[shards.genes["gene"][missing.any(axis=0)], "planted"]) == {"background"}


def test_ranges_do_not_change_the_result(prepare, built, tmp_path):
    other = prepare(tmp_path, parts=3, shard_cells=300)
    same(built / "selection", other / "selection")
    same(built / "shards", other / "shards")


def test_the_same_settings_give_the_same_bytes(prepare, built, tmp_path):
    same(built / "shards", prepare(tmp_path, shard_cells=300) / "shards")


def test_buckets_hold_one_permutation(prepare, built, tmp_path):
    one = Shards.open(prepare(tmp_path, shard_cells=10_000) / "shards")
    two = Shards.open(built / "shards")
    assert len(two.manifest["shards"]) == 2
    np.testing.assert_array_equal(one.cells["soma_joinid"], two.cells["soma_joinid"])
    joinids = one.cells["soma_joinid"].to_numpy()
    assert abs(np.corrcoef(joinids, np.arange(len(joinids)))[0, 1]) < 0.2


@pytest.mark.parametrize("by", ["donor_id", "tissue", "batch"])  # the batch of spatial cells is their field of view
def test_groups_stay_together_when_asked(by):
    rng = np.random.default_rng(0)
    cells = pd.DataFrame({"dataset_id": rng.choice(["a", "b"], 60), by: rng.choice(["1", "2", "3"], 60)})
    row = shard_order(cells, Layout(kind="grouped", by=by))
    assert sorted(row) == list(range(60))
    group = (cells["dataset_id"] + cells[by]).to_numpy()[np.argsort(row)]
    assert (group[1:] != group[:-1]).sum() == 5
    assert row.tolist() != shard_order(cells, Layout(kind="grouped", by=by, seed=1)).tolist()


def test_quality_control_counts_every_drop(built):
    qc = pd.read_csv(built / "selection" / "qc.csv", keep_default_na=False)
    assert (qc["before"] - qc["dropped"] == qc["after"]).all()
    cells = qc[(qc["step"] == "cells") & (qc["dataset"] != "")]
    chain = cells.groupby("dataset")
    assert (chain["before"].first() - chain["dropped"].sum() == chain["after"].last()).all()
    assert cells["dropped"].sum() > 0
    manifest = json.loads((built / "selection" / "manifest.json").read_text())
    assert chain["after"].last().sum() == manifest["cells"]
    kept = pd.read_parquet(built / "selection" / "cells.parquet")
    assert kept["n_counts"].min() >= 200
    assert kept["mito_fraction"].max() <= 0.2
    coding = qc[qc["reason"] == "not a protein-coding gene of HGNC"].iloc[0]
    assert coding["dropped"] == 12
    quantiles = pd.read_csv(built / "selection" / "qc_quantiles.csv")
    assert set(quantiles["stage"]) == {"before", "after"}


def test_gene_statistics_against_dense_arithmetic(built, densify):
    shards = Shards.open(built / "shards")
    dense = densify(shards.read(np.arange(len(shards))), len(shards.genes))
    np.testing.assert_array_equal(shards.genes["n_cells"], (dense > 0).sum(0))
    np.testing.assert_array_equal(shards.genes["n_counts"], dense.sum(0))
    known = shards.measured[shards.dataset_codes]
    np.testing.assert_array_equal(shards.genes["n_measured"], known.sum(0))
    # The totals of the scan include the non-coding genes, so they come from the selection.
    cells = pd.read_parquet(built / "selection" / "cells.parquet").set_index("soma_joinid")
    total = cells.loc[shards.cells["soma_joinid"], "n_counts"].to_numpy()
    log = np.ma.masked_array(np.log1p(1e4 * dense / total[:, None]), ~known)
    np.testing.assert_allclose(shards.genes["mean"], log.mean(0), atol=1e-5)
    np.testing.assert_allclose(shards.genes["dispersion"], log.var(0) / log.mean(0), rtol=1e-3)


def test_thresholds_of_genes(prepare, tmp_path, built):
    statistics = Shards.open(built / "shards").genes
    limits = {"min_frequency": 0.3, "min_dispersion": 1.0}
    folder = prepare(tmp_path, steps=("select",), qc=limits)
    genes = pd.read_parquet(folder / "selection" / "genes.parquet")["gene"]
    expected = statistics["gene"][(statistics["frequency"] >= 0.3) & (statistics["dispersion"] >= 1.0)]
    assert genes.tolist() == expected.tolist()


def test_excluded_datasets_leave_no_trace(prepare, tmp_path):
    folder = prepare(tmp_path, exclude_datasets=["corpus_00"], split={"by": "cell"}, layout={"kind": "grouped"})
    shards = Shards.open(folder / "shards")
    assert "corpus_00" not in set(shards.cells["dataset_id"]) | set(shards.datasets)
    assert shards.genes["n_measured"].max() == len(shards)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"qc": {"min_counts": 10**9}}, "no cell passes"),
        ({"qc": {"min_frequency": 1.0, "min_dispersion": 99.0}}, "no gene passes"),
        ({"exclude_datasets": ["corpus_99"]}, "corpus_99"),
        ({"exclude_datasets": ["corpus_00", "corpus_01", "corpus_02", "corpus_03"]}, "no cell passes"),
        ({"sampling": [{"kind": "fraction", "fraction": 0.0001}]}, "leaves no cell"),
        ({"sampling": [{"kind": "total", "field": "tissue", "cells": 1}], "split": {"by": "donor"}}, "by 'donor'"),
    ],
)
def test_a_corpus_that_cannot_be_is_one_sentence(prepare, tmp_path, changes, message):
    with pytest.raises(ScfmError, match=message) as raised:
        prepare(tmp_path, steps=("select",), **changes)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "selection").exists()


def test_a_store_without_known_genes(census, prepare, tmp_path, monkeypatch):
    nothing = read_hgnc(census / "annotation" / "hgnc.tsv").assign(gene="?", ensembl="?", aliases=None, previous=None)
    monkeypatch.setattr("scfm.corpus.select.read_hgnc", lambda path: nothing)
    with pytest.raises(ScfmError, match="protein-coding gene"):
        prepare(tmp_path, steps=("select",))


def test_missing_parts_are_noticed(prepare, built, tmp_path):
    prepare(tmp_path, parts=2)
    with pytest.raises(ScfmError, match="do not cover"):
        read_parts([tmp_path / "scan" / "part-1"])
    with pytest.raises(ScfmError, match="none given"):
        read_parts([])
    with pytest.raises(ScfmError, match="chosen cells"):
        gather(tmp_path / "selection", [tmp_path / "scatter" / "part-0"], tmp_path / "x")
    prepare(tmp_path / "other", split={"by": "cell"}, qc={"min_counts": 400})
    with pytest.raises(ScfmError, match="another selection"):
        gather(tmp_path / "selection", [tmp_path / "other" / "scatter" / "part-0"], tmp_path / "x")


def test_parts_and_cells_that_do_not_fit_are_noticed(prepare, tmp_path):
    prepare(tmp_path, parts=2, shard_cells=300)
    parts = [tmp_path / "scatter" / f"part-{k}" for k in range(2)]
    rows = [np.load(part / "run-00000" / "rows.npy") for part in parts]
    np.save(parts[0] / "run-00000" / "rows.npy", np.sort(rows[1])[: len(rows[0])])
    with pytest.raises(ScfmError, match="do not hold each of its cells once"):
        gather(tmp_path / "selection", parts, tmp_path / "x")
    np.save(parts[0] / "run-00000" / "rows.npy", rows[0])
    table = tmp_path / "selection" / "cells.parquet"
    pd.read_parquet(table).sort_values("soma_joinid").to_parquet(table, index=False)
    with pytest.raises(ScfmError, match="not in the order of their rows"):
        gather(tmp_path / "selection", parts, tmp_path / "x")
    assert not (tmp_path / "x").exists()
