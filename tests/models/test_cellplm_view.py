"""What CellPLM sees and predicts: shares of what is hidden, measured genes, coordinates, bad input."""

import numpy as np
import pytest
import torch
from tissues import batch

from scfm.errors import ScfmError
from scfm.models.cellplm.position import Position, to_grid
from scfm.models.cellplm.settings import Cellplm, Positions
from scfm.models.cellplm.view import make_view

GENES = 60


def counts(cells=600, rate=1.0, seed=0):
    return np.random.default_rng(seed).poisson(rate, (cells, GENES)).astype(np.float32)


def everything(datasets=1):
    return torch.ones(datasets, GENES, dtype=torch.bool)


def settings(**keys):
    return Cellplm.model_validate(keys)


def inputs(view, cells):
    """Visible values as a dense table [cells, genes]."""
    table = torch.zeros(cells, GENES)
    lengths = torch.cat([view.starts, torch.tensor([len(view.gene)])]).diff()
    table[torch.repeat_interleave(torch.arange(cells), lengths), view.gene] = view.value
    return table


@pytest.mark.parametrize(("shares", "expected"), [("constant", 0.25), ("beta", 5 / 18)])
def test_shares_of_cells_and_genes_that_are_hidden(draw, shares, expected):
    table, keys = counts(8000), settings(masking={"shares": shares})
    view = make_view(batch(table, [0] * 8000), keys, everything(), draw(), "validate")
    assert len(view.chosen) / 8000 == pytest.approx(0.75, abs=0.02)
    assert view.hidden.float().mean().item() == pytest.approx(expected, abs=0.02)
    above = view.target > 0
    assert view.hidden[above].float().mean().item() == pytest.approx(expected, abs=0.02)
    each = view.hidden.float().mean(1)
    binomial = np.sqrt(expected * (1 - expected) / GENES)
    spread = np.sqrt(binomial**2 + (5 * 13 / 18**2 / 19 if shares == "beta" else 0))
    assert each.std().item() == pytest.approx(spread, rel=0.05)


def test_dropped_cells_are_gone_and_each_set_keeps_one(draw):
    table = counts(3000)
    set_of = np.concatenate([np.zeros(2000, int), np.arange(1, 1001)])
    view = make_view(batch(table, set_of), settings(), everything(), draw(), "train")
    kept = torch.bincount(view.set_of, minlength=1001)
    assert kept[0].item() / 2000 == pytest.approx(0.7, abs=0.03)
    assert (kept[1:] == 1).all()
    assert len(view.dataset) == len(view.starts) == kept.sum()


def test_hidden_counts_are_not_seen_and_the_others_are(draw):
    table = counts()
    view = make_view(batch(table, np.arange(600) // 200), settings(), everything(), draw(), "validate")
    seen, truth = inputs(view, 600), torch.from_numpy(table)
    assert torch.equal(view.target, truth[view.chosen])
    assert not seen[view.chosen][view.hidden].any()
    expected = truth.log1p()
    expected[view.chosen] = expected[view.chosen].masked_fill(view.hidden, 0)
    torch.testing.assert_close(seen, expected)


def test_a_random_subset_of_genes_is_decoded(draw):
    table, keys = counts(), settings(decoder={"genes": 20})
    measured = everything(2)
    measured[0, 30:] = False
    measured[1, 50:] = False
    cells = batch(table, [0] * 600)
    cells.dataset = torch.arange(600) % 2
    view = make_view(cells, keys, measured, draw(), "validate")
    assert len(view.decoded) == 20
    assert view.decoded.max() < 50
    assert torch.equal(view.target, torch.from_numpy(table)[view.chosen][:, view.decoded])
    assert torch.equal(view.measured, measured[cells.dataset[view.chosen]][:, view.decoded])
    assert not (view.hidden & ~view.measured).any()
    other = make_view(cells, keys, measured, draw(1), "validate")
    assert not torch.equal(view.decoded, other.decoded)
    seen = inputs(view, 600)
    hidden = torch.zeros(600, GENES, dtype=torch.bool)
    hidden[view.chosen[:, None], view.decoded] = view.hidden
    assert not seen[hidden].any()


def test_embedding_sees_everything_and_draws_nothing():
    table = counts(50)
    view = make_view(batch(table, [0] * 50), settings(), everything(), None, "embed")
    torch.testing.assert_close(inputs(view, 50), torch.from_numpy(table).log1p())
    assert view.target is None


def test_coordinates_are_brought_to_the_grid_of_each_set():
    place = torch.tensor([[10.0, 5.0], [30.0, 15.0], [torch.nan, 9.0], [7.0, 7.0], [torch.nan, torch.nan]])
    set_of = torch.tensor([0, 0, 0, 1, 2])
    found = to_grid(place, set_of, Positions())
    expected = torch.tensor([[0.0, 0.0], [100.0, 50.0]])
    torch.testing.assert_close(found[:2], expected)
    assert found[2].isnan().all()
    assert found[3].tolist() == [0, 0]
    assert found[4].isnan().all()
    torch.testing.assert_close(to_grid(place, set_of, Positions(span=200.0))[1], torch.tensor([10.0, 5.0]))


def test_the_code_is_sinusoids_of_both_axes():
    code = Position(8)
    torch.nn.init.constant_(code.absent, 7.0)
    place = torch.tensor([[1.0, 20.0], [torch.nan, torch.nan]])
    w = [1.0, 0.01]
    expected = [f(p * k) for p in (1.0, 20.0) for f in (np.sin, np.cos) for k in w]
    np.testing.assert_allclose(code(place)[0].detach(), expected, atol=1e-6)
    assert code(place)[1].tolist() == [7.0] * 8
    assert code(None).tolist() == [[7.0] * 8]


def test_positions_that_are_turned_off_are_not_read():
    cells = batch(counts(4), [0] * 4)
    cells.labels |= {"x": torch.ones(4), "y": torch.ones(4)}
    assert make_view(cells, settings(positions=None), everything(), None, "embed").place is None
    assert make_view(cells, settings(), everything(), None, "embed").place is not None


@pytest.mark.parametrize("set_of", [[1, 1, 2], [0, 2, 2], [0, 1, 0]])
def test_sets_that_do_not_count_up_are_refused(set_of):
    with pytest.raises(ScfmError, match="must count up from 0"):
        make_view(batch(counts(3), set_of), settings(), everything(), None, "embed")


def test_missing_sets_and_half_coordinates_are_refused():
    cells = batch(counts(3), [0, 0, 0])
    cells.labels["x"] = torch.ones(3)
    with pytest.raises(ScfmError, match="'x' and 'y' is missing"):
        make_view(cells, settings(), everything(), None, "embed")
    cells.labels = {}
    with pytest.raises(ScfmError, match="label 'set' is missing"):
        make_view(cells, settings(), everything(), None, "embed")
