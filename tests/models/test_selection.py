import numpy as np
import pytest
import torch

from scfm.errors import ScfmError
from scfm.models.bmfm import selection
from scfm.models.bmfm.selection import (
    by_cell,
    choose_tokens,
    draw_zeros,
    first_per_cell,
    highest,
    most_tokens,
    order_within,
)
from scfm.models.bmfm.settings import Input
from scfm.models.bmfm.view import normalise
from scfm.models.cells import cell_of
from scfm.settings import parse


def select(cells, measured, generator, mode="train", **settings):
    """Per cell: the genes kept and the zeros drawn."""
    cell = cell_of(cells.lengths)
    settings = Input.model_validate(settings)
    kept, zero_cell, zero_gene = choose_tokens(cells, cell, normalise(cells), settings, measured, generator, mode)
    genes = [cells.gene[kept][cell[kept] == i].tolist() for i in range(len(cells.lengths))]
    zeros = [zero_gene[zero_cell == i].tolist() for i in range(len(cells.lengths))]
    return genes, zeros


def everything(genes):
    return torch.ones(1, genes, dtype=torch.bool)


def test_cell_of_repeats_each_cell_by_its_length():
    assert cell_of(torch.tensor([2, 0, 3])).tolist() == [0, 0, 2, 2, 2]


def test_first_per_cell_keeps_the_lowest_priorities_in_their_order():
    cell = torch.tensor([0, 0, 0, 1, 2, 2])
    priority = torch.tensor([3.0, 1.0, 2.0, 9.0, 0.5, 0.25])
    kept = first_per_cell(cell, priority, torch.tensor([3, 1, 2]), torch.tensor([2, 1, 1]))
    assert kept.tolist() == [1, 2, 3, 5]
    kept = first_per_cell(cell, priority, torch.tensor([3, 1, 2]), torch.tensor([0, 5, 2]))
    assert kept.tolist() == [3, 4, 5]


def test_order_within_is_a_stable_sort_by_cell_then_priority():
    rng = np.random.default_rng(0)
    cell = np.sort(rng.integers(0, 20, 3000))
    priority = rng.choice([-1e30, -2.5, -1e-40, -0.0, 1e-40, 3.0, np.inf, -np.inf], 3000).astype(np.float32)
    priority[::3] = rng.normal(size=1000)
    order = order_within(torch.from_numpy(cell), torch.from_numpy(priority))
    np.testing.assert_array_equal(order, np.lexsort((priority, cell)))
    assert order_within(torch.zeros(0, dtype=torch.int64), torch.zeros(0)).tolist() == []


def test_by_cell_is_a_stable_sort_of_all_parts():
    rng = np.random.default_rng(0)
    # Cells 0, 4 and 9 have none of the second part, and the third is empty.
    own = [np.repeat(np.arange(10), 2), np.sort(rng.choice([1, 2, 3, 5, 6, 7, 8], 50)), np.zeros(0, int)]
    own.append(np.sort(rng.integers(0, 10, 30)))
    order, lengths = by_cell(tuple(map(torch.from_numpy, own)), 10)
    every = np.concatenate(own)
    np.testing.assert_array_equal(order, every.argsort(kind="stable"))
    np.testing.assert_array_equal(lengths, np.bincount(every, minlength=10))


@pytest.mark.parametrize("mode", ["train", "validate"])
@pytest.mark.parametrize("tokens", [2, 7, 30])
def test_a_limit_keeps_exactly_that_many_distinct_genes_of_the_cell(ragged, dense, draw, mode, tokens):
    genes, zeros = select(ragged(dense), everything(30), draw(), mode, tokens=tokens)
    for row, chosen in zip(dense, genes, strict=True):
        assert len(chosen) == len(set(chosen)) == min(tokens, (row > 0).sum())
        assert set(chosen) <= set(np.flatnonzero(row))
    assert not any(zeros)


def test_a_random_subset_takes_every_gene_equally_often(ragged, draw):
    many = ragged(np.tile(np.arange(1, 9), (2000, 1)))
    genes, _ = select(many, everything(8), draw(), tokens=4)
    share = np.bincount(np.concatenate(genes), minlength=8) / 2000
    np.testing.assert_allclose(share, 0.5, atol=5 * np.sqrt(0.25 / 2000))
    assert select(many, everything(8), draw(), tokens=4)[0] == genes
    assert select(many, everything(8), draw(1), tokens=4)[0] != genes


def test_embedding_keeps_the_highest_values_and_draws_nothing(ragged, draw):
    table = np.array([[5, 1, 4, 2, 3, 6], [0, 9, 0, 0, 8, 0], [1, 1, 1, 1, 1, 1]])
    settings = {"inference_tokens": 3, "dropout": 0.5, "zeros": {"strategy": "interleave"}}
    genes, zeros = select(ragged(table), everything(6), None, "embed", **settings)
    assert genes == [[0, 2, 5], [1, 4], [0, 1, 2]]
    assert not any(zeros)


