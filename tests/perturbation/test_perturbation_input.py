"""Perturbation data that cannot be used: one sentence each."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix, diags

from scfm.errors import ScfmError
from scfm.perturbation import (
    CONTROL,
    Holdout,
    Quality,
    Scoring,
    check_perturbations,
    check_predictions,
    check_prompt,
    conditions,
    evaluate,
    hold_out,
    screen,
)
from scfm.perturbation.cells import canonical
from scfm.perturbation.differential import profile

HUMAN, MOUSE = ({"scfm": {"organism": name}} for name in ("Homo sapiens", "Mus musculus"))


@pytest.fixture
def data(screened):
    return screened({("A", CONTROL): 30, ("A", "x"): 25, ("A", "y"): 25})


def test_names_in_the_common_form():
    names = pd.Series(["B_A", "A_B", "ctrl", "A_ctrl", "A", "non-targeting_1", "A_A"])
    wanted = ["A+B", "A+B", CONTROL, "A", "A", CONTROL, "A"]
    assert canonical(names, ("ctrl", "non-targeting_1"), "_").tolist() == wanted
    assert canonical(pd.Series(["HLA_A"]), ("ctrl",), "").tolist() == ["HLA_A"]


def test_small_and_empty_groups_are_left_out_and_counted(screened):
    sizes = {("A", CONTROL): 30, ("A", "x"): 25, ("A", "few"): 5, ("B", CONTROL): 4, ("B", "x"): 25}
    adata = screened(sizes)
    adata.X = diags((np.arange(adata.n_obs) > 0).astype(np.float32)) @ adata.X
    cells = screen(adata)
    assert cells.uns["screen"] == {"empty_cells": 1, "small_conditions": 2, "backgrounds": 1}
    assert conditions(cells.obs).to_numpy().tolist() == [["A", "x"]]
    assert cells.n_obs == 54


def test_data_without_what_is_needed(data):
    with pytest.raises(ScfmError, match="obs column 'background' not found"):
        screen(anndata.AnnData(data.X, obs=data.obs[["perturbation"]]))
    with pytest.raises(ScfmError, match="no perturbation of 20 cells stands beside 20 control cells"):
        screen(anndata.AnnData(data.X, obs=data.obs.replace({"perturbation": {CONTROL: "vehicle"}})), control=("DMSO",))
    with pytest.raises(ScfmError, match="lower min_cells"):
        screen(data, quality=Quality(min_cells=26))
    with pytest.raises(ScfmError, match="is not a count"):
        screen(anndata.AnnData(data.X * 0.5, obs=data.obs))


def bad_cells(data):
    """Changes of predicted cells, and what the sentence says."""
    one = data[:0]
    empty = data.X.tolil()
    empty[40] = 0
    yield lambda: anndata.AnnData(data.X, obs=data.obs[["perturbation"]], var=data.var), "obs column 'background'"
    yield lambda: data[:, 2:], "2 of 20 genes are missing, 'G0' first"
    yield lambda: anndata.AnnData(data.X.log1p(), obs=data.obs, var=data.var), "raw counts are needed"
    yield lambda: anndata.AnnData(empty.tocsr(), obs=data.obs, var=data.var), "1 of 50 hold no count"
    yield lambda: data[(data.obs["perturbation"] != "y").to_numpy()], "0 cells of 'y' in background 'A'; give 2"
    yield lambda: data[: 30 + 25 + 1], "1 cells of 'y' in background 'A'; give 2"
    yield lambda: one, "0 cells of 'x'"
    strange = data.obs.assign(perturbation=data.obs["perturbation"].replace("y", "q"))
    yield (
        lambda: anndata.AnnData(data.X, obs=strange, var=data.var),
        "'q' in background 'A' is not among the 2 held out",
    )


def test_bad_predictions_are_one_sentence(data):
    query = conditions(data.obs)
    for make, words in bad_cells(data):
        with pytest.raises(ScfmError, match=words) as error:
            check_predictions(make(), data.var_names, query)
        assert "\n" not in str(error.value)


def test_predicted_genes_take_the_order_of_the_real_ones(data):
    turned = data[:, ::-1].copy()
    checked = check_predictions(turned, data.var_names, conditions(data.obs))
    assert checked.var_names.tolist() == data.var_names.tolist()
    assert (data.X[30:] != checked.X).nnz == 0


def prompts(data):
    yield HUMAN, MOUSE, slice(None), data.X, "cells of Homo sapiens for a query of Mus musculus"
    yield HUMAN, HUMAN, slice(3, None), data.X, "3 of 20 genes are missing"
    yield HUMAN, HUMAN, slice(None), data.X.log1p(), "prompt: raw counts are needed"
    yield HUMAN, HUMAN, slice(None), data.X * 0, "prompt: 80 of 80 cells hold no count"
    yield HUMAN, HUMAN, slice(None), data.X[:3], "prompt: 3 cells where 10 are needed"


def test_bad_prompts_are_one_sentence(data):
    query = anndata.AnnData(data.X, var=data.var)
    for own, other, genes, matrix, words in prompts(data):
        prompt = anndata.AnnData(csr_matrix(matrix), var=data.var, uns=own)[:, genes].copy()
        query.uns = other
        with pytest.raises(ScfmError, match=words):
            check_prompt(prompt, query, cells=10)
    query.uns = HUMAN
    check_prompt(anndata.AnnData(data.X, var=data.var, uns=HUMAN), query, cells=10)
    with pytest.raises(ScfmError, match="query: 4 cells where 10 are needed"):
        check_prompt(query, query[:4].copy(), cells=10)


def test_an_unknown_perturbation_is_named(data):
    check_perturbations(pd.Series(["x"]), data.obs["perturbation"])
    with pytest.raises(ScfmError, match="perturbation 'q' is unknown; the data has x, y"):
        check_perturbations(pd.Series(["x", "q"]), data.obs["perturbation"])


def test_groups_that_cannot_be_tested(data):
    matrix = data.X.log1p()
    with pytest.raises(ScfmError, match="expected perturbed cells and controls"):
        profile(matrix, np.array(["x"] * data.n_obs))
    labels = np.array([CONTROL] * (data.n_obs - 1) + ["x"])
    with pytest.raises(ScfmError, match="'x': one cell where two are needed"):
        profile(matrix, labels)


def test_a_model_does_not_take_the_name_of_a_baseline(data):
    cells = screen(data)
    sides = hold_out(cells.obs, Holdout())[""]
    with pytest.raises(ScfmError, match="model 'additive' has the name of a baseline"):
        evaluate(cells, sides, Scoring(), {"additive": cells})
