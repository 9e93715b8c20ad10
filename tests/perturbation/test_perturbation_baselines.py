"""Baselines against closed forms: whose effect is added to whose controls."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scfm.errors import ScfmError
from scfm.perturbation import BASELINES, CONTROL, Quality, Scoring, evaluate, hold_out, predict, pseudobulks, screen
from scfm.perturbation.baselines import cells_around
from scfm.perturbation.cells import controls, log_normalised
from scfm.perturbation.settings import Holdout

TOTAL = 100.0


@pytest.fixture
def known(screened):
    """Three backgrounds; `x` is known in A and B, `y` in C alone, `z` nowhere but as a query."""
    conditions = {(b, CONTROL): 50 for b in "ABC"} | {("A", "x"): 40, ("B", "x"): 40, ("C", "y"): 40}
    cells = screened(conditions, {"x": {0: 3.0}, "y": {1: 0.3}})
    # C is B but for a little.
    rates = cells[(cells.obs["background"] == "B").to_numpy() & (cells.obs["perturbation"] == CONTROL).to_numpy()]
    cells.X[np.flatnonzero((cells.obs["background"] == "C") & (cells.obs["perturbation"] == CONTROL))] = rates.X
    return pseudobulks(cells, TOTAL)


def mean_of(known, background, perturbation):
    return known.X[((known.obs["background"] == background) & (known.obs["perturbation"] == perturbation)).to_numpy()][
        0
    ]


def effect(known, background, perturbation):
    return mean_of(known, background, perturbation) - mean_of(known, background, CONTROL)


def predicted(name, known, background, perturbation):
    query = pd.DataFrame({"background": [background], "perturbation": [perturbation]})
    out = predict(name, known, query)
    return out.X[0] - mean_of(known, background, CONTROL), bool(out.obs["informed"].iloc[0])


def close(values, wanted):
    assert values == pytest.approx(wanted, abs=1e-12)


def test_pseudobulks_are_means_of_log_normalised_cells(screened):
    cells = screened({("A", CONTROL): 5, ("A", "x"): 4, ("B", CONTROL): 3})
    bulks = pseudobulks(cells, TOTAL)
    for row, pair in enumerate(bulks.obs.itertuples()):
        own = (
            (cells.obs["background"] == pair.background) & (cells.obs["perturbation"] == pair.perturbation)
        ).to_numpy()
        counts = cells.X[own].toarray()
        assert pair.cells == own.sum()
        assert bulks.X[row] == pytest.approx(np.log1p(TOTAL * counts / counts.sum(1, keepdims=True)).mean(0), rel=1e-6)


def test_the_control_mean_adds_nothing(known):
    shift, informed = predicted("control_mean", known, "C", "x")
    close(shift, np.zeros(20))
    assert informed


def test_the_mean_of_perturbations_is_of_the_background_if_it_has_any(known):
    close(predicted("perturbation_mean", known, "C", "x")[0], effect(known, "C", "y"))
    there = known[~((known.obs["background"] == "C") & (known.obs["perturbation"] != CONTROL)).to_numpy()]
    every = (effect(known, "A", "x") + effect(known, "B", "x")) / 2
    close(predicted("perturbation_mean", there, "C", "x")[0], every)


def test_additive_transfer_is_the_mean_over_backgrounds(known):
    close(predicted("additive", known, "C", "x")[0], (effect(known, "A", "x") + effect(known, "B", "x")) / 2)
    shift, informed = predicted("additive", known, "C", "z")
    close(shift, np.zeros(20))
    assert not informed


def test_partners_add_up_and_the_own_background_comes_first(known):
    there = (effect(known, "A", "x") + effect(known, "B", "x")) / 2
    close(predicted("additive", known, "C", "x+y")[0], there + effect(known, "C", "y"))
    close(predicted("additive", known, "A", "x+y")[0], effect(known, "A", "x") + effect(known, "C", "y"))
    close(predicted("additive", known, "A", "x+z")[0], effect(known, "A", "x"))


def test_the_nearest_background_is_that_of_like_controls(known):
    close(predicted("nearest", known, "C", "x")[0], effect(known, "B", "x"))
    assert not predicted("nearest", known, "C", "y")[1]


def test_predictions_are_not_below_zero(screened):
    cells = screened({("A", CONTROL): 30, ("A", "x"): 30, ("B", CONTROL): 30, ("B", "y"): 30}, {"x": {0: 0.0}})
    bulks = pseudobulks(cells, TOTAL)
    query = pd.DataFrame({"background": ["A", "B"], "perturbation": ["x", "x"]})
    assert predict("additive", bulks, query).X.min() == 0


def test_controls_are_those_of_the_background(screened):
    cells = screened({("A", CONTROL): 6, ("B", CONTROL): 4, ("B", "x"): 5})
    rows = controls(cells.obs, "B")
    assert len(rows) == 4
    assert set(zip(*(cells.obs.iloc[rows][name] for name in ("background", "perturbation")), strict=True)) == {
        ("B", CONTROL)
    }
    with pytest.raises(ScfmError, match="background 'C': no control cell; those with controls are: A, B"):
        controls(cells.obs, "C")


def test_other_backgrounds_controls_change_nothing(screened):
    conditions = {(b, name): 40 for b in "AB" for name in (CONTROL, "x", "y", "z")}
    cells = screen(screened(conditions, {"x": {0: 3.0}, "y": {1: 3.0}, "z": {2: 3.0}}))
    sides = hold_out(cells.obs, Holdout(seed=2))[""]
    before = evaluate(cells, sides, Scoring())
    other = cells.copy()
    rows = controls(cells.obs, "B")
    # The same totals, other genes.
    counts = other.X.toarray()
    counts[rows] = counts[rows][:, ::-1]
    other.X = csr_matrix(counts)
    after = evaluate(other, sides, Scoring())
    for name in ("control_mean", "perturbation_mean"):
        kept, moved = (
            [tables[name].xs(b)[["mae", "pearson_delta"]].to_numpy() for tables in (before, after)] for b in "AB"
        )
        assert kept[0] == pytest.approx(kept[1], abs=1e-12), name
        assert np.abs(moved[0] - moved[1]).max() > 0.01, name


def test_cells_around_a_pseudobulk_have_its_mean_and_its_zeros(screened):
    cells = screened({("A", CONTROL): 1000, ("A", "x"): 1000}, {"x": {0: 4.0, 1: 0.2, 2: 0.0}}, genes=30, rate=1.0)
    total = float(np.median(np.asarray(cells.X.sum(1))))
    bulks = pseudobulks(cells, total)
    start, real = (cells.X[(cells.obs["perturbation"] == name).to_numpy()] for name in (CONTROL, "x"))
    made = cells_around(mean_of(bulks, "A", "x"), start, total, np.random.default_rng(0))
    assert made.shape == start.shape
    assert (made.data == np.rint(made.data)).all()
    mean = np.asarray(log_normalised(made, total).mean(0)).ravel()
    assert mean == pytest.approx(mean_of(bulks, "A", "x"), abs=0.12)
    zeros, wanted = (1 - x.getnnz(0) / x.shape[0] for x in (made, real))
    assert zeros == pytest.approx(wanted, abs=0.06)
    same = cells_around(mean_of(bulks, "A", CONTROL), start, total, np.random.default_rng(0))
    assert (same != start).nnz < 0.001 * start.nnz


def test_no_more_cells_are_drawn_than_needed(screened):
    cells = screened({("A", CONTROL): 1100}, genes=5)
    bulk = np.asarray(log_normalised(cells.X, TOTAL).mean(0)).ravel()
    assert cells_around(bulk, cells.X, TOTAL, np.random.default_rng(0)).shape == (1000, 5)


def test_a_gene_that_controls_lack_can_be_predicted(screened):
    cells = screened({("A", CONTROL): 500}, genes=10)
    counts = cells.X.tolil()
    counts[:, 0] = 0
    bulk = np.asarray(log_normalised(counts.tocsr(), TOTAL).mean(0)).ravel()
    bulk[0] = np.log1p(2.0)
    made = cells_around(bulk, counts.tocsr(), TOTAL, np.random.default_rng(0))
    assert np.expm1(log_normalised(made, TOTAL)[:, 0].toarray()).mean() == pytest.approx(2.0, rel=0.15)


def test_unknown_names_are_refused(known):
    query = pd.DataFrame({"background": ["A"], "perturbation": ["x"]})
    with pytest.raises(ScfmError, match="baseline 'mean' is unknown; choose among control_mean"):
        predict("mean", known, query)
    with pytest.raises(ScfmError, match="background 'D': no control cell is known"):
        predict("additive", known, query.assign(background="D"))
    assert set(BASELINES) == {"control_mean", "perturbation_mean", "additive", "nearest"}


def test_additive_pairs_are_predicted_and_interacting_ones_are_not():
    """The planted screen: sums of log effects against effects with a programme of their own."""
    from scfm.corpus.synthetic.screen import screen as plant
    from scfm.corpus.synthetic_settings import Screen, Synthetic

    asked = Screen(types=1, perturbations=16, additive=8, interacting=8, cells=60, controls=200, strength=1.0)
    adata = plant(Synthetic(kind="synthetic", cells=1000, genes=400, planted=60, types=6, screen=asked))
    adata.obs["background"] = adata.obs["cell_type"]
    kind = adata.obs.groupby("perturbation")["planted"].first()
    cells = screen(adata, quality=Quality())
    sides = hold_out(cells.obs, Holdout(kind="combinations", seen=2, test=1))[""]
    table = evaluate(cells, sides, Scoring())["additive"].reset_index("background")
    score = table["pearson_delta"].groupby(kind).mean()
    assert score["additive"] > score["interacting"] + 0.15
    assert score["additive"] > 0.75