@pytest.mark.parametrize(("mode", "share"), [("train", 0.7), ("validate", 1.0)])
def test_dropout_leaves_out_its_share_in_training_only(ragged, draw, mode, share):
    many = ragged(np.ones((500, 20), int))
    genes, _ = select(many, everything(20), draw(), mode, dropout=0.3)
    assert np.mean([len(chosen) for chosen in genes]) / 20 == pytest.approx(share, abs=5 * np.sqrt(0.21 / 10_000))


def test_dropout_meets_zeros_too(ragged, draw):
    one_of_40 = np.eye(40, dtype=int)[np.zeros(500, int)]
    settings = {"tokens": 20, "dropout": 0.3, "zeros": {"strategy": "interleave", "plain_cells": 0.0}}
    genes, zeros = select(ragged(one_of_40), everything(40), draw(), **settings)
    assert np.mean([len(z) for z in zeros]) / 19 == pytest.approx(0.7, abs=5 * np.sqrt(0.21 / 9500))
    assert np.mean([len(g) for g in genes]) == pytest.approx(0.7, abs=5 * np.sqrt(0.21 / 500))


def interleave(**keys):
    return {"strategy": "interleave", **keys}


def test_interleave_gives_nonzeros_their_share_of_the_limit_and_zeros_the_rest(ragged, draw):
    table = np.zeros((3, 60), int)
    table[0, :40], table[1, :4] = 1, 1
    table[2, 10:19] = 1
    genes, zeros = select(ragged(table), everything(60), draw(), "validate", tokens=10, zeros=interleave())
    assert [len(g) for g in genes] == [9, 4, 9]
    assert [len(z) for z in zeros] == [1, 6, 1]
    for row, drawn in zip(table, zeros, strict=True):
        assert len(set(drawn)) == len(drawn)
        assert not row[drawn].any()


def test_zeros_are_measured_and_genes_expressed_elsewhere_come_first(ragged, draw):
    table = np.zeros((3, 30), int)
    table[0, :3], table[1, 3:8], table[2, 8:10] = 1, 1, 1
    measured = torch.ones(2, 30, dtype=torch.bool)
    measured[1, 12:] = False
    measured[1, 3] = False
    cells = ragged(table, dataset=[0, 0, 1])
    for seed in range(5):
        cell, gene = draw_zeros(cells, cell_of(cells.lengths), measured, torch.tensor([9, 4, 30]), draw(seed))
        first, second, third = (set(gene[cell == i].tolist()) for i in range(3))
        assert len(first) == 9
        assert first >= {3, 4, 5, 6, 7, 8, 9}  # what the other two express
        assert len(second) == 4
        assert second < {0, 1, 2, 8, 9}
        assert third == {0, 1, 2, 4, 5, 6, 7, 10, 11}  # all that it measured and does not express


@pytest.mark.parametrize("levels", [4, 700, 2**24], ids=["ties", "some ties", "as drawn"])
def test_the_highest_scores_of_each_cell_are_taken_exactly(levels):
    rng = np.random.default_rng(levels)
    score = (rng.integers(0, 2 * levels + 1, (40, 900)) / levels).astype(np.float32)
    score[rng.random(score.shape) < 0.3] = -1
    score[0], score[1], score[2] = -1, 2, 0
    room = rng.integers(0, 901, 40)
    room[3:7] = 0, 1, 900, 5000
    taken = highest(torch.from_numpy(score), torch.from_numpy(room)).numpy()
    for row, most, chosen in zip(score, room, taken, strict=True):
        order = np.argsort(-row, kind="stable")
        assert np.flatnonzero(chosen).tolist() == sorted(order[: min(most, (row >= 0).sum())])


@pytest.mark.parametrize("expressed_first", [True, False])
def test_many_zeros_are_those_that_sorting_gives(ragged, dense, draw, monkeypatch, expressed_first):
    measured = torch.from_numpy(np.random.default_rng(1).random((2, 30)) < 0.8)
    cells, room = ragged(dense, dataset=np.arange(12) % 2), torch.arange(12) * 3
    found = []
    for few in (1024, 0):
        monkeypatch.setattr(selection, "FEW", few)
        pairs = draw_zeros(cells, cell_of(cells.lengths), measured, room, draw(), expressed_first)
        found.append(sorted(zip(*(x.tolist() for x in pairs), strict=True)))
    assert found[0] == found[1]
    assert len(found[0]) > 50


