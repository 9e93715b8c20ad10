"""Imputation in a tissue: what the model is shown, planted truths of genes and of places, bad input."""

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from known_models import flat, known_model
from scipy.sparse import csr_matrix
from typer.testing import CliRunner

from scfm.benchmarks.commands import app
from scfm.benchmarks.count_settings import Imputation
from scfm.benchmarks.imputation import imputation
from scfm.benchmarks.interval import Interval
from scfm.benchmarks.tissue_neighbors import by_place, counts_of_neighbors, everyone
from scfm.errors import ScfmError

QUICK = Imputation(interval=Interval(resamples=100), components=5)
WHOSE = {"study": "s", "run": "known", "seed": 3}
CELLS, GENES = 240, 24


@pytest.fixture
def tissue(prepared: Callable[..., Path]) -> Callable[..., Path]:
    """Write a prepared dataset of two sections with coordinates; keywords as `prepared`, and places."""

    def write(matrix: np.ndarray, places: np.ndarray | None = None, **keys: object) -> Path:
        sections = np.array(["one", "two"])[np.arange(len(matrix)) % 2]
        path = prepared("d", matrix=matrix, **{"batch": sections, "uns_tasks": "imputation"} | keys)
        adata = anndata.read_h5ad(path)
        if places is not False:
            rng = np.random.default_rng(5)
            adata.obs["x"], adata.obs["y"] = (rng.random((len(matrix), 2)) if places is None else places).T
        adata.write_h5ad(path)
        return path

    return write


def value(table: pd.DataFrame, pooling: str, metric: str) -> float:
    return table[(table["pooling"] == pooling) & (table["metric"] == metric)]["value"].item()


