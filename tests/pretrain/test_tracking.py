import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from scfm.models.bmfm.network import Network, Reconstruction
from scfm.models.bmfm.view import View
from scfm.pretrain.tracking import GeneErrors

CELLS, GENES = 60, 7


@pytest.fixture
def case():
    """Truth, mask, prediction and is-zero logit, [60, 7]: gene 4 never expressed, 5 always, 6 never measured."""
    rng = np.random.default_rng(0)
    truth = rng.gamma(2.0, 1.0, (CELLS, GENES)) * (rng.random((CELLS, GENES)) < 0.4)
    truth[:, 4], truth[:, 5] = 0, rng.gamma(2.0, 1.0, CELLS)
    mask = rng.random((CELLS, GENES)) < 0.8
    mask[:, 6] = False
    logit = np.where(truth == 0, 1.0, -1.0) + rng.normal(0, 2, truth.shape)
    return [torch.from_numpy(x) for x in (truth.astype(np.float32), mask)] + [
        torch.from_numpy(x.astype(np.float32)) for x in (truth + rng.normal(0, 1, truth.shape), logit)
    ]


def wced_view(truth, mask):
    empty = torch.zeros(0, dtype=torch.int64)
    return View(empty, empty, empty, empty, empty, 0, empty, {}, target_value=truth, target_mask=mask)


def track(mean, *batches):
    errors = GeneErrors(mean)
    for truth, mask, value, logit in batches:
        errors.update(Network.gene_targets(wced_view(truth, mask), Reconstruction(value, logit)))
    return errors.frame([f"G{i}" for i in range(len(mean))], np.full(len(mean), 0.5), torch.arange(len(mean)))


def long_table(truth, mask, value, logit):
    cell, gene = np.nonzero(mask.numpy())
    columns = {"y": truth, "guess": value, "logit": logit}
    return pd.DataFrame({"gene": gene, **{k: v.numpy()[cell, gene].astype(np.float64) for k, v in columns.items()}})


def test_columns_against_pandas(case):
    mean = torch.linspace(0.5, 3, GENES)
    table = track(mean, case).set_index("gene")
    seen = long_table(*case).assign(null=lambda t: mean.numpy()[t.gene].astype(np.float64))
    above = seen[seen.y > 0].assign(gated=lambda t: t.guess.where(t.logit <= 0, 0))
    for i in range(GENES):
        row, own, all_own = table.loc[f"G{i}"], above[above.gene == i], seen[seen.gene == i]
        assert (row.n, row.n_nonzero, row.n_train_targets) == (len(all_own), len(own), i)
        assert row.zero_fraction == 0.5  # handed through: a fact of the cells, not of the targets
        for kind, column, scaled in (
            ("gated", own.gated, "rescaled_mae"),
            ("ungated", own.guess, "rescaled_mae_ungated"),
            ("null", own.null, "rescaled_mae_null"),
        ):
            error = (own.y - column).abs().sum()
            assert row[f"abs_error_{kind}"] == pytest.approx(error, rel=1e-6)
            assert row[scaled] == pytest.approx(error / own.y.sum() if len(own) else np.nan, rel=1e-6, nan_ok=True)
        assert row.sum_y == pytest.approx(own.y.sum(), rel=1e-6)
    assert table.loc["G6", ["n", "n_nonzero"]].tolist() == [0, 0]
    assert table[["n", "n_nonzero"]].dtypes.tolist() == [np.dtype("int64")] * 2


def test_detection_auc_within_its_stated_error(case):
    table = track(torch.ones(GENES), case)
    seen = long_table(*case)
    exact = [
        roc_auc_score(own.y == 0, own.logit) if own.y.eq(0).nunique() == 2 else np.nan
        for own in (seen[seen.gene == i] for i in range(GENES))
    ]
    np.testing.assert_array_equal(np.isnan(table.auc), np.isnan(exact))
    assert np.isnan(exact).tolist() == [False] * 4 + [True] * 3
    assert (np.abs(table.auc - exact) <= table.auc_error + 1e-12)[:4].all()
    assert table.auc_error[:4].max() < 0.02
    assert table.auc[:4].min() > 0.6  # a higher logit speaks for zero


def test_logits_beyond_the_histogram_still_rank():
    truth = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    logit = torch.tensor([[500.0], [40.0], [-30.0], [-1e6]])
    table = track(torch.ones(1), (truth, torch.ones(4, 1, dtype=torch.bool), truth, logit))
    assert (table.auc[0], table.auc_error[0]) == (1.0, 0.0)


def test_equal_logits_are_a_coin_toss():
    truth = torch.tensor([[0.0], [1.0], [1.0]])
    table = track(torch.ones(1), (truth, torch.ones(3, 1, dtype=torch.bool), truth, torch.zeros(3, 1)))
    assert (table.auc[0], table.auc_error[0]) == (0.5, 0.5)


@pytest.mark.parametrize("gated", [False, True])
def test_predicting_zero_everywhere_has_a_rescaled_error_of_one(case, gated):
    truth, mask, value, logit = case
    value, logit = (value, torch.full_like(logit, 9.0)) if gated else (torch.zeros_like(value), logit)
    table = track(torch.zeros(GENES), (truth, mask, value, logit))
    expressed = table.n_nonzero > 0
    assert (table.rescaled_mae[expressed] == 1).all()
    assert (table.rescaled_mae_null[expressed] == 1).all()
    assert table.rescaled_mae[~expressed].isna().all()


def test_batches_add_up_to_one(case):
    mean = torch.ones(GENES)
    halves = [[x[rows] for x in case] for rows in (slice(0, 23), slice(23, 24), slice(24, CELLS))]
    pd.testing.assert_frame_equal(track(mean, case), track(mean, *halves), rtol=1e-12)


def test_masked_values_count_where_they_were_hidden():
    gene = torch.tensor([3, 0, 1, 2, 3, 0, 2])  # the id 3 is the CLS of each cell
    kind = torch.zeros(7, dtype=torch.int64)
    target = torch.tensor([1, 5, 6])
    truth = torch.tensor([2.0, 1.0, 0.0])
    view = View(gene, gene * 0.0, kind, kind, kind, 4, kind, {}, target_position=target, target_value=truth)
    errors = GeneErrors(torch.zeros(3))
    predicted = Reconstruction(torch.tensor([1.5, 3.0, 7.0]), torch.tensor([-1.0, 1.0, 2.0]))
    errors.update(Network.gene_targets(view, predicted))
    table = errors.frame(["a", "b", "c"], np.zeros(3), torch.zeros(3, dtype=torch.int64))
    assert table.n.tolist() == [2, 0, 1]
    assert table.n_nonzero.tolist() == [2, 0, 0]
    assert table.abs_error_gated.tolist() == [0.5 + 1.0, 0, 0]
    assert table.abs_error_ungated.tolist() == [0.5 + 2.0, 0, 0]
    assert table.abs_error_null.tolist() == [3.0, 0, 0]