def test_a_cell_without_room_gets_no_zero(ragged, draw):
    cells = ragged(np.eye(3, dtype=int))
    cell, gene = draw_zeros(cells, cell_of(cells.lengths), everything(3), torch.tensor([0, 0, 0]), draw())
    assert len(cell) == len(gene) == 0


@pytest.mark.parametrize(("mode", "share"), [("train", 0.2), ("validate", 0.0)])
def test_plain_cells_keep_their_share_and_use_the_whole_limit(ragged, draw, mode, share):
    table = np.zeros((3000, 40), int)
    table[:, :20] = 1
    genes, zeros = select(ragged(table), everything(40), draw(), mode, tokens=10, zeros=interleave())
    plain = np.array([not z for z in zeros])
    assert plain.mean() == pytest.approx(share, abs=5 * np.sqrt(0.16 / 3000))
    assert all(len(g) == (10 if p else 9) for g, p in zip(genes, plain, strict=True))


# Four cells of six genes: two nonzeros, five, none and all. The second dataset never measured genes 4 and 5.
HAND_MADE = np.array([[3, 0, 0, 1, 0, 0], [1, 2, 3, 4, 5, 0], [0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]])
MEASURED = torch.tensor([[True] * 6, [True, True, True, True, False, False]])


def hand_made(ragged, generator, zeros, dataset=(0, 0, 0, 0), mode="validate", **settings):
    return select(ragged(HAND_MADE, dataset=dataset), MEASURED, generator, mode, zeros=zeros, **settings)


@pytest.mark.parametrize("mode", ["train", "validate"])
def test_all_shows_every_measured_zero_where_the_limit_allows(ragged, draw, mode):
    genes, zeros = hand_made(ragged, draw(), {"strategy": "all"}, mode=mode)
    assert genes == [[0, 3], [0, 1, 2, 3, 4], [], [0, 1, 2, 3, 4, 5]]
    assert [sorted(drawn) for drawn in zeros] == [[1, 2, 4, 5], [5], [0, 1, 2, 3, 4, 5], []]
    _, zeros = hand_made(ragged, draw(), {"strategy": "all"}, dataset=(1, 0, 1, 0), mode=mode)
    assert [sorted(drawn) for drawn in zeros] == [[1, 2], [5], [0, 1, 2, 3], []]


def test_all_gives_nonzeros_the_limit_and_zeros_what_is_left(ragged, draw):
    for seed in range(5):
        genes, zeros = hand_made(ragged, draw(seed), {"strategy": "all"}, tokens=4)
        assert [len(chosen) for chosen in genes] == [2, 4, 0, 4]
        assert [len(drawn) for drawn in zeros] == [2, 0, 4, 0]
        assert set(zeros[0]) < {1, 2, 4, 5}
        assert len(set(zeros[2])) == 4


@pytest.mark.parametrize(
    ("keys", "tokens", "nonzeros", "zeros"),
    [
        ({"number": 2}, 6, [2, 4, 0, 4], [2, 1, 2, 0]),
        ({"number": 1}, 64, [2, 5, 0, 6], [1, 1, 1, 0]),
        ({"number": 50}, 64, [2, 5, 0, 6], [4, 1, 6, 0]),
        ({"ratio": 0.5}, 64, [2, 5, 0, 6], [1, 1, 0, 0]),
        ({"ratio": 1.0}, 6, [2, 3, 0, 3], [2, 1, 0, 0]),
        ({"ratio": 5.0}, 6, [1, 1, 0, 1], [4, 1, 0, 0]),
    ],
    ids=str,
)
def test_sampled_zeros_are_as_many_as_asked_or_as_there_are(ragged, draw, keys, tokens, nonzeros, zeros):
    genes, drawn = hand_made(ragged, draw(), {"strategy": "sample", **keys}, tokens=tokens)
    assert [len(chosen) for chosen in genes] == nonzeros
    assert [len(z) for z in drawn] == zeros
    for row, z in zip(HAND_MADE, drawn, strict=True):
        assert len(set(z)) == len(z)
        assert not row[z].any()


@pytest.mark.parametrize("strategy", [{"strategy": "all"}, {"strategy": "sample", "number": 6}], ids=str)
def test_an_unmeasured_gene_is_never_shown_as_zero(ragged, draw, strategy):
    table = np.array([[1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 0]])
    measured = torch.tensor([[True, True, True, False, False, False], [False] * 6, [False, True] + [False] * 4])
    cells = ragged(table, dataset=[0, 1, 2])
    for seed in range(3):
        _, zeros = select(cells, measured, draw(seed), "train", zeros=strategy)
        # The second was measured nowhere, the third in the one gene that it expresses.
        assert [sorted(drawn) for drawn in zeros] == [[1, 2], [], []]


