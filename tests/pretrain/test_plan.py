"""Batches of whole sets of cells."""

import numpy as np
import pytest

from scfm.corpus import Shards
from scfm.errors import ScfmError
from scfm.models.grouping import deal, join
from scfm.models.prepared import Prepared
from scfm.pretrain.loader import Batches, Updates
from scfm.pretrain.plan import OfSets, make_plan


@pytest.mark.parametrize(("sizes", "most"), [([10, 3, 7], 4), ([1, 1, 1], 5), ([100], 33), ([64, 0, 8], 8)])
def test_sets_hold_every_cell_once_and_one_group(sizes, most):
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows = np.flatnonzero(groups >= 0)
    order, number = deal(rows, groups, most, (1, 2))
    assert sorted(order) == rows.tolist()
    assert number[0] == 0
    assert set(np.diff(number)) <= {0, 1}
    held = [order[number == k] for k in range(number[-1] + 1)]
    assert all(len(set(groups[cells])) == 1 for cells in held)
    assert max(map(len, held)) <= most
    assert len(held) == sum(-(-size // most) for size in sizes)
    for group in range(len(sizes)):  # about alike
        own = [len(cells) for cells in held if groups[cells[0]] == group]
        assert not own or max(own) - min(own) <= 1


def test_a_group_can_give_one_set_alone():
    groups = np.repeat([0, 1, 2], [30, 4, 9])
    order, number = deal(np.arange(43), groups, 8, (0,), once=True)
    assert sorted(np.bincount(number)) == [4, 8, 8]
    assert all(len(set(groups[order[number == k]])) == 1 for k in range(3))
    assert not np.array_equal(order, deal(np.arange(43), groups, 8, (1,), once=True)[0])


def test_sets_change_with_the_seed_alone():
    groups = np.arange(200) % 3
    first, again, other = (deal(np.arange(200), groups, 10, seed) for seed in ((0, 1), (0, 1), (0, 2)))
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize(("guests", "most", "each"), [(7, 3, 3), (7, 9, 7), (1, 5, 1)])
def test_guests_join_every_set_about_equally_often(guests, most, each):
    groups = np.repeat([0, 1, 2], [30, 4, 9])
    host = deal(np.arange(43), groups, 8, (0,))
    joining = np.arange(100, 100 + guests)
    order, number = join(*host, joining, most, (0,))
    assert (np.diff(number) >= 0).all()
    came = np.zeros(guests, int)
    for one in range(number[-1] + 1):
        cells, own = order[number == one], host[0][host[1] == one]
        assert cells[: len(own)].tolist() == own.tolist()
        assert len(set(cells[len(own) :])) == len(cells) - len(own) == each
        came[cells[len(own) :] - 100] += 1
    assert came.max() - came.min() <= 3
    assert not np.array_equal(join(*host, joining, most, (1,))[0], order) or each == guests
    nobody = join(*host, joining[:0], most, (0,))
    np.testing.assert_array_equal(nobody[0], host[0])


@pytest.fixture
def corpus(toy_shards):
    return Shards.open(toy_shards)


def plan_of(corpus, toy_run, most, multiple=1, **training):
    groups = corpus.dataset_codes * 2 + np.arange(len(corpus)) % 2
    rows = corpus.rows("train")
    prepared = Prepared(None, {"row": np.arange(len(corpus))}, groups=groups, set_cells=most)
    return make_plan(toy_run(**training), corpus, prepared, rows, multiple), groups, rows


def test_batches_number_their_own_sets(corpus, toy_run):
    plan, groups, rows = plan_of(corpus, toy_run, 6, multiple=2, batch_cells=13)
    assert isinstance(plan, OfSets)
    epoch = plan.epoch((0, 0))
    updates = list(Updates(corpus, *epoch[:3], 2, sets=epoch.sets))
    assert len(updates) * 2 == plan.batches > 2
    seen = []
    for cells in (cells for update in updates for cells in update):
        number, row = cells.labels["set"].numpy(), cells.labels["row"].numpy()
        assert sorted(set(number)) == [0, 1]
        assert (np.diff(number) >= 0).all()
        assert all(len(set(groups[row[number == k]])) == 1 for k in (0, 1))
        seen += row.tolist()
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(rows)
    later = list(Updates(corpus, *epoch[:3], 2, first=1, sets=epoch.sets))
    assert later[0][0].labels["row"].tolist() == updates[1][0].labels["row"].tolist()


def test_validation_holds_every_cell_in_sets_that_stay(corpus, toy_run):
    plan, _, _ = plan_of(corpus, toy_run, 5, validation_cells=12)
    rows = corpus.rows("validation")
    epochs = [plan.validation(rows) for _ in range(2)]
    held = [Batches(corpus, *epoch[:3], sets=epoch.sets) for epoch in epochs]
    passes = [[cells.labels["row"].tolist() for cells in batches] for batches in held]
    assert passes[0] == passes[1]
    assert sorted(row for batch in passes[0] for row in batch) == rows.tolist()


def test_sets_have_no_budget_of_tokens(corpus, toy_run):
    with pytest.raises(ScfmError, match="reads sets of cells; give batch_cells"):
        plan_of(corpus, toy_run, 5, batch_tokens=4096)


def test_guests_are_in_no_set_of_their_own(corpus, toy_run):
    rows = corpus.rows("train")
    guests = rows[::3]
    groups = corpus.dataset_codes.astype(np.int64)
    labels = {"row": np.arange(len(corpus))}
    prepared = Prepared(None, labels, groups=groups, set_cells=6, guests=guests, guest_cells=4)
    plan = make_plan(toy_run(batch_cells=13), corpus, prepared, rows, 1)
    epoch = plan.epoch((0, 0))
    hosts = 0
    for (cells,) in Updates(corpus, *epoch[:3], 1, sets=epoch.sets):
        number, row = cells.labels["set"].numpy(), cells.labels["row"].numpy()
        for one in range(2):
            own = row[number == one]
            joined = np.isin(own, guests)
            assert joined.sum() == 4
            assert len(set(groups[own[~joined]])) == 1
            hosts += int((~joined).sum())
    assert len(rows) - len(guests) - 12 <= hosts <= len(rows) - len(guests)
    alone = make_plan(toy_run(batch_cells=13), corpus, prepared, rows, 1).validation(guests)
    assert len(alone.order) == 0
    assert alone.edges.tolist() == [0]
