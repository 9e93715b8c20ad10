"""Denoising: what is hidden, what baselines are made of, planted truths, bad input."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from known_models import flat, known_model
from scipy.sparse import csr_matrix

from scfm.benchmarks.count_settings import Denoise
from scfm.benchmarks.denoise import baselines, denoise, hide
from scfm.benchmarks.interval import Interval
from scfm.benchmarks.settings import Scvi
from scfm.errors import ScfmError

Write = Callable[..., Path]
QUICK = Denoise(interval=Interval(resamples=100))
WHOSE = {"study": "s", "run": "known", "seed": 3}


def counts(cells=200, genes=40, rate=0.8, seed=0) -> csr_matrix:
    table = np.random.default_rng(seed).poisson(rate, (cells, genes)).astype(np.float32)
    table[:, :2] += 1  # two genes in every cell
    return csr_matrix(table)


def value(table: pd.DataFrame, pooling: str, metric: str) -> float:
    return table[(table["pooling"] == pooling) & (table["metric"] == metric)]["value"].item()


def test_a_share_of_each_cell_is_hidden_and_as_many_true_zeros():
    table = counts()
    hidden = hide(table, 0.25, np.random.default_rng(0))
    lengths, above = np.diff(table.indptr), hidden.truth > 0
    number = np.clip(np.round(0.25 * lengths), 1, lengths - 1)
    assert np.array_equal(np.bincount(hidden.row[above], minlength=200), number)
    assert np.array_equal(np.bincount(hidden.row[~above], minlength=200), np.minimum(number, 40 - lengths))
    assert len(set(zip(hidden.row, hidden.column, strict=True))) == len(hidden.row)
    dense, visible = table.toarray(), hidden.visible.toarray()
    assert np.array_equal(dense[hidden.row, hidden.column], hidden.truth)
    assert not visible[hidden.row, hidden.column].any()
    visible[hidden.row, hidden.column] = hidden.truth
    assert np.array_equal(visible, dense)
    assert (np.diff(hidden.visible.indptr) > 0).all()
    assert np.array_equal(table.toarray(), counts().toarray())


def test_every_zero_and_every_count_is_as_likely_to_be_hidden():
    table = csr_matrix(np.tile([1.0, 1, 1, 1, 0, 0, 0, 0], (4000, 1)).astype(np.float32))
    hidden = hide(table, 0.5, np.random.default_rng(0))
    share = np.bincount(hidden.column, minlength=8) / 4000
    np.testing.assert_allclose(share, 0.5, atol=0.04)


def test_a_cell_keeps_one_count_and_may_have_no_zero():
    table = csr_matrix(np.array([[1, 2, 0, 0], [3, 1, 2, 4]], np.float32))
    hidden = hide(table, 0.99, np.random.default_rng(0))
    assert np.diff(hidden.visible.indptr).tolist() == [1, 1]
    assert np.bincount(hidden.row).tolist() == [2, 3]


def test_seeds_say_what_is_hidden():
    one, same, other = (hide(counts(), 0.25, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(one.column, same.column)
    assert not np.array_equal(one.column[:50], other.column[:50])


def test_baselines_are_means_of_what_is_visible():
    table, groups = counts(60), np.arange(60) % 3
    hidden = hide(table, 0.25, np.random.default_rng(0))
    masked = np.ma.array(table.toarray().astype(float), mask=False)
    masked[hidden.row, hidden.column] = np.ma.masked
    found = baselines(hidden, groups)
    np.testing.assert_allclose(found["gene_mean"], masked.mean(0)[hidden.column])
    own = np.ma.stack([masked[groups == group].mean(0) for group in range(3)])[groups[hidden.row], hidden.column]
    np.testing.assert_allclose(found["group_mean"], own)
    depth = hidden.visible.toarray().astype(float).sum(1)
    open_depth = (depth[:, None] * ~np.ma.getmaskarray(masked)).sum(0)
    share = masked.sum(0) / open_depth
    np.testing.assert_allclose(found["depth"], share[hidden.column] * depth[hidden.row])


def test_a_group_that_hides_a_gene_everywhere_takes_the_mean_of_all():
    table = csr_matrix(np.array([[5, 1, 0], [5, 1, 0], [7, 1, 1]], np.float32))
    hidden = hide(table, 0.3, np.random.default_rng(0))
    found = baselines(hidden, np.arange(3))
    assert np.array_equal(found["group_mean"], found["gene_mean"])


def test_a_gene_that_another_tells_is_found_by_the_model_that_knows_it(prepared: Write):
    base = np.random.default_rng(0).integers(1, 40, (300, 20))
    matrix = np.hstack([base, 2 * base])  # gene i + 20 is twice gene i

    def partner(x, places, sets):
        x = x.numpy()
        low, high = x[:, :20], x[:, 20:]
        some = np.where(low + high > 0, np.maximum(low, high / 2), 12)  # both may be hidden
        return np.hstack([some, 2 * some])

    table = denoise(known_model(40, partner), [prepared("d", matrix=matrix, uns_tasks="denoise")], QUICK, **WHOSE)
    known = value(table, "expected", "rmse_nonzero")
    assert known < 0.5 * min(value(table, name, "rmse_nonzero") for name in ("gene_mean", "group_mean", "depth"))
    assert set(table["pooling"]) == {"expected", "gene_mean", "group_mean", "depth"}
    assert set(table["run"]) == {"known"}


def test_groups_that_differ_are_told_by_the_mean_of_the_group(prepared: Write):
    rng, batch = np.random.default_rng(0), np.arange(400) % 4
    rates = np.exp(rng.normal(0.5, 1, (4, 30)))
    path = prepared("d", matrix=rng.poisson(rates[batch]), batch=batch.astype(str), uns_tasks="denoise")
    table = denoise(known_model(30, flat), [path], QUICK, **WHOSE)
    assert value(table, "group_mean", "rmse") < 0.8 * value(table, "gene_mean", "rmse")
    assert value(table, "group_mean", "pearson") > value(table, "gene_mean", "pearson") + 0.1


def test_contamination_is_said_of_the_model_alone(prepared: Write):
    path = prepared("d", uns_tasks="denoise", uns_contaminated="true")
    table = denoise(known_model(30, flat), [path], QUICK, **WHOSE)
    said = table.groupby("pooling")["contaminated"].unique()
    assert list(said["expected"]) == ["true"]
    assert list(said["gene_mean"]) == ["false"]


def test_cells_with_nothing_to_hide_are_left_out_and_counted(prepared: Write):
    matrix = np.random.default_rng(0).poisson(2.0, (30, 12)) + 1
    matrix[:4, 1:] = 0
    table = denoise(known_model(12, flat), [prepared("d", matrix=matrix, uns_tasks="denoise")], QUICK, **WHOSE)
    assert value(table, "expected", "cells_left_out") == 4
    assert table[table["metric"] == "rmse"]["n"].unique().tolist() == [26]


def test_genes_that_the_model_does_not_know_are_not_scored(prepared: Write):
    matrix = np.full((20, 10), 3)
    table = denoise(known_model(4, flat), [prepared("d", matrix=matrix, uns_tasks="denoise")], QUICK, **WHOSE)
    assert value(table, "expected", "entries") == 20  # one of four, and no zero


def test_scvi_stands_beside_where_it_is_asked_for(prepared: Write):
    rng, kind = np.random.default_rng(0), np.arange(300) % 2
    rates = np.exp(rng.normal(0.3, 1.2, (2, 40)))[kind]
    path = prepared("d", matrix=rng.poisson(rates) + np.eye(1, 40, dtype=int), uns_tasks="denoise")
    table = denoise(known_model(40, flat), [path], QUICK, Scvi(epochs=30), **WHOSE)
    assert value(table, "scvi", "rmse") < value(table, "gene_mean", "rmse")


@pytest.mark.parametrize(
    ("keys", "genes", "words"),
    [
        ({"uns_values": "tpm"}, 30, "dataset 'd': holds tpm values where the task denoise predicts counts"),
        ({"uns_tasks": "probe"}, 30, "none of the datasets is asked for denoise"),
        ({"matrix": np.eye(5, dtype=int)}, 5, "no cell expresses 2 genes"),
        ({}, 0, "knows none of its 30 genes"),
    ],
)
def test_bad_input_is_one_sentence(prepared: Write, keys: dict, genes: int, words: str):
    path = prepared("d", **({"uns_tasks": "denoise"} | keys))
    with pytest.raises(ScfmError, match=words) as error:
        denoise(known_model(genes, flat), [path], QUICK, **WHOSE)
    assert "\n" not in str(error.value)


def test_a_system_without_expected_counts_is_refused(prepared: Write):
    model = known_model(30, flat)
    model.network.settings.expects_counts = False
    with pytest.raises(ScfmError, match=r"run 'known': denoise needs a system with expected counts, 'known' is none"):
        denoise(model, [prepared("d", uns_tasks="denoise")], QUICK, **WHOSE)
    with pytest.raises(ScfmError, match="expected needs a system with expected counts"):
        list(model.expected_blocks(None, np.arange(3)))
