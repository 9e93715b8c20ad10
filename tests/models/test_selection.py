import numpy as np
import pytest
import torch

from scfm.models.bmfm.selection import cell_of, choose_tokens, draw_zeros, first_per_cell
from scfm.models.bmfm.settings import Input
from scfm.models.bmfm.view import normalise


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