def counts(rate=2.0, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(rate, (CELLS, GENES))


def test_each_fold_is_hidden_once_from_each_half_and_from_nothing_else(tissue):
    matrix = counts() + 1
    model = known_model(GENES, flat)
    imputation(model, [tissue(matrix)], QUICK, **WHOSE)
    shown = [seen for seen, _, _ in model.network.seen]
    assert len(shown) == 4 * 2 * 2  # folds, halves, with and without positions
    assert [places is None for _, places, _ in model.network.seen] == [False, False, True, True] * 4
    hidden = np.stack([(table == 0).numpy() for table in shown]).reshape(4, 2, 2, CELLS, GENES)
    assert (hidden.any(3).any(1).any(1).sum(0) == 1).all()  # each gene in one fold
    assert (hidden[:, 0].sum((0, 1)) == 1).all()  # each entry once with positions
    assert (hidden[:, 1].sum((0, 1)) == 1).all()
    cells = hidden[:, 0].any(3)  # folds, halves, cells
    assert (cells.sum(1) == 1).all()
    assert np.array_equal(cells[0], cells[1])
    assert cells[0, 0].sum() == CELLS // 2


def test_sections_are_read_apart_and_hold_both_halves(tissue):
    model = known_model(GENES, flat)
    imputation(model, [tissue(counts() + 1)], QUICK, **WHOSE)
    table, _, sets = model.network.seen[0]
    half = (table == 0).any(1).numpy()
    assert np.bincount(sets).tolist() == [CELLS // 2] * 2
    assert np.bincount(sets[half]).tolist() == [CELLS // 4] * 2


def test_a_gene_that_visible_genes_tell_is_imputed_by_the_model_and_by_knn(tissue):
    rng = np.random.default_rng(0)
    kind = rng.integers(3, size=CELLS)
    matrix = rng.poisson(np.exp(rng.normal(1.5, 1, (3, GENES)))[kind]) + np.eye(1, GENES, dtype=int)

    def partner(x, places, sets):  # the mean of the kind that the visible genes are nearest to
        x = x.numpy()
        means = np.stack([matrix[kind == k].mean(0) for k in range(3)])
        away = ((np.log1p(x)[:, None] - np.log1p(means)) ** 2 * (x > 0)[:, None]).sum(2)
        return means[away.argmin(1)].astype(np.float32)

    table = imputation(known_model(GENES, partner), [tissue(matrix)], QUICK, **WHOSE)
    found = {name: value(table, name, "pearson_median") for name in ("without_positions", "knn", "spatial_neighbors")}
    assert found["without_positions"] > 0.6
    assert found["knn"] > 0.6
    assert abs(found["spatial_neighbors"]) < 0.3
    assert value(table, "with_positions", "pearson_gain") == 0
    assert table[table["metric"] == "pearson_median"]["n"].unique().tolist() == [GENES]


def test_a_program_of_the_place_alone_is_found_by_neighbours_and_by_positions_only(tissue):
    rng = np.random.default_rng(0)
    places = rng.random((CELLS, 2))
    rate = np.where((places[:, :1] > 0.5) == (np.arange(GENES) == 3), 8.0, 2.0)  # gene 3 follows x, the others hardly
    rate[:, np.arange(GENES) != 3] = 4.0
    matrix = rng.poisson(rate)

    def by_x(x, where, sets):
        out = np.full(x.shape, 4.0, np.float32)
        if where is not None:
            out[:, 3] = np.where(where[:, 0].numpy() > 0.5, 8.0, 2.0)
        return out

    task = QUICK.model_copy(update={"neighbors": 5})
    model = known_model(GENES, by_x)
    table = imputation(model, [tissue(matrix, places)], task, **WHOSE)
    means = {name: value(table, name, "pearson_mean") for name in ("with_positions", "without_positions")}
    assert means["without_positions"] == 0
    assert means["with_positions"] == pytest.approx(value(table, "with_positions", "pearson_gain"))
    # one gene of all carries it
    assert 0.6 < means["with_positions"] * GENES < 1
    assert value(table, "spatial_neighbors", "pearson_mean") > value(table, "knn", "pearson_mean") + 0.5 / GENES


def test_a_model_without_positions_is_scored_without(tissue):
    table = imputation(known_model(GENES, flat, positions=False), [tissue(counts())], QUICK, **WHOSE)
    assert set(table["pooling"]) == {"without_positions", "depth", "knn", "spatial_neighbors"}
    assert value(table, "without_positions", "pearson_median") == 0


def test_depth_alone_correlates(tissue):
    depth = np.exp(np.random.default_rng(1).normal(0, 0.7, (CELLS, 1)))
    table = imputation(
        known_model(GENES, flat),
        [tissue(np.random.default_rng(0).poisson(3 * depth, (CELLS, GENES)) + np.eye(1, GENES, dtype=int))],
        QUICK,
        **WHOSE,
    )
    assert value(table, "depth", "pearson_median") > 0.5


def test_counts_of_neighbours_are_pooled_and_brought_to_the_depth_of_the_cell():
    counts, depth = csr_matrix(np.array([[2.0, 0], [4, 6], [0, 1]])), np.array([10.0, 20, 5])
    near = csr_matrix(np.array([[1.0, 1, 0], [0, 0, 1]]))
    found = counts_of_neighbors(near, counts, depth, np.array([3.0, 10]))
    np.testing.assert_allclose(found, [[6 / 30 * 3, 6 / 30 * 3], [0, 2]])
    all_of_them = counts_of_neighbors(everyone(np.arange(2), np.arange(3)), counts, depth, np.array([3.0, 10]))
    np.testing.assert_allclose(all_of_them, np.outer([3, 10], [6 / 35, 7 / 35]))


def test_neighbours_in_the_tissue_are_the_nearest_of_the_same_section():
    places, groups = np.array([[0.0, 0], [1, 0], [5, 0], [0, 0.1]]), np.array([0, 0, 0, 1])
    near = by_place(places, groups, Imputation(neighbors=1))(np.array([0]), np.array([1, 2, 3]))
    assert near.toarray().tolist() == [[1, 0, 0]]
    both = by_place(places, groups, Imputation(neighbors=9))(np.array([0]), np.array([1, 2, 3]))
    assert both.toarray().tolist() == [[1, 1, 0]]


def test_seeds_say_the_folds(tissue):
    path = tissue(counts() + 1)
    one, same, other = (
        imputation(known_model(GENES, lambda x, p, s: x + x.sum(1, keepdim=True)), [path], task, **WHOSE)
        for task in (QUICK, QUICK, QUICK.model_copy(update={"seed": 1}))
    )
    pd.testing.assert_frame_equal(one, same)
    assert not one["value"].equals(other["value"])


def test_scored_are_the_genes_of_most_cells(tissue):
    matrix = counts(0.3)
    matrix[:, 0] += 1
    matrix[:, 5] = np.arange(CELLS) < 9  # in fewer cells than min_cells
    table = imputation(known_model(GENES, flat), [tissue(matrix)], QUICK, **WHOSE)
    assert value(table, "depth", "pearson_median") is not None
    assert table[table["metric"] == "pearson_mean"]["n"].unique().tolist() == [GENES - 1]
    few = imputation(known_model(GENES, flat), [tissue(matrix)], QUICK.model_copy(update={"genes": 3}), **WHOSE)
    assert few[few["metric"] == "pearson_mean"]["n"].unique().tolist() == [3]


def test_a_tissue_of_one_cell_and_cells_of_one_gene_are_left_out_and_counted(tissue):
    matrix, sections = counts() + 1, np.array(["one", "two"])[np.arange(CELLS) % 2].astype(object)
    sections[7] = "alone"
    matrix[3, 1:] = 0
    table = imputation(known_model(GENES, flat), [tissue(matrix, batch=sections)], QUICK, **WHOSE)
    assert value(table, "with_positions", "cells_left_out") == 2
    assert value(table, "with_positions", "cells") == CELLS - 2


def _partly(places: np.ndarray) -> np.ndarray:
    places = places.copy()
    places[4, 1] = places[9, 0] = np.nan
    return places


@pytest.mark.parametrize(
    ("matrix", "places", "keys", "words"),
    [
        (counts(), _partly(np.ones((CELLS, 2))), {}, r"2 of 240 cells lack coordinates \(first: 'c4'\)"),
        (counts(), False, {}, "no coordinates where the task imputation needs them"),
        (counts()[:1], None, {}, "no cell can be scored, of 1;"),
        (counts(), None, {"batch": [f"b{i}" for i in range(CELLS)]}, "no cell can be scored, of 240;"),
        (counts()[:, :3], None, {}, "3 known genes cannot be dealt into 4 folds"),
        (np.eye(GENES, dtype=int), None, {}, "no cell can be scored, of 24;"),
        (np.full((CELLS, GENES), 2), None, {}, r"no known gene is expressed in 10 cells \(min_cells\) and differs"),
        (counts(), None, {"uns_values": "lognorm"}, "holds lognorm values where the task imputation predicts counts"),
    ],
)
def test_bad_input_is_one_sentence(tissue, matrix, places, keys, words):
    with pytest.raises(ScfmError, match=words) as error:
        imputation(known_model(GENES, flat), [tissue(matrix, places, **keys)], QUICK, **WHOSE)
    assert "dataset 'd'" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_commands_write_tidy_tables(tissue, tmp_path, monkeypatch):
    import scfm

    path, out = tissue(counts() + 1, uns_tasks="denoise,imputation"), tmp_path / "out.csv"
    monkeypatch.setattr(scfm, "load", lambda *given: known_model(GENES, flat))
    for task, line in (("denoise", "mean rmse expected"), ("imputation", "mean pearson_median with_positions")):
        words = [task, str(path), "--model", "m", "--run", "r", "--seed", "0", "--study", "s", "--out", str(out)]
        done = CliRunner().invoke(app, [*words, "--settings", '{"interval": {"resamples": 100}}'])
        assert done.exit_code == 0, done.output
        assert f"benchmarks {task} r: 1 datasets, {line}" in done.output
        assert set(pd.read_csv(out)["task"]) == {task}


def test_the_network_sees_places_as_they_are(tissue):
    model, places = known_model(GENES, flat), np.random.default_rng(2).random((CELLS, 2))
    imputation(model, [tissue(counts() + 1, places)], QUICK, **WHOSE)
    _, seen, _ = model.network.seen[0]
    assert torch.equal(seen.double().sort(0).values.float(), torch.from_numpy(np.sort(places, 0)).float())