def test_sampled_zeros_favour_no_gene(ragged, draw):
    # Gene 1 is expressed elsewhere in the batch, which only `interleave` minds.
    table = np.zeros((4001, 6), int)
    table[:, 0] = 1
    table[-1, 1] = 1
    _, zeros = select(ragged(table), everything(6), draw(), "train", zeros={"strategy": "sample", "number": 2})
    share = np.bincount(np.concatenate(zeros[:-1]), minlength=6)[1:] / 4000
    np.testing.assert_allclose(share, 0.4, atol=5 * np.sqrt(0.24 / 4000))


@pytest.mark.parametrize(
    ("zeros", "message"),
    [
        ({"strategy": "sample"}, "needs one of number and ratio"),
        ({"strategy": "sample", "number": 3, "ratio": 1.0}, "needs one of number and ratio"),
        ({"strategy": "sample", "number": 8}, "no room for a nonzero among 8 tokens"),
        ({"strategy": "sample", "ratio": 7.5}, "no room for a nonzero among 8 tokens"),
        ({"strategy": "some"}, "'sample'"),
    ],
    ids=str,
)
def test_strategies_that_make_no_sense_are_refused(zeros, message):
    with pytest.raises(ScfmError, match=message):
        parse(Input, {"tokens": 8, "zeros": zeros}, "x")


@pytest.mark.parametrize(
    "zeros",
    [
        {"strategy": "exclude"},
        {"strategy": "interleave"},
        {"strategy": "all"},
        {"strategy": "sample", "number": 3},
        {"strategy": "sample", "ratio": 0.7},
        {"strategy": "sample", "ratio": 2.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("tokens", [8, 20, 64])
def test_no_training_cell_has_more_tokens_than_the_bound(ragged, dense, bmfm, draw, zeros, tokens):
    dense[2], dense[3, 1:] = 0, 0
    settings = bmfm(tokens=tokens, zeros=zeros)
    bound = most_tokens((dense > 0).sum(1), settings)
    seen = []
    for seed in range(5):
        genes, drawn = select(ragged(dense), everything(30), draw(seed), tokens=tokens, zeros=zeros)
        seen.append([1 + len(g) + len(z) for g, z in zip(genes, drawn, strict=True)])
    assert (np.max(seen, axis=0) <= bound).all()
    assert (bound <= 1 + tokens).all()
    # It is met wherever the 30 genes leave zeros enough.
    enough = (dense > 0).sum(1) + tokens <= 30
    assert (np.max(seen, axis=0) == bound)[enough].all()


@pytest.mark.parametrize("mode", ["train", "validate"])
def test_training_may_keep_the_highest_values(ragged, draw, mode):
    table = np.array([[5, 1, 4, 2, 3, 6], [0, 9, 0, 0, 8, 0], [1, 1, 1, 1, 1, 1]])
    genes, _ = select(ragged(table), everything(6), draw(), mode, tokens=3, keep="highest")
    assert genes == [[0, 2, 5], [1, 4], [0, 1, 2]]
    zeros = {"strategy": "interleave", "fraction": 0.5, "plain_cells": 0.0}
    genes, drawn = select(ragged(table), everything(6), draw(), mode, tokens=4, keep="highest", zeros=zeros)
    assert genes == [[0, 5], [1, 4], [0, 1]]
    assert [len(z) for z in drawn] == [0, 2, 0]


def test_a_random_subset_in_inference_depends_on_the_cell_and_the_seed_alone(ragged):
    table = 1 + np.random.default_rng(0).poisson(2.0, (2000, 8))
    settings = {"inference_tokens": 4, "inference_keep": "random", "dropout": 0.5}
    genes, zeros = select(ragged(table), everything(8), None, "embed", **settings)
    assert not any(zeros)
    share = np.bincount(np.concatenate(genes), minlength=8) / 2000
    np.testing.assert_allclose(share, 0.5, atol=5 * np.sqrt(0.25 / 2000))
    pairs = np.zeros((8, 8))
    for chosen in genes:
        pairs[np.ix_(chosen, chosen)] += 1 / 2000
    off = pairs[~np.eye(8, dtype=bool)]
    np.testing.assert_allclose(off, 4 * 3 / (8 * 7), atol=5 * np.sqrt(0.25 / 2000))
    part, _ = select(ragged(table[500:600]), everything(8), None, "embed", **settings)
    assert part == genes[500:600]
    other, _ = select(ragged(table), everything(8), None, "embed", inference_seed=1, **settings)
    assert np.mean([a == b for a, b in zip(other, genes, strict=True)]) < 0.05  # 1 of 70 by chance
    cells = ragged(table)
    back = torch.arange(len(cells.gene)).view(-1, 8).flip(1).flatten()
    cells.gene, cells.count = cells.gene[back], cells.count[back]
    turned, _ = select(cells, everything(8), None, "embed", **settings)
    assert [sorted(chosen) for chosen in turned] == genes
