"""STACK's predicted cells: which cells are shown, pairs from their partners, and data that cannot be prompted."""

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

from scfm.errors import ScfmError
from scfm.models.stack.in_context import predict, prompts
from scfm.models.stack.network import Network
from scfm.models.stack.refine import Generated
from scfm.models.stack.settings import Stack

GENES = 12
SIZES = {"modules": 4, "width": 4, "layers": 1, "heads": 2, "set_heads": 2, "ffn": 8}


class Recorder(torch.nn.Module):
    """Stands for a network: shares of genes are those of the prompt's cells together, and it remembers the prompts."""

    def __init__(self):
        super().__init__()
        self.weight, self.shown = torch.nn.Parameter(torch.zeros(1)), []

    def generate(self, condition, query, generator):
        self.shown.append(condition)
        share = (condition.sum(0) / condition.sum()).expand_as(query)
        return Generated(
            query.long(), -torch.full((len(query),), float(len(self.shown))), share, 1e4 * torch.ones_like(query)
        )


@pytest.fixture
def cells():
    """Ten cells of each of two backgrounds under nothing, x and y; z in `a` alone."""
    rng = np.random.default_rng(0)
    names = [(b, p) for b in "ab" for p in ("control", "x", "y", "z") if (b, p) != ("b", "z")]
    obs = pd.DataFrame([pair for pair in names for _ in range(10)], columns=["background", "perturbation"])
    obs.index = [f"c{i}" for i in obs.index]
    counts = 1 + rng.poisson(3, (len(obs), GENES))
    out = anndata.AnnData(csr_matrix(counts.astype(np.float32)), obs=obs)
    out.var_names = [f"G{i}" for i in range(GENES)]
    return out


def sides_of(cells, **other):
    """Training, but for the perturbations named."""
    return cells.obs["perturbation"].map(lambda name: other.get(name, "train")).to_numpy(object)


def asked(*pairs):
    return pd.DataFrame(pairs, columns=["background", "perturbation"])


def test_the_prompt_is_the_perturbation_elsewhere(cells):
    (prompt,) = prompts(cells, sides_of(cells, z="prompt"), "b", "z")
    assert set(prompt.obs["background"]) == {"a"}
    assert set(prompt.obs["perturbation"]) == {"z"}


def test_effects_of_partners_multiply(cells):
    network, sides = Recorder(), sides_of(cells)
    cells.X = csr_matrix(cells.X.toarray() * 100)  # depths at which shares are seen
    first, second = prompts(cells, sides, "b", "y+z")
    assert set(first.obs["background"]) == {"b"}, "y is known in the background itself"
    assert set(second.obs["background"]) == {"a"}
    made = predict(network, cells, sides, asked(("b", "y+z"), ("b", "x")), 25, 0)
    start = cells[((cells.obs["background"] == "b") & (cells.obs["perturbation"] == "control")).to_numpy()]
    for shown, expected in zip(network.shown, (first, second, start), strict=False):
        np.testing.assert_array_equal(shown, expected.X.toarray())
    assert len(network.shown) == 4
    assert made.shape == (50, GENES)
    assert made.obs["perturbation"].tolist() == ["y+z"] * 25 + ["x"] * 25
    assert made.obs["confidence"].tolist() == [-2.0] * 25 + [-4.0] * 25, "the least of its partners'"
    assert made.var_names.tolist() == cells.var_names.tolist()
    y, z, control = (np.asarray(one.X.sum(0)).ravel() for one in (first, second, start))
    expected = (y / y.sum()) * (z / z.sum()) / (control / control.sum())
    found = np.asarray(made.X[:25].sum(0)).ravel()
    np.testing.assert_allclose(found / found.sum(), expected / expected.sum(), rtol=0.05)


def test_the_cells_of_the_combination_itself_come_first(cells):
    cells.obs.loc[cells.obs["perturbation"] == "z", "perturbation"] = "x+y"
    (prompt,) = prompts(cells, sides_of(cells), "b", "x+y")
    assert set(prompt.obs["perturbation"]) == {"x+y"}


def test_no_query_cell_is_a_prompt(cells):
    with pytest.raises(ScfmError, match="perturbation 'z' is unknown; the data has x, y"):
        prompts(cells, sides_of(cells, z="query"), "b", "z")
    with pytest.raises(ScfmError, match="'control' is none"):
        prompts(cells, sides_of(cells, control="query"), "b", "control")


def test_real_networks_give_counts_that_the_seed_decides(cells):
    settings = Stack.model_validate({"transformer": SIZES, "prompt": {"rows": 16, "genes": 4}})
    assert settings.predicts
    assert not Stack().predicts
    network = Network(settings, GENES, 1, 0).eval()
    once, again, other = (predict(network, cells, sides_of(cells), asked(("b", "z")), 8, s) for s in (1, 1, 2))
    assert (once.X != again.X).nnz == 0
    assert (once.X != other.X).nnz > 0
    assert np.array_equal(once.X.data, once.X.data.round())
    assert once.X.min() >= 0


def refused(cells, words, query=(("b", "z"),), network=None):
    with pytest.raises(ScfmError, match=words):
        predict(network or Recorder(), cells, sides_of(cells), asked(*query), 5, 0)


def test_data_that_cannot_be_prompted(cells):
    refused(cells, "perturbation 'w' is unknown; the data has x, y, z", [("b", "w")])
    refused(cells, "background 'c': no control cell", [("c", "x")])
    control, z = ((cells.obs["perturbation"] == name).to_numpy() for name in ("control", "z"))
    few = cells[np.flatnonzero(~control | (np.arange(len(control)) < 10))]
    refused(few, "background 'b': no control cell")
    one = cells[np.flatnonzero(~z | (np.cumsum(z) == 1))]
    refused(one, "prompt: 1 cells where 2 are needed")
    scaled = cells.copy()
    scaled.X = scaled.X * 0.5
    refused(scaled, "prompt: raw counts are needed")
    empty = cells.copy()
    empty.X = empty.X.multiply(~z[:, None]).tocsr()
    refused(empty, "prompt: 10 of 10 cells hold no count")
    plain = Network(Stack.model_validate({"transformer": SIZES}), GENES, 1, 0)
    refused(cells, "this model saw no prompts in training", network=plain)
