"""STACK learns synthetic tissues: held-out likelihood against the means of genes, and what the set is worth."""

import numpy as np
import pytest
import torch
from tissues import GENES, World, batch

from scfm.models.negative_binomial import negative_binomial_nll
from scfm.models.stack.network import Network
from scfm.models.stack.settings import Stack
from scfm.models.tasks import combine

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("stack_toy")]

STEPS, TISSUES, CELLS, RATE = 400, 8, 64, 3e-3
SETTINGS = {
    "transformer": {"modules": 16, "width": 8, "layers": 2, "heads": 2, "set_heads": 4, "ffn": 32, "dropout": 0.0}
}
MEASURED = torch.ones(1, GENES, dtype=torch.bool)


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def gene_mean(world):
    return torch.from_numpy(world.draw(np.random.default_rng(1), 200, 50)[0].mean((0, 1)))


@pytest.fixture(scope="module")
def network(world, gene_mean):
    """A network that saw fresh tissues in each step."""
    model, rng, draw = Network(Stack.model_validate(SETTINGS), GENES, 1, 0), np.random.default_rng(2), _draw(0)
    model.start_at_means(gene_mean)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS, pct_start=0.1)
    set_of = np.repeat(np.arange(TISSUES), CELLS)
    for _ in range(STEPS):
        table = world.draw(rng, TISSUES, CELLS)[0].reshape(-1, GENES)
        view = model.view(batch(table, set_of), MEASURED, draw, "train")
        loss = combine(model.tasks(view, draw)[0], model.counts(view))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model


@pytest.fixture(scope="module")
def held_out(world):
    """Counts [tissues x cells, genes] of tissues that no step saw."""
    return world.draw(np.random.default_rng(3), 20, CELLS)[0].reshape(-1, GENES)


def _draw(seed):
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def _score(model, table, size):
    """Mean NLL of hidden entries, nats, in sets of so many cells."""
    view = model.view(batch(table, np.arange(len(table)) // size), MEASURED, _draw(4), "validate")
    task = model.tasks(view)[0]["masked"]
    return (task.total / task.count).item(), view


def test_hidden_genes_are_foretold_better_than_by_their_means(network, held_out, gene_mean):
    found, view = _score(network, held_out, CELLS)
    target = torch.from_numpy(held_out)[:, view.hidden]
    share = gene_mean / gene_mean.sum()
    mean = torch.from_numpy(held_out.sum(1, keepdims=True)) * share[view.hidden]
    losses = [
        negative_binomial_nll(target, mean.log(), torch.full((len(view.hidden),), log)).sum(0)
        for log in torch.linspace(-1, 6, 15).tolist()
    ]
    by_means = (torch.stack(losses).min(0).values.sum() / target.numel()).item()
    assert found <= 0.9 * by_means, (found, by_means)


def test_mates_of_the_sample_help(network, held_out):
    together, alone = (_score(network, held_out, size)[0] for size in (CELLS, 1))
    assert together < alone, (together, alone)
