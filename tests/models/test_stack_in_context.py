"""STACK learns in context: conditions that it never saw, in a cell type that the prompt lacks."""

import numpy as np
import pytest
import torch
from conditions import CONDITIONS, GENES, HELD_OUT, TYPES, Screen, mean_log, sets

from scfm.models.stack.network import Network
from scfm.models.stack.refine import Refinement
from scfm.models.stack.settings import Stack
from scfm.models.tasks import combine

pytestmark = [pytest.mark.toy, pytest.mark.xdist_group("stack_in_context")]

STEPS, SETS, CELLS, RATE, WEIGHT_DECAY = 800, 8, 64, 3e-3, 0.3
SEEN = np.arange(1, CONDITIONS - HELD_OUT + 1)
UNSEEN = np.arange(CONDITIONS - HELD_OUT + 1, CONDITIONS + 1)
TRANSFORMER = {"modules": 16, "width": 8, "layers": 2, "heads": 2, "set_heads": 4, "ffn": 32, "dropout": 0.0}
PROMPT = {"rows": CELLS, "share": 0.5, "scale": 300, "genes": GENES, "embedding_weight": 0.0, "cell_type": "cell_type"}
PROMPT |= {"typewise": 1.0, "most_context": 0.5}  # with few rows a large t leaves a noisy query of large weight
AT_ONCE = Refinement(masked=(0.0,), context=(0.0, 0.0))
QUERY = 256


def trained(screen, across_cells, steps):
    """A network of the second phase after so many batches of fresh cells."""
    settings = {"transformer": TRANSFORMER | {"across_cells": across_cells}, "prompt": PROMPT}
    model, rng = Network(Stack.model_validate(settings), GENES, 1, 0), np.random.default_rng(1)
    model.start_at_means(torch.from_numpy(screen.draw(rng, 0, np.arange(250) % TYPES).mean(0)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    draw, measured = torch.Generator().manual_seed(0), torch.ones(1, GENES, dtype=torch.bool)
    for _ in range(steps):
        cells = sets(screen, rng, rng.choice(SEEN, SETS, replace=False), CELLS, CELLS)
        view = model.view(cells, measured, draw, "train")
        loss = combine(model.tasks(view, draw)[0], model.counts(view))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model


def scores(model, screen, prompted=lambda condition: condition):
    """Means over unseen conditions and types, the query's type absent from the prompt.

    Args:
        prompted: from the condition that is scored to the one that the prompt shows.

    Returns:
        Of the change of each gene: mean absolute truth, mean absolute error, correlation, mean absolute prediction;
        and mean absolute error of the prompt's shift against controls of its types, which the network does not see.
    """
    rng, draw, rows = np.random.default_rng(7), torch.Generator().manual_seed(0), []
    for condition in UNSEEN:
        for kind in range(TYPES):
            own, others = np.full(400, kind), rng.choice(np.delete(np.arange(TYPES), kind), CELLS)
            prompt, query = screen.draw(rng, prompted(condition), others), screen.draw(rng, 0, own[:QUERY])
            made = model.generate(torch.from_numpy(prompt), torch.from_numpy(query), draw, AT_ONCE)
            change = mean_log(made.counts) - mean_log(query)
            truth = mean_log(screen.draw(rng, condition, own)) - mean_log(screen.draw(rng, 0, own))
            shift = mean_log(prompt) - mean_log(screen.draw(rng, 0, others))
            correlation = np.corrcoef(change, truth)[0, 1]
            sizes = (np.abs(x).mean() for x in (truth, change - truth, change, shift - truth))
            truth_size, error, change_size, shift_error = sizes
            rows.append((truth_size, error, correlation, change_size, shift_error))
    return dict(zip(("truth", "error", "correlation", "change", "additive_error"), np.mean(rows, 0), strict=True))


@pytest.fixture(scope="module")
def screen():
    return Screen()


@pytest.fixture(scope="module")
def network(screen):
    return trained(screen, True, STEPS)


@pytest.fixture(scope="module")
def found(network, screen):
    return scores(network, screen)


def test_an_unseen_condition_is_carried_to_a_type_that_the_prompt_lacks(found):
    assert found["correlation"] >= 0.7, found
    assert found["error"] <= 0.8 * found["truth"], found  # no change foretold has the error `truth`


def test_a_prompt_of_another_condition_misleads(found, network, screen):
    other = scores(network, screen, lambda condition: 1 + (condition + 20) % len(SEEN))
    assert found["correlation"] - other["correlation"] >= 0.4, (found, other)


def test_a_prompt_of_controls_changes_little(found, network, screen):
    control = scores(network, screen, lambda condition: 0)
    assert control["change"] < 0.5 * found["change"], (found, control)


def test_without_attention_across_cells_nothing_is_carried(screen):
    alone = scores(trained(screen, False, 100), screen)
    assert alone["correlation"] <= 0.25, alone
