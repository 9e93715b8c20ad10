"""Cells that Lingshu-Cell draws: schedule, guidance, given genes, conditions by name, and bad input."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy.sparse import csr_matrix

from scfm.errors import ScfmError
from scfm.models.lingshu.conditions import condition_codes, condition_names
from scfm.models.lingshu.network import Network
from scfm.models.lingshu.predict import predict
from scfm.models.lingshu.prior import falling_genes
from scfm.models.lingshu.sampling import Asked, draw, guided, revealed
from scfm.models.lingshu.settings import Lingshu

GENES = 30
SETTINGS = Lingshu.model_validate(
    {
        "tokens": 120,
        "transformer": {"group": 4, "hidden": 16, "layers": 1, "heads": 2, "ffn": 12, "init_std": 0.3},
        "conditions": [{"column": "background"}, {"column": "perturbation", "control": "control"}],
        "sampling": {"steps": 4, "batch_cells": 8, "guidance": 1.0},
    }
)
OBS = pd.DataFrame(
    {
        "background": ["blood", "blood", "lung", "lung", "unknown", None],
        "perturbation": ["control", "A", "B+C", "control", "A+C", "B"],
    }
)
NAMES = condition_names(OBS, np.arange(6), SETTINGS.conditions)
PERTURBED = torch.tensor([[0, -1], [2, 3]])


@pytest.fixture
def network():
    return Network(SETTINGS, GENES, NAMES, 0)


@pytest.fixture
def screen():
    rng = np.random.default_rng(0)
    obs = OBS.fillna("unknown").set_index(pd.Index([f"c{i}" for i in range(6)]))
    return AnnData(
        csr_matrix(rng.poisson(2.0, (6, GENES)).astype(np.float32)),
        obs,
        pd.DataFrame(index=[f"G{i}" for i in range(GENES)]),
    )


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def cells_of(network, number, seed=0, **asked):
    return torch.cat(list(network.generate(number, Asked(**asked), generator(seed))))


def pairs(*rows):
    return pd.DataFrame(rows, columns=["background", "perturbation"])


def test_steps_reveal_by_the_cosine():
    assert revealed(8, 1) == [8]
    assert revealed(8, 2) == [2, 6]
    assert revealed(8, 4) == [1, 1, 3, 3]
    for genes, steps in ((2000, 16), (64, 300), (0, 3)):
        parts = revealed(genes, steps)
        assert len(parts) == steps
        assert sum(parts) == genes
        assert min(parts) >= 0


def test_draws_follow_the_logits():
    share = torch.tensor([0.5, 0.0, 0.3, 0.2])
    drawn = draw(share.log().expand(40_000, -1), generator())
    found = torch.bincount(drawn, minlength=4) / 40_000
    assert found[1] == 0
    torch.testing.assert_close(found, share, rtol=0, atol=0.01)


def test_chunks_hold_few_cells_and_repeat_by_the_seed(network):
    chunks = list(network.generate(20, Asked(), generator()))
    assert [len(chunk) for chunk in chunks] == [8, 8, 4]
    assert all(chunk.dtype == torch.int64 and bool((chunk >= 0).all()) for chunk in chunks)
    assert torch.equal(torch.cat(chunks), cells_of(network, 20))
    assert not torch.equal(torch.cat(chunks), cells_of(network, 20, seed=1))


def test_guidance_contrasts_logits_with_the_control(network):
    shown, codes = torch.full((3, GENES), 120), PERTURBED.expand(3, -1, -1)
    with torch.no_grad():
        control = network.states(shown, torch.tensor([[0, -1], [-1, -1]]).expand(3, -1, -1))
        plain = network.states(shown, codes)
        assert torch.equal(guided(network, shown, codes, -1.0), control)
        assert torch.equal(guided(network, shown, codes, 0.0), plain)
        cell, gene = torch.arange(3).repeat_interleave(GENES), torch.arange(GENES).repeat(3)

        def logits(states):
            tables = []
            network.read(states, cell, gene, lambda chunk, rows: (tables.append((rows, chunk)), rows)[1])
            rows, table = (torch.cat(parts) for parts in zip(*tables, strict=True))
            return table[rows.argsort()]

        a_nt, a_c = logits(control), logits(plain)
        torch.testing.assert_close(logits(guided(network, shown, codes, 2.0)), a_nt + 3 * (a_c - a_nt))
    assert (a_c - a_nt).abs().max() > 1e-2


@pytest.mark.parametrize(("guidance", "codes", "readings"), [(0.0, PERTURBED, 1), (2.0, PERTURBED, 2), (2.0, None, 1)])
def test_the_network_is_read_as_often_as_guidance_needs(network, monkeypatch, guidance, codes, readings):
    calls, states = [], network.states
    monkeypatch.setattr(network, "states", lambda *args: (calls.append(1), states(*args))[1])
    cells_of(network, 8, codes=codes, guidance=guidance, steps=2)
    assert len(calls) == 2 * readings


def test_a_perturbation_takes_the_few_steps_of_the_settings(network, monkeypatch):
    calls, states = [], network.states
    monkeypatch.setattr(network, "states", lambda *args: (calls.append(1), states(*args))[1])
    cells_of(network, 8, codes=PERTURBED)
    assert len(calls) == 2 * 3
    cells_of(network, 8)
    assert len(calls) == 2 * 3 + 4


@pytest.mark.parametrize("steps", [1, 3, 100])
def test_given_genes_keep_their_counts_in_all_cells(network, steps):
    gene, count = torch.tensor([7, 0, 21]), torch.tensor([1, 107, 0])
    cells = cells_of(network, 20, codes=PERTURBED, gene=gene, count=count, steps=steps)
    assert torch.equal(cells[:, gene], count.expand(20, -1))
    assert set(cells.unique().tolist()) <= {*network.values.tolist(), 107}
    every = cells_of(network, 3, gene=torch.arange(GENES), count=torch.ones(GENES))
    assert torch.equal(every, torch.ones(3, GENES, dtype=torch.int64))


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"gene": [GENES], "count": [1]}, f"number {GENES} is not of the vocabulary"),
        ({"gene": [1, 1], "count": [1, 1]}, "named twice"),
        ({"gene": [1], "count": [0.5]}, "must be counts"),
        ({"gene": [1], "count": []}, "1 genes with 0 counts"),
        ({"steps": 0}, "at least one of both"),
    ],
)
def test_what_cannot_be_drawn(network, asked, fault):
    with pytest.raises(ScfmError, match=fault):
        cells_of(network, 2, **asked)


def test_values_of_conditions_become_numbers():
    assert NAMES == {"background": ["blood", "lung"], "perturbation": ["A", "B", "C"]}
    codes = condition_codes(OBS, NAMES, SETTINGS.conditions)
    assert codes["background"].ravel().tolist() == [0, 0, 1, 1, -1, -1]
    assert codes["perturbation"].tolist() == [[-1, -1], [2, -1], [3, 4], [-1, -1], [2, 4], [3, -1]]
    assert condition_codes(OBS[["background"]], NAMES, SETTINGS.conditions)["perturbation"].tolist() == [[-1]] * 6


def test_an_unknown_perturbation_is_not_the_control():
    names = condition_names(OBS.assign(perturbation=["control", None, "A"] * 2), np.arange(6), SETTINGS.conditions)
    assert names["perturbation"] == ["A", "unknown"]


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (OBS[["background"]], "no column 'perturbation'"),
        (OBS.assign(perturbation="A"), "nowhere says 'control'"),
        (OBS.assign(background="unknown"), "'background' \\(conditions\\) holds no value"),
    ],
)
def test_cells_without_their_conditions(cells, fault):
    with pytest.raises(ScfmError, match=fault):
        condition_names(cells, np.arange(6), SETTINGS.conditions)


def test_predicted_cells_are_counts_of_what_was_asked(network, screen):
    query = pairs(("lung", "A"), ("blood", "A+B"), ("blood", "control"))  # none of them was seen
    given = pd.DataFrame(
        {"background": ["lung"] * 2, "perturbation": ["A"] * 2, "gene": ["G3", "G11"], "count": [1, 0]}
    )
    sides = np.full(6, "train")
    found = predict(network, screen, sides, query, 11, seed=3, given=given)
    assert found.shape == (33, GENES)
    assert found.var_names.equals(screen.var_names)
    assert not (found.X.data % 1).any()
    assert found.obs["perturbation"].tolist() == np.repeat(["A", "A+B", "control"], 11).tolist()
    assert found.obs["background"].tolist() == np.repeat(["lung", "blood", "blood"], 11).tolist()
    lung = found.X.toarray()[:11]
    assert (lung[:, 3] == 1).all()
    assert (lung[:, 11] == 0).all()
    again = predict(network, screen, sides, query, 11, seed=3, given=given)
    assert (found.X != again.X).nnz == 0
    assert (found.X != predict(network, screen, sides, query, 11, seed=4, given=given).X).nnz


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        (pairs(("liver", "A")), "background 'liver': training saw no cell of 'liver'; choose among blood, lung"),
        (pairs(("lung", "D")), "perturbation 'D': training saw no cell of 'D'; choose among control, A, B, C"),
        (pairs(("lung", "A+D")), "perturbation 'A\\+D': training saw no cell of 'D'"),
    ],
)
def test_what_training_never_saw_cannot_be_asked(network, screen, query, fault):
    with pytest.raises(ScfmError, match=fault):
        predict(network, screen, np.full(6, "train"), query, 2, seed=0)


def test_models_and_genes_that_do_not_fit(network, screen):
    query, sides = pairs(("lung", "A")), np.full(6, "train")
    with pytest.raises(ScfmError, match="29 genes where the model has 30"):
        predict(network, screen[:, 1:], sides, query, 2, seed=0)
    given = query.assign(gene="MISSING", count=1)
    with pytest.raises(ScfmError, match="'MISSING' is not of the vocabulary"):
        predict(network, screen, sides, query, 2, seed=0, given=given)
    plain = Network(SETTINGS.model_copy(update={"conditions": ()}), GENES, {}, 0)
    with pytest.raises(ScfmError, match="a model with the conditions background and perturbation is needed"):
        predict(plain, screen, sides, query, 2, seed=0)


def test_genes_that_fall_elsewhere_are_known():
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {
            "background": np.repeat(["blood", "lung"], 120),
            "perturbation": np.tile(np.repeat(["control", "A", "B"], 40), 2),
        }
    )
    obs.index = obs.index.astype(str)
    rate = np.full((240, GENES), 5.0)
    rate[(obs.background == "blood") & (obs.perturbation == "A"), 3] = 0.5
    rate[(obs.background == "blood") & (obs.perturbation == "A"), 9] = 30
    rate[(obs.background == "lung") & (obs.perturbation == "A"), 5] = 0.5
    rate[(obs.background == "blood") & (obs.perturbation == "B"), 7] = 0.5
    cells = AnnData(csr_matrix(rng.poisson(rate).astype(np.float32)), obs)
    cells.var_names = [f"G{i}" for i in range(GENES)]
    sides = np.where((obs.background == "blood") & (obs.perturbation == "B"), "test", "train")
    known = falling_genes(cells, sides, pairs(("lung", "A"), ("lung", "B"), ("blood", "A")), alpha=1e-6)
    assert known.to_numpy().tolist() == [["lung", "A", "G3", 1], ["blood", "A", "G5", 1]]
    sampling = SETTINGS.sampling.model_copy(update={"prior": True})
    network = Network(SETTINGS.model_copy(update={"sampling": sampling}), GENES, NAMES, 0)
    found = predict(network, cells, sides, pairs(("lung", "A")), 9, seed=0)
    assert (found.X.toarray()[:, 3] == 1).all()
