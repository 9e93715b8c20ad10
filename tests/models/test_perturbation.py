"""Perturbed genes: which they are, that they are always shown where they were measured, and their vector."""

import numpy as np
import pandas as pd
import pytest
import torch

from scfm.errors import ScfmError
from scfm.models.bmfm.network import Network
from scfm.models.bmfm.perturbation import perturbed_genes
from scfm.models.bmfm.selection import most_tokens
from scfm.models.bmfm.settings import Input, Perturbation
from scfm.models.bmfm.view import SPECIAL, ZERO, make_view
from scfm.settings import parse

GENES = ["A", "B", "C", "D", "E", "F"]
COLUMN = {"column": "guide"}
# Five cells: gene B (expressed) and F (not), none, E (unmeasured), D (in an empty cell), A of all.
TABLE = np.array([[1, 2, 9, 8, 0, 0], [5, 0, 0, 0, 0, 1], [1, 1, 1, 1, 0, 0], [0] * 6, [1, 2, 3, 4, 5, 6]])
GUIDES = pd.DataFrame({"guide": ["B+F", "ctrl", "E", "D", "A + A"]})
MEASURED = torch.tensor([[True] * 6, [True, True, True, True, False, False]])


def test_names_that_are_no_genes_perturb_nothing():
    assert perturbed_genes(GUIDES, GENES, Perturbation(**COLUMN)).tolist() == [
        [1, 5],
        [-1, -1],
        [4, -1],
        [3, -1],
        [0, -1],
    ]
    texts = pd.DataFrame({"guide": pd.Categorical(["ctrl+C", "unknown", None, "", "X+Y+Z"])})
    assert perturbed_genes(texts, GENES, Perturbation(**COLUMN, most=1)).tolist() == [[2], [-1], [-1], [-1], [-1]]
    assert perturbed_genes(texts[[]], GENES, Perturbation(**COLUMN, most=1)).tolist() == [[-1]] * 5
    assert perturbed_genes(texts[:0], GENES, Perturbation(**COLUMN)).shape == (0, 2)


def test_more_genes_than_the_settings_say_are_refused():
    message = r"'guide' holds 'B\+F', which are 2 genes; raise input\.perturbation\.most above 1"
    with pytest.raises(ScfmError, match=message):
        perturbed_genes(GUIDES, GENES, Perturbation(**COLUMN, most=1))


@pytest.fixture
def view_of(ragged, draw):
    """Function from settings to a view of the five cells."""

    def run(settings, mode="train", seed=0, guides=GUIDES):
        cells = ragged(TABLE, dataset=[0, 0, 1, 0, 0])
        cells.labels = {"guide": torch.from_numpy(perturbed_genes(guides, GENES, settings.input.perturbation))}
        return make_view(cells, settings, MEASURED, None if mode == "embed" else draw(seed), mode)

    return run


def flagged(view):
    """Cell, gene and whether it is shown as zero, of each perturbed token."""
    where = view.perturbed.nonzero().flatten()
    fields = (view.cell, view.gene, view.kind == ZERO)
    return sorted(zip(*(field[where].tolist() for field in fields), strict=True))


EXPECTED = [(0, 1, False), (0, 5, True), (3, 3, True), (4, 0, False)]
SETTINGS = [
    {},
    {"tokens": 2, "inference_tokens": 2, "keep": "highest"},
    {"tokens": 2, "inference_tokens": 2, "dropout": 0.9, "inference_keep": "random"},
    {"tokens": 3, "inference_tokens": 3, "zeros": {"strategy": "interleave", "plain_cells": 0.5}},
    {"zeros": {"strategy": "all"}},
    {"zeros": {"strategy": "sample", "number": 2}, "dropout": 0.5},
]


@pytest.mark.parametrize("keys", SETTINGS, ids=str)
@pytest.mark.parametrize("mode", ["train", "validate", "embed"])
def test_perturbed_genes_are_shown_whatever_limit_dropout_and_zeros(bmfm, view_of, keys, mode):
    settings = bmfm(perturbation=COLUMN, **keys)
    bound = most_tokens((TABLE > 0).sum(1), settings)
    for seed in range(5):
        view = view_of(settings, mode, seed)
        assert flagged(view) == EXPECTED
        shown = view.kind != SPECIAL
        key = view.cell[shown] * 6 + view.gene[shown]
        assert len(key.unique()) == len(key)
        assert not ((view.cell == 2) & (view.gene == 4)).any()  # not measured there
        assert (view.starts.diff().numpy() <= bound).all()


@pytest.mark.parametrize("mode", ["train", "embed"])
def test_perturbed_genes_come_above_the_limit(bmfm, view_of, mode):
    settings = bmfm(perturbation=COLUMN, tokens=2, inference_tokens=2, keep="highest")
    view = view_of(settings, mode)
    shown = [set(view.gene[(view.cell == i) & (view.kind != SPECIAL)].tolist()) for i in range(5)]
    assert shown == [{2, 3, 1, 5}, {0, 5}, {0, 1}, {3}, {4, 5, 0}]


def test_one_vector_tells_perturbed_genes_from_the_same_genes_elsewhere(bmfm, view_of):
    settings = bmfm("mlm", perturbation=COLUMN, zeros={"strategy": "all"}, objective_keys={"mask": 0.5})
    network = Network(settings, 6, None, 0)
    plain = view_of(settings, guides=GUIDES.assign(guide="ctrl"))
    view = view_of(settings)
    assert torch.equal(view.gene.sort().values, plain.gene.sort().values)  # all are shown anyhow
    assert not plain.perturbed.any()
    assert not network.embedding.perturbed.any()  # as if there were no perturbation, at first
    hidden = network.encode(view)
    tasks, _ = network.tasks(view)
    sum(task.total for task in tasks.values()).backward()
    assert network.embedding.perturbed.grad.any()
    network.embedding.perturbed.data.fill_(1.0)
    before = network.embedding(view)
    view.perturbed[:] = False
    difference = before - network.embedding(view)
    assert difference.abs().amax(1).gt(0.5).sum() == len(EXPECTED)
    assert not torch.equal(network.encode(view_of(settings)), hidden)


def test_a_model_without_perturbations_has_no_such_weight(bmfm):
    assert "embedding.perturbed" not in Network(bmfm(), 6, None, 0).state_dict()
    assert "embedding.perturbed" in Network(bmfm(perturbation=COLUMN), 6, None, 0).state_dict()


def test_one_column_cannot_be_both(bmfm):
    with pytest.raises(ScfmError, match="name a column twice"):
        parse(Input, {"metadata": ["guide"], "perturbation": COLUMN}, "x")
