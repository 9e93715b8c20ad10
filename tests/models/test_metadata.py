"""Metadata tokens: their codes, their places among the tokens of a cell, and what the network makes of them."""

import numpy as np
import pandas as pd
import pytest
import torch

from scfm.errors import ScfmError
from scfm.models.bmfm.gene_vectors import GivenVectors
from scfm.models.bmfm.metadata import metadata_codes, metadata_values
from scfm.models.bmfm.network import Network
from scfm.models.bmfm.selection import most_tokens
from scfm.models.bmfm.settings import Bmfm
from scfm.models.bmfm.view import SPECIAL, make_view
from scfm.settings import parse

CELLS = pd.DataFrame(
    {
        "assay": ["10x", "smart", "10x", "unknown", "drop"],
        "sex": ["f", "f", None, "m", "f"],
        "depth": [1, 2, 3, 4, 5],
        "batch": "unknown",
    }
)
VALUES = {"assay": ["10x", "smart"], "sex": ["f", "m"]}
COLUMNS = ["assay", "sex"]


def everything(genes):
    return torch.ones(1, genes, dtype=torch.bool)


def test_values_are_those_of_the_training_cells():
    assert metadata_values(CELLS, np.arange(4), COLUMNS) == VALUES
    assert metadata_values(CELLS, np.arange(5), ["sex"]) == {"sex": ["f", "m"]}
    assert metadata_values(CELLS.astype("category"), np.arange(4), COLUMNS) == VALUES
    assert metadata_values(CELLS, np.arange(4), []) == {}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["donor"], r"no text column 'donor' \(input.metadata\); choose among assay, sex, batch"),
        (["depth"], "no text column 'depth'"),
        (["sex", "batch"], "'batch' is unknown in all training cells"),
    ],
    ids=str,
)
def test_columns_that_say_nothing_are_refused(columns, message):
    with pytest.raises(ScfmError, match=message) as error:
        metadata_values(CELLS, np.arange(4), columns)
    assert "\n" not in str(error.value)


def test_codes_count_through_all_columns():
    codes = metadata_codes(CELLS, VALUES)
    assert codes["assay"].tolist() == [0, 1, 0, -1, -1]  # unknown, and not among the values
    assert codes["sex"].tolist() == [2, 2, -1, 3, 2]
    assert metadata_codes(CELLS[["sex"]], VALUES)["assay"].tolist() == [-1] * 5
    assert metadata_codes(CELLS, {}) == {}


@pytest.fixture
def view_of(ragged, draw):
    """Function from settings to a view of five cells of six genes; keywords are keys of `make_view`."""

    def run(settings, mode="validate", seed=0, codes=None):
        table = np.array([[1, 2, 0, 0, 0, 3], [0, 1, 1, 0, 0, 0], [4, 0, 0, 0, 1, 0], [0] * 6, [1, 1, 1, 1, 1, 1]])
        cells = ragged(table)
        codes = metadata_codes(CELLS, VALUES) if codes is None else codes
        cells.labels = {name: torch.from_numpy(own) for name, own in codes.items()}
        return make_view(cells, settings, everything(6), None if mode == "embed" else draw(seed), mode)

    return run


@pytest.mark.parametrize("mode", ["validate", "embed"])
def test_each_column_is_one_token_after_cls(bmfm, view_of, mode):
    view = view_of(bmfm(metadata=COLUMNS), mode)
    # Genes 0 to 5, CLS 6, unknown of each column 7 and 8, then 10x, smart, f, m.
    assert view.gene[view.cls].tolist() == [[6, 9, 11], [6, 10, 11], [6, 9, 8], [6, 7, 12], [6, 7, 11]]
    assert torch.equal(view.cls, view.starts[:-1, None] + torch.arange(3))
    assert view.starts.diff().tolist() == [6, 5, 5, 3, 9]
    assert torch.equal((view.kind == SPECIAL).nonzero().flatten(), view.cls.flatten())
    assert view.labels == {}


