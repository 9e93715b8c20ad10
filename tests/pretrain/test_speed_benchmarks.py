"""The benchmarks of training compare like with like; their figures are not tested."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
CPU, TINY = torch.device("cpu"), {"layers": 2, "hidden": 16, "heads": 2, "ffn": 24}


@pytest.fixture
def steps(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import steps

    yield steps
    for name in ("steps", "generate", "prepare", "embed"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_the_released_design_has_our_loss_and_gradients(steps, objective):
    network, view = steps.problem(objective, 3, 120, 300, CPU, TINY)
    assert len(set(view.starts.diff().tolist())) > 1 or objective == "mlm"  # there is padding
    found = []
    for loss in (steps.our_loss, steps.released_loss):
        network.zero_grad()
        value = loss(network, view)
        value.backward()
        found.append((value.item(), torch.cat([p.grad.flatten() for p in network.parameters()])))
    (ours, gradient), (theirs, other) = found
    assert ours == pytest.approx(theirs, rel=1e-5)
    torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-6)


def test_what_a_step_keeps_grows_as_a_line(steps):
    sizes, tokens = [], []
    for cells in (2, 4, 6):
        network, view = steps.problem("wced", cells, 100, 300, CPU, TINY)
        tokens.append(len(view.gene))
        sizes.append(steps.saved_bytes(network, view, "bf16-mixed"))
    # Nearly: cells differ in length, and the decoder keeps as much for a short one as for a long one.
    assert np.interp(tokens[1], tokens[::2], sizes[::2]) == pytest.approx(sizes[1], rel=0.1)


def test_steps_batches_and_embeddings_are_timed(steps, tmp_path):
    import embed
    import generate
    import prepare

    from scfm.corpus import Shards

    network, view = steps.problem("wced", 2, 60, 300, CPU, TINY)
    for cost in (
        steps.time_step(network, view, steps.our_loss, "32-true", 1),
        steps.time_kernels(network, view, "bf16-mixed", 1),
    ):
        assert cost.wall > 0
        assert cost.cpu > 0
    assert embed.embedding_speed(network, 4, 300, 60, 2) > 0
    corpus = Shards.open(generate.shards(tmp_path / "shards", 130, 300, 60))
    speed, tokens = prepare.run(corpus, {"zeros": {"strategy": "all"}}, 128)
    assert speed > 0
    assert tokens == 301  # every gene, and the CLS
