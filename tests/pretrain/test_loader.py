"""The loader: which cells come when, and that nothing but seed, epoch, rank and world size decides it."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from torch.utils.data import DataLoader

from scfm.corpus import Shards, write_shards
from scfm.corpus.csr import as_counts
from scfm.errors import ScfmError
from scfm.models.bmfm.selection import most_tokens
from scfm.models.bmfm.view import make_view
from scfm.pretrain.loader import Batches, EqualCells, EqualTokens, Updates, read_cells, window_shuffle


@pytest.fixture
def codes(shards):
    """A label that names the row, to see which cells a batch holds."""
    return {"cell_type": np.arange(len(shards))}


def read(shards, rows, labels):
    """All of them in one batch."""
    (cells,) = read_cells(shards, rows, np.array([[0, len(rows)]]), labels)
    return cells


def rows_of(updates):
    return [[cells.labels["cell_type"].tolist() for cells in update] for update in updates]


def equal_cells(shards, rows, labels, batch_cells, accumulate, seed, first=0, rank=0, world=1):
    order = window_shuffle(rows, seed)
    edges = EqualCells(len(rows), batch_cells, accumulate * world)(order)
    return Updates(shards, order, edges, labels, accumulate, first, rank, world)


def test_a_small_corpus_is_one_plain_permutation():
    rows = np.arange(0, 300, 3)
    np.testing.assert_array_equal(window_shuffle(rows, (1, 2)), np.random.default_rng((1, 2)).permutation(rows))


def test_windows_of_a_written_out_case():
    # Blocks 10 11 | 12 13 | 14 15 | 16 17 | 18; windows of four cells, shuffled within.
    order = window_shuffle(np.arange(10, 19), (0, 0), block=2, window=2)
    assert order.tolist() == [14, 16, 18, 15, 12, 10, 11, 17, 13]


@pytest.mark.parametrize("cells", [0, 1, 127, 128, 129, 1000, 4099])
@pytest.mark.parametrize(("block", "window"), [(1, 1), (16, 4), (64, 1024)])
def test_every_epoch_is_a_permutation_of_its_own(cells, block, window):
    rows = np.arange(cells) * 2 + 5
    first, second = (window_shuffle(rows, (7, epoch), block, window) for epoch in (0, 1))
    np.testing.assert_array_equal(np.sort(first), rows)
    np.testing.assert_array_equal(np.sort(second), rows)
    assert cells < 2 or (first != second).any()


def test_cells_of_a_window_stem_from_few_blocks():
    order = window_shuffle(np.arange(64 * 40), (0, 0), block=64, window=4)
    windows = order.reshape(10, 256)
    assert all(len(set(window // 64)) == 4 for window in windows)
    assert (np.abs(np.diff(windows, axis=1)) > 1).mean() > 0.9  # shuffled within


def test_a_batch_holds_the_cells_asked_for(shards, dense, codes):
    rows = np.array([200, 3, 3, 150])
    cells = read(shards, rows, codes).to("cpu")
    table = torch.zeros(4, dense.shape[1])
    table[torch.repeat_interleave(torch.arange(4), cells.lengths), cells.gene] = cells.count
    np.testing.assert_array_equal(table, dense[rows])
    assert cells.labels["cell_type"].tolist() == rows.tolist()
    np.testing.assert_array_equal(cells.dataset, shards.dataset_codes[rows])


def test_updates_have_the_shape_asked_for_and_repeat_no_cell(shards, codes):
    rows = shards.rows("train")
    updates = equal_cells(shards, rows, codes, batch_cells=10, accumulate=3, seed=(0, 0))
    held = rows_of(updates)
    assert len(held) == len(updates) == len(rows) // 30
    assert all(len(update) == 3 and all(len(batch) == 10 for batch in update) for update in held)
    flat = np.concatenate([np.concatenate(update) for update in held])
    assert len(set(flat)) == len(flat)
    assert set(flat) <= set(rows)


def test_updates_depend_on_seed_and_epoch_alone(shards, codes):
    def order(*seed):
        return rows_of(equal_cells(shards, shards.rows("train"), codes, 8, 2, seed))

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_out_the_global_updates(shards, codes, world):
    rows = shards.rows("train")
    ranks = [rows_of(equal_cells(shards, rows, codes, 8, 2, (5, 1), 0, rank, world)) for rank in range(world)]
    together = rows_of(equal_cells(shards, rows, codes, 8, 2 * world, (5, 1)))
    assert [len(held) for held in ranks] == [len(rows) // (16 * world)] * world
    for step, whole in enumerate(together):
        # The same cells as one process takes at once.
        assert [batch for held in ranks for batch in held[step]] == whole
    flat = np.concatenate([np.ravel(held) for held in ranks])
    assert len(set(flat.tolist())) == flat.size


def test_worker_processes_change_nothing(shards, codes):
    updates = equal_cells(shards, shards.rows("train"), codes, 8, 2, (0, 0))
    loader = DataLoader(updates, batch_size=None, num_workers=2)
    assert rows_of(loader) == rows_of(updates)


def test_too_few_cells_for_an_update_give_none(shards):
    assert list(equal_cells(shards, shards.rows("train")[:15], {}, 8, 2, (0, 0))) == []


@pytest.mark.parametrize("world", [1, 2, 4])
def test_validation_passes_over_every_cell_once(shards, codes, world):
    rows = shards.rows("validation")
    edges = np.append(np.arange(0, len(rows), 13), len(rows))
    ranks = [Batches(shards, rows, edges, codes, rank, world) for rank in range(world)]
    assert [len(list(batches)) for batches in ranks] == [len(batches) for batches in ranks]
    held = [cells.labels["cell_type"].tolist() for batches in ranks for cells in batches]
    assert sorted(row for batch in held for row in batch) == rows.tolist()
    assert held[0] == rows[:13].tolist()


@pytest.mark.parametrize(("budget", "multiple"), [(120, 1), (150, 3), (400, 4), (1000, 1)])
@pytest.mark.parametrize("seed", range(4))
def test_batches_of_equal_tokens_keep_the_budget_and_lose_no_cell(budget, multiple, seed):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, 40, 700)
    rows = np.sort(rng.choice(700, 500, replace=False))
    plan = EqualTokens(tokens, rows, budget, multiple)
    assert plan.batches % multiple == 0
    for epoch in range(3):
        order = window_shuffle(rows, (seed, epoch), block=16, window=4)
        edges = plan(order)
        assert (edges[0], edges[-1], len(edges)) == (0, len(rows), plan.batches + 1)
        sums = np.add.reduceat(tokens[order], edges[:-1])
        assert (np.diff(edges) > 0).all()
        assert sums.max() <= budget
        assert sums.sum() == tokens[rows].sum()
        share = tokens[rows].sum() / plan.batches
        assert np.abs(sums - share).max() < 40  # about alike: within the longest cell


def test_equal_tokens_of_a_written_out_case():
    tokens = np.array([5, 1, 4, 2, 3, 5, 1, 3])  # 24; at most 15 a batch, hence shares of at most 10: three of 8
    plan = EqualTokens(tokens, np.arange(8), 15, 1)
    # Starts 0 5 6 10 12 15 20 21: shares begin at 0, 8 and 16.
    assert plan(np.arange(8)).tolist() == [0, 3, 6, 8]
    assert plan(np.arange(8)[::-1]).tolist() == [0, 3, 6, 8]  # starts 0 3 4 9 12 14 18 19


def test_a_budget_below_three_longest_cells_is_a_sentence():
    with pytest.raises(ScfmError, match=r"batch_tokens: 29 is below three times the longest cell \(10 tok"):
        EqualTokens(np.array([3, 10]), np.arange(2), 29, 1)
    assert EqualTokens(np.array([3, 10]), np.arange(1), 29, 1).batches == 1  # the longest is not among the rows


@pytest.mark.parametrize(("multiple", "batches"), [(1, 4), (4, 4), (5, 5), (7, 7), (8, 0)])
def test_too_few_tokens_for_every_rank_give_no_batch(multiple, batches):
    plan = EqualTokens(np.full(7, 10), np.arange(7), 30, multiple)
    assert plan.batches == batches
    assert len(plan(np.arange(7))) == batches + 1
    assert EqualTokens(np.full(7, 10), np.arange(0), 30, multiple).batches == 0


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_share_out_every_cell_of_a_token_budget(shards, codes, world):
    rows = shards.rows("train")
    tokens = shards.cells["n_genes"].to_numpy()
    order = window_shuffle(rows, (3, 0))
    edges = EqualTokens(tokens, rows, 200, 2 * world)(order)
    ranks = [Updates(shards, order, edges, codes, 2, 0, rank, world) for rank in range(world)]
    held = [rows_of(updates) for updates in ranks]
    assert len({len(updates) for updates in held}) == 1
    assert sorted(row for updates in held for update in updates for batch in update for row in batch) == rows.tolist()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_pass_from_the_middle_is_the_rest_of_the_whole(shards, codes, workers):
    rows = shards.rows("train")
    whole = rows_of(equal_cells(shards, rows, codes, 8, 2, (0, 1)))
    for first in (0, 1, 7, len(whole)):
        rest = equal_cells(shards, rows, codes, 8, 2, (0, 1), first)
        assert rows_of(DataLoader(rest, batch_size=None, num_workers=workers)) == whole[first:]
        assert len(rest) == len(whole)


@pytest.mark.parametrize("zeros", ["exclude", "interleave"])
@pytest.mark.parametrize("heads", [False, True])
def test_no_view_has_more_tokens_than_the_bound(toy_run, shards, zeros, heads):
    settings = toy_run("mlm", heads=heads, inputs={"tokens": 14, "zeros": {"strategy": zeros}}).model
    rows = shards.rows("train")
    bound = most_tokens(shards.cells["n_genes"].to_numpy(np.int64)[rows], settings)
    measured = torch.from_numpy(shards.measured)
    cells = read(shards, rows, {"cell_type": np.zeros(len(shards), np.int64)}).to("cpu")
    view = make_view(cells, settings, measured, torch.Generator().manual_seed(0))
    lengths = view.starts.diff().numpy()
    assert (lengths <= bound).all()
    assert (lengths == bound).mean() > 0.5


def test_narrow_integers_widen_on_the_device(tmp_path):
    counts = np.array([[0, 70_000, 1], [3, 0, 65_535]])
    cells = pd.DataFrame({"dataset_id": ["d", "d"], "split": "train"})
    genes = pd.DataFrame({"gene": ["a", "b", "c"], "ensembl": ""})
    write_shards(tmp_path / "s", [(as_counts(csr_matrix(counts)), cells)], genes, ["d"], np.ones((1, 3), bool))
    shards = Shards.open(tmp_path / "s")
    batch = read(shards, np.array([1]), {})
    assert (batch.gene.dtype, read(shards, np.array([0]), {}).count.dtype) == (torch.uint16, torch.int64)
    wide = batch.to("cpu")
    assert (wide.gene.dtype, wide.count.dtype) == (torch.int64, torch.float32)
    assert (wide.gene.tolist(), wide.count.tolist()) == ([0, 2], [3.0, 65_535.0])


def test_values_of_a_column_take_turns_in_every_epoch(toy_run, write_toy_shards, tmp_path, monkeypatch):
    import json

    import scfm.pretrain.train as module

    shards = write_toy_shards(tmp_path / "shards", 48, 16, dataset_id=np.where(np.arange(64) % 4, "d0", "d1"))
    manifest = json.loads((shards / "manifest.json").read_text())
    manifest["settings"] = {"layout": {"round_robin": "dataset_id"}}
    (shards / "manifest.json").write_text(json.dumps(manifest))
    orders, original = [], module.Updates
    monkeypatch.setattr(module, "Updates", lambda s, order, *rest: orders.append(order) or original(s, order, *rest))
    module.train(toy_run(epochs=2), "toy/0", 0, shards, None, tmp_path / "work", tmp_path / "model", 0)
    datasets = Shards.open(shards).cells["dataset_id"].to_numpy()
    for order in orders:
        assert sorted(order) == list(range(48))
        assert (datasets[order][:24:2] != datasets[order][1:24:2]).all()  # d1 has twelve cells
    assert len(orders) == 2
    assert (orders[0] != orders[1]).any()
