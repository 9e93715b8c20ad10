"""Lingshu-Cell learns a law that is known in closed form, and draws from it as its schedule says."""

from math import comb, log

import numpy as np
import pytest
import torch
from lingshu_toy import fit

from scfm.models.lingshu.network import Network
from scfm.models.lingshu.sampling import Asked, draw, revealed
from scfm.models.lingshu.settings import Lingshu

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("lingshu_law")]

HALF, VALUES, STEPS = 4, 4, 600
SETTINGS = {
    "tokens": VALUES,
    "transformer": {"group": 1, "hidden": 32, "layers": 2, "heads": 2, "ffn": 64, "init_std": 0.1},
    "sampling": {"batch_cells": 1000},
}


@pytest.fixture(scope="module")
def trained():
    """A network that saw cells whose gene j + 4 is gene j + 1 mod 4, and its losses."""
    first = np.random.default_rng(1).integers(VALUES, size=(20_000, HALF))
    counts = np.concatenate([first, (first + 1) % VALUES], axis=1).astype(np.float32)
    network = Network(Lingshu.model_validate(SETTINGS), 2 * HALF, {}, 0)
    return network, fit(network, counts, {}, STEPS, batch=256, rate=3e-3)


def drawn(network, steps):
    return torch.cat(list(network.generate(4000, Asked(steps=steps), torch.Generator().manual_seed(1))))


def deviation(cells):
    """Largest distance of a marginal from 1 / 4."""
    return max((cells == value).float().mean(0).sub(1 / VALUES).abs().max().item() for value in range(VALUES))


def agreement(cells):
    """Share of pairs that hold the law."""
    return ((cells[:, :HALF] + 1) % VALUES == cells[:, HALF:]).float().mean().item()


def test_the_loss_is_the_entropy_of_the_law(trained):
    assert np.mean(trained[1][-100:]) == pytest.approx(HALF * log(VALUES) / (2 * HALF), rel=0.03)


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 16])
def test_pairs_break_where_both_are_revealed_at_once(trained, steps):
    cells = drawn(trained[0], steps)
    at_once = sum(comb(genes, 2) for genes in revealed(2 * HALF, steps)) / comb(2 * HALF, 2)
    assert agreement(cells) == pytest.approx(1 - 0.75 * at_once, abs=0.02)
    assert deviation(cells) <= 0.03


def test_other_orders_would_be_seen(trained):
    """Revealing what the network is surest of, as other samplers do, is no draw from the law."""
    network, generator = trained[0], torch.Generator().manual_seed(1)
    shown = torch.full((4000, 2 * HALF), VALUES)
    place = torch.arange(4000).repeat_interleave(2 * HALF), torch.arange(2 * HALF).repeat(4000)
    sure = torch.empty(4000 * 2 * HALF)

    def one(logits, rows):
        value = draw(logits, generator)
        sure[rows] = logits.softmax(1).gather(1, value[:, None]).squeeze(1)
        return value

    with torch.no_grad():
        for own in revealed(2 * HALF, 16):
            value = network.read(network.states(shown, torch.empty(4000, 0, 1).long()), *place, one).view_as(shown)
            best = sure.view_as(shown).masked_fill(shown < VALUES, -1).topk(own, dim=1).indices
            shown = shown.scatter(1, best, value.gather(1, best))
    assert bool((shown < VALUES).all())
    assert deviation(shown) >= 0.2
