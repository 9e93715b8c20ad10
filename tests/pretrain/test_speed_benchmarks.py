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
    for name in ("steps", "generate", "prepare", "embed", "train", "memory", "hours", "fold_hours", "systems"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_the_released_design_has_our_loss_and_gradients(steps, objective):
    network, view = steps.problem(objective, [50, 120, 80], 300, CPU, TINY)
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


def test_memory_does_not_grow_with_vocabulary_times_tokens(steps):
    import memory

    def a_pair(loss):
        """Bytes of a token times a gene of the vocabulary."""
        size = {(n, genes): memory.peak(4, n, genes, CPU, TINY, loss) for n in (250, 500) for genes in (1000, 2000)}
        grown = [size[500, genes][1] - size[250, genes][1] for genes in (1000, 2000)]
        return (grown[1] - grown[0]) / (size[500, 1000][0] - size[250, 1000][0]) / 1000

    assert abs(a_pair(steps.our_loss)) < 0.1
    assert a_pair(steps.released_loss) > 2  # two numbers, in half precision or more


def test_the_peak_of_memory_is_what_is_held_at_a_time(steps):
    def work():
        first = torch.zeros(1000, 500)
        second = first + 1
        del first
        return second + 1

    assert steps.peak_memory(work, CPU) == pytest.approx(2 * 4 * 500_000, rel=0.01)


def test_generated_cells_express_what_the_census_does(steps):
    import generate

    assert generate.census_lengths(2) == [973, 2864]
    assert np.median(generate.census_lengths(1001)) == 1711
    assert np.mean(generate.census_lengths(1000)) == pytest.approx(2270, rel=0.05)  # docs/scale.md
    counts = generate.cells_of([5, 0, 9], 30)
    assert (counts > 0).sum(1).A1.tolist() == [5, 0, 9]


def test_projected_operations_count_epochs_and_validations(steps, monkeypatch):
    import generate
    import hours

    from scfm.pretrain.settings import parse_run

    model = {"objective": {"kind": "wced"}, "encoder": TINY}
    training = {"epochs": 6, "validate_every": 3, "validation_passes": 2}
    run = parse_run({"system": "bmfm", "corpus_fraction": 0.1, "model": model, "training": training}, "test")
    tokens, step = hours.cost(run.model, "train", 3)
    assert tokens == pytest.approx(np.mean(generate.census_lengths(3)) + 1)
    assert step > 6 * tokens * (4 * 16**2 + 3 * 16 * 24)  # one block of the two and more
    monkeypatch.setattr(hours, "cost", lambda model, mode, cells: (7.0, {"train": 30.0, "validate": 60.0}[mode]))
    total = 0.1 * (5.0e6 * 6 * 30 + 1.2e6 * 4 * 20)
    assert hours.operations(run, 1) == (7.0, 30.0, pytest.approx(total))


def test_steps_batches_and_embeddings_are_timed(steps, tmp_path):
    import embed
    import generate
    import prepare
    import train

    from scfm.corpus import Shards

    network, view = steps.problem("wced", [60, 70], 300, CPU, TINY)
    assert steps.time_step(network, view, steps.our_loss, "32-true", 1) > 0
    assert steps.time_kernels(network, view, "bf16-mixed", 1) > 0
    assert steps.time_product(CPU, "32-true") > 0
    assert embed.embedding_seconds(network, [60, 70], 300, "cls") > 0
    assert 0 < train.loader_wait(network, 300, CPU, 2, 2) < 1
    corpus = Shards.open(generate.shards(tmp_path / "shards", 130, 300, 60))
    speed, tokens = prepare.run(corpus, {"zeros": {"strategy": "all"}}, 128)
    assert speed > 0
    assert tokens == 301  # every gene, and the CLS


def test_networks_of_systems_are_alike_in_size_and_projected(steps):
    import hours
    import systems

    theirs = systems.cellplm("small", 2000, 8)
    ours = steps.problem("wced", [50], 2000, CPU, systems.like(systems.used(theirs), 2, 2000))[0].eval()
    assert systems.used(ours) == pytest.approx(systems.used(theirs), rel=0.15)
    assert all(systems.seconds_a_cell(network, [50, 60], 2000, 2) > 0 for network in (theirs, ours))
    assert systems.step_memory("small", 8000, 8, CPU) > 4 * 8000 * 4
    from scfm.pretrain.settings import parse_run

    cellplm = parse_run({"system": "cellplm", "model": systems.SIZES["small"]}, "test").model
    tokens, step = hours.cost(cellplm, "train", 50)
    assert 0.4 < tokens < 1  # three cells in ten are left out
    assert step > 6 * 0.4 * 4 * 64**2
    assert hours.cells_of_a_pass(cellplm) == hours.CELLS
    pulsar = parse_run({"system": "pulsar", "model": {"width": 16, "sampling": {"cells": 40}}}, "test").model
    assert hours.cost(pulsar, "train", 3)[1] > 0
    assert hours.cells_of_a_pass(pulsar)["train"] == 40 * hours.DONORS["train"]


def test_trainings_anew_cost_cells_times_epochs_times_folds(steps):
    import fold_hours

    from scfm.pretrain.settings import parse_run

    sizes = {"modules": 8, "width": 4, "layers": 1, "heads": 2, "set_heads": 2, "ffn": 8}
    model = {"transformer": sizes, "sets": {"by": ["arm"], "cells": 60}, "prompt": {"rows": 20, "genes": 50}}
    stack = parse_run({"system": "stack", "model": model, "training": {"epochs": 4}}, "test")
    step, total = fold_hours.operations(stack, fold_hours.Screen(100, 300, 3))
    assert total == pytest.approx(step * 100 * 4 * 3)
    plain = parse_run({"system": "stack", "model": model | {"prompt": None}, "training": {"epochs": 4}}, "test")
    assert step < fold_hours.operations(plain, fold_hours.Screen(100, 300, 3))[0], "a window is a third of the set"