def test_training_hides_its_share_of_values(bmfm, view_of):
    settings = bmfm(metadata=COLUMNS, metadata_dropout=0.3)
    full = view_of(settings).gene.view(-1)
    shares = []
    for seed in range(400):
        view = view_of(settings, "train", seed)
        shown, known = view.gene[view.cls[:, 1:]], full[view.cls[:, 1:]]
        hidden = shown != known
        assert (shown[hidden] < 9).all()  # the unknown of the column, in its own place
        assert (shown[hidden] == torch.tensor([7, 8]).expand(5, 2)[hidden]).all()
        shares.append(hidden[known >= 9].float().mean().item())
    assert np.mean(shares) == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / (400 * 7)))


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_metadata_reach_the_cell_and_learn_but_are_no_part_of_its_mean(bmfm, view_of, objective):
    settings = bmfm(objective, metadata=COLUMNS, objective_keys={"mask": 1.0} if objective == "mlm" else None)
    network = Network(settings, 6, None, 0, metadata_values=4)
    assert network.embedding.gene.weight.shape == (6 + 1 + 2 + 4, 16)
    assert not network.embedding.gene.weight[6].any()  # CLS alone starts at zero
    assert network.embedding.gene.weight[7:].all()
    assert network.embedding.special.weight.shape == (4, 16)
    view = view_of(settings)
    assert settings.poolings == ("cls", "mean")
    hidden = network.encode(view)
    mean = network.pool(hidden, view)["mean"]
    torch.testing.assert_close(mean[1], hidden[view.starts[1] + 3 : view.starts[2]].mean(0), atol=1e-5, rtol=1e-4)
    changed = metadata_codes(CELLS.assign(sex="m"), VALUES)
    other = network.encode(view_of(settings, codes=changed))[view.cls[:, 0]]
    moved = (other - hidden[view.cls[:, 0]]).abs().amax(1) > 1e-4
    assert moved.tolist() == [True, True, True, False, True]  # the fourth was m before
    tasks, _ = network.tasks(view)
    sum(task.total for task in tasks.values()).backward()
    grad = network.embedding.gene.weight.grad[7:].abs().sum(1) > 0
    # Under MLM the cell without genes, the only one of sex m, has no target to learn from.
    assert grad.tolist() == [True] * 5 + [objective == "wced"]


def test_metadata_count_among_the_most_tokens(bmfm):
    n = np.array([0, 5, 100])
    more = most_tokens(n, bmfm(metadata=COLUMNS, tokens=20)) - most_tokens(n, bmfm(tokens=20))
    assert more.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("columns", "heads", "message"),
    [
        (["cell_type"], 1, "'cell_type' gives away the label 'cell_type'"),
        (["sex", "cell_type_ontology_term_id"], 1, "gives away the label 'cell_type'"),
        (["sex", "sex"], 0, "name a column twice"),
    ],
    ids=str,
)
def test_columns_that_make_no_sense_are_refused(columns, heads, message):
    data = {"objective": {"kind": "wced"}, "input": {"metadata": columns}, "heads": [{"label": "cell_type"}] * heads}
    with pytest.raises(ScfmError, match=message):
        parse(Bmfm, data, "x")
    if heads:
        assert parse(Bmfm, data | {"heads": []}, "x").special_tokens == 1 + len(columns)


def test_metadata_beside_given_gene_vectors(bmfm, view_of):
    given = GivenVectors(torch.tensor([0, 4]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    settings = bmfm(metadata=COLUMNS, gene_vectors={"file": "v.csv"})
    network = Network(settings, 6, None, 0, given, metadata_values=4)
    gene = network.embedding.gene
    table = gene(torch.arange(6 + 1 + 2 + 4))
    assert torch.equal(table[[0, 4]], gene.project.weight.T)
    assert torch.equal(table[[1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]], gene.weight)
    assert not table[6].any()
    assert table[7:].all()
    assert network.encode(view_of(settings)).isfinite().all()
