"""PULSAR's draws, masks and losses against closed forms, planted programs, and refused input."""

import math

import numpy as np
import pytest
import torch

from scfm.errors import ScfmError
from scfm.models.cells import Cells
from scfm.models.pulsar import losses
from scfm.models.pulsar.masking import Masker
from scfm.models.pulsar.network import Network
from scfm.models.pulsar.sampling import by_content, from_generator, from_seed
from scfm.models.pulsar.sampling import draw as draw_cells
from scfm.models.pulsar.settings import Masking, Pulsar
from scfm.models.tasks import combine
from scfm.settings import parse

WIDTH = 40
SMALL = {"hidden": 16, "heads": 2, "ffn": 24, "encoder_layers": 1, "decoder_layers": 1, "dropout": 0.0}
FILM = {"condition": "cytokine", "donor": "person", "width": 5, "condition_hidden": 7}
FILM |= {"donor_input_dropout": 0.0, "condition_input_dropout": 0.0, "dropout": [0.0, 0.0]}


def small(**keys):
    sampling = {"cells": 100, "replacement": False} | keys.pop("sampling", {})
    masking = {"strategy": "independent", "programs": 4, "hidden": 8} | keys.pop("masking", {})
    blocks = {"width": WIDTH, "sampling": sampling, "transformer": SMALL, "masking": masking}
    return parse(Pulsar, blocks | keys, "test")


def donors(sizes, seed=0, width=WIDTH, **columns):
    rng = np.random.default_rng(seed)
    which = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    vectors = torch.from_numpy(rng.normal(size=(sum(sizes), width)).astype(np.float32))
    none = torch.zeros(len(which), dtype=torch.long)
    labels = {name: torch.tensor(values)[which] for name, values in columns.items()}
    return Cells(none[:0], torch.zeros(0), none, none, {"vector": vectors, "set": which} | labels)


def tasks_of(settings, cells, generator, **tables):
    network = Network(settings, 0, 1, seed=0, **tables)
    view = network.view(cells, None, generator, "train")
    tasks, _ = network.tasks(view)
    assert {name: int(task.count) for name, task in tasks.items()} == {
        name: int(number) for name, number in network.counts(view).items()
    }
    return tasks, network.counts(view)


@pytest.mark.parametrize("sizes", [[100, 100], [300, 100, 37], [100, 5, 2, 1]])
def test_the_encoder_sees_its_share_and_the_others_are_targets(draw, sizes):
    view = Network(small(), 0, 1, seed=0).view(donors(sizes), None, draw(), "train")
    which = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    for donor, size in enumerate(sizes):
        drawn = min(size, 100)
        first, second = (view.seen[donor, k][view.seen_real[donor, k]] for k in (0, 1))
        targets = view.target[donor][view.target_real[donor]]
        assert abs(len(first) / drawn - 0.15) <= 1 / drawn or len(first) == 1
        assert len(second) == min(len(first), drawn - len(first))
        assert len(first) + len(targets) == drawn == len(torch.cat([first, targets]).unique())
        assert torch.isin(second, targets).all()
        assert (which[torch.cat([first, targets])] == donor).all()


def test_targets_can_be_fewer(draw):
    settings = small(sampling={"targets": 30})
    view = Network(settings, 0, 1, seed=0).view(donors([100, 20]), None, draw(), "train")
    assert view.target_real.sum(1).tolist() == [30, 17]


@pytest.mark.parametrize("uniform", [from_generator(torch.Generator().manual_seed(0)), from_seed(11)])
def test_without_replacement_no_cell_comes_twice(uniform):
    place, real = draw_cells(torch.tensor([50, 8]), 20, False, uniform)
    assert real.tolist() == [20, 8]
    assert len(place[0].unique()) == 20
    assert place[0].max() < 50
    assert place[1, :8].sort().values.tolist() == list(range(8))


def test_with_replacement_each_cell_comes_as_often(draw):
    place, real = draw_cells(torch.full((400,), 8), 20, True, from_generator(draw()))
    assert place.shape == (400, 20)
    assert (real == 20).all()
    square = ((torch.bincount(place.flatten()) - 1000) ** 2 / 1000).sum()
    assert square < 24.3  # 0.1 % of χ² with 7 degrees of freedom is above


def test_numbers_of_seeds_look_uniform_and_independent():
    first, second = (from_seed(seed)(torch.arange(100_000)) for seed in (3, 4))
    assert abs(first.mean() - 0.5) < 0.005
    assert abs(first.var() - 1 / 12) < 0.002
    assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < 0.02
    assert abs(torch.corrcoef(torch.stack([first[1:], first[:-1]]))[0, 1]) < 0.02


def test_the_order_by_content_is_that_of_the_cells(draw):
    vectors, lengths = torch.randn(30, 6, generator=draw()), torch.tensor([20, 10])
    shuffled = torch.cat([torch.randperm(20, generator=draw(1)), 20 + torch.randperm(10, generator=draw(2))])
    first, second = vectors[by_content(vectors, lengths)], vectors[shuffled][by_content(vectors[shuffled], lengths)]
    assert torch.equal(first, second)
    assert by_content(vectors, lengths)[:20].max() < 20


@pytest.mark.parametrize("strategy", ["independent", "correlated_program"])
def test_the_share_of_hidden_elements(draw, strategy):
    network = Network(small(masking={"strategy": strategy}), 0, 1, seed=0)
    view = network.view(donors([100, 60]), None, draw(), "train")
    hidden = network.reconstruct(torch.zeros(2, 16), view).hidden
    assert abs(hidden[view.target_real].float().mean() - 0.85) <= 0.01
    assert hidden.sum() == network.counts(view)["reconstruction"]
    assert not hidden[~view.target_real].any()
    by_cell = hidden[view.target_real].sum(1).float()
    assert (by_cell.std() > 1) == (strategy == "independent")


def test_elements_of_a_program_are_hidden_together(draw):
    settings = Masking(ratio=0.5, programs=4, hidden=8)
    masker = Masker(settings, WIDTH)
    program = torch.arange(WIDTH) % 4
    masker.program.data = 20.0 * torch.nn.functional.one_hot(program, 4)
    x, noise = torch.randn(1, 500, WIDTH, generator=draw()), torch.rand(1, 500, WIDTH, generator=draw(1))
    hidden, _ = masker(x, noise, torch.rand(1, 500, 4, generator=draw(2)))
    correlation = np.corrcoef(hidden[0].numpy().T)
    same = (program[:, None] == program).numpy() & ~np.eye(WIDTH, dtype=bool)
    assert correlation[same].min() > 0.95
    assert np.abs(correlation[program[:, None] != program].mean() + 1 / 3) < 0.02  # two of four: -1/3
    assert masker.entropy() < 1e-6
    assert abs(masker.unevenness()) < 1e-6


def test_entropy_and_unevenness_have_their_extremes():
    masker = Masker(Masking(programs=4, hidden=8), WIDTH)
    masker.program.data.zero_()
    torch.testing.assert_close(masker.entropy(), torch.tensor(1.0))
    masker.program.data[:, 0] = 50.0
    torch.testing.assert_close(masker.unevenness(), torch.tensor(3.0))


def test_a_step_down_the_loss_hides_what_raises_it(draw):
    """The error grows with each hidden element of program 0: its score must climb."""
    masker = Masker(Masking(ratio=0.5, programs=2, hidden=8), 8)
    with torch.no_grad():
        masker.program.copy_(5.0 * torch.nn.functional.one_hot(torch.arange(8) % 2, 2))
    x, noise = torch.zeros(1, 50, 8), torch.rand(1, 50, 8, generator=draw())
    _, pull = masker(x, noise, torch.rand(1, 50, 2, generator=draw(1)))
    assert not pull.any()
    pull[..., ::2].sum().backward()
    bias = masker.score[2].bias.grad
    assert bias[0] < 0
    assert bias[0] < bias[1]


def test_info_nce_is_the_cross_entropy_of_both_directions(draw):
    first, second = torch.randn(5, 6, generator=draw()), torch.randn(5, 6, generator=draw(1))
    paired = torch.tensor([True, True, False, True, True])
    a, b = (torch.nn.functional.normalize(x[paired], dim=1) for x in (first, second))
    entropy = torch.nn.CrossEntropyLoss(reduction="sum")
    logits = a @ b.T / 0.2
    expected = entropy(logits, torch.arange(4)) + entropy(logits.T, torch.arange(4))
    torch.testing.assert_close(losses.info_nce(first, second, paired, 0.2), expected)
    assert losses.pairs(paired) == 8


def test_supervised_contrast_is_the_sum_over_its_pairs(draw):
    vectors, labels = torch.randn(7, 4, generator=draw()), torch.tensor([0, 1, 0, -1, 1, 0, 2])
    unit = torch.nn.functional.normalize(vectors, dim=1)
    total, count = 0.0, 0
    for i in range(7):
        others = [j for j in range(7) if j != i and labels[j] >= 0]
        positives = [j for j in others if labels[j] == labels[i]]
        if labels[i] < 0 or not positives:
            continue
        count += 1
        below = sum(math.exp(float(unit[i] @ unit[j]) / 0.5) for j in others)
        total -= sum(float(unit[i] @ unit[j]) / 0.5 - math.log(below) for j in positives) / len(positives)
    assert losses.supervised_contrast(vectors, labels, 0.5).item() == pytest.approx(total, rel=1e-5)
    assert losses.anchors(labels).sum() == count == 5
    assert losses.supervised_contrast(vectors, torch.full((7,), -1), 0.5) == 0
    assert not losses.anchors(torch.tensor([1, 1, -1])).any()  # nothing to stand off from


def test_label_errors_leave_out_the_unknown():
    logits = torch.tensor([[0.0, 0.0], [5.0, 1.0], [9.0, 9.0]])
    total = losses.label_error(logits, torch.tensor([1, 0, -1]), "class")
    assert total.item() == pytest.approx(math.log(2) + math.log(1 + math.exp(-4)), rel=1e-5)
    numbers = torch.tensor([1.0, math.nan, 4.0])
    assert losses.label_error(torch.tensor([[3.0], [7.0], [5.0]]), numbers, "number") == 4 + 1


def test_micro_batches_add_up(draw):
    """The counts of a whole update make parts of it exact, for every task that does not compare donors."""
    settings = small(contrastive_weight=0, heads=[{"label": "age", "kind": "number", "hidden": 9}])
    cells = donors([50, 30, 40], age=[1.0, math.nan, 3.0])
    network = Network(settings, 0, 1, seed=0)
    whole = network.view(cells, None, draw(), "train")
    parts = [rows_of(whole, slice(0, 1)), rows_of(whole, slice(1, 3))]
    counts = network.counts(whole)
    each = [network.tasks(part)[0] for part in parts]
    expected = network.tasks(whole)[0]
    for name in counts:
        assert sum(int(tasks[name].count) for tasks in each) == counts[name]
        total = sum(tasks[name].total for tasks in each)
        torch.testing.assert_close(total, expected[name].total, rtol=1e-5, atol=1e-4)


def rows_of(view, rows):
    fields = ("seen", "seen_real", "target", "target_real", "element_noise")
    part = type(view)(view.vectors, view.seen[rows], view.seen_real[rows], {k: v[rows] for k, v in view.labels.items()})
    for name in fields:
        setattr(part, name, getattr(view, name)[rows])
    return part


def test_one_donor_has_nothing_to_be_contrasted_with(draw):
    tasks, counts = tasks_of(small(alignment={"label": "disease"}), donors([60], disease=[1]), draw())
    for name in ("contrast", "alignment"):
        assert tasks[name].total == 0
        assert counts[name] == 0
    rebuilt = tasks["reconstruction"]
    torch.testing.assert_close(combine(tasks, counts), rebuilt.total / rebuilt.count)


def test_donors_of_one_or_two_cells_take_what_part_they_can(draw):
    tasks, counts = tasks_of(small(), donors([1, 2, 60, 100]), draw())
    assert counts["contrast"] == 6  # the donor of one cell has no second subset
    assert all(task.total.isfinite() for task in tasks.values())
    tasks, counts = tasks_of(small(masking={"strategy": "correlated_program"}), donors([1, 1]), draw())
    assert counts["reconstruction"] == tasks["reconstruction"].total == 0
    assert combine(tasks, counts).isfinite()


def test_a_treated_sample_is_compared_with_its_own_donors_control(draw):
    settings = small(film=FILM, contrastive_weight=0)
    columns = {"cytokine": [-1, 2, -1, 0, 1], "person": [0, 0, 1, -1, 7]}
    cells, conditions = donors([60] * 5, **columns), torch.randn(3, 5, generator=draw())
    tasks, counts = tasks_of(settings, cells, draw(1), conditions=conditions)
    assert counts["condition"] == 1  # the others' donors are unknown, or have no control here
    network = Network(settings, 0, 1, seed=0, conditions=conditions)
    view = network.view(cells, None, draw(1), "train")
    donor = network.encode(view.vectors[view.seen], view.seen_real)[:, 0]
    expected = (network.film(donor[:1], conditions[2:]) - donor[1]).square().mean()
    torch.testing.assert_close(tasks["condition"].total, expected)


def test_film_is_its_formula(draw):
    network = Network(small(film=FILM), 0, 1, seed=0, conditions=torch.zeros(1, 5))
    film, donor, condition = network.film, torch.randn(3, 16, generator=draw()), torch.randn(3, 5, generator=draw(1))

    def layer(x, part):
        x = x @ part[0].weight.T + part[0].bias
        x = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        return x * 0.5 * (1 + torch.erf(x / 2**0.5))

    h = layer(layer(donor, film.donor[0]), film.donor[1])
    gamma, beta = (layer(condition, part[0]) @ part[1].weight.T for part in (film.gamma, film.beta))
    expected = donor + (gamma * h + beta) @ film.out.weight.T
    torch.testing.assert_close(film(donor, condition), expected, atol=1e-5, rtol=1e-4)


def test_simulation_learns_a_planted_shift(draw):
    """Two conditions move donors apart in known directions; the head must tell which donor vector follows."""
    settings = small(film=FILM, contrastive_weight=0, reconstruction_weight=1e-6)
    conditions = torch.eye(2, 5) * 3
    network = Network(settings, 0, 1, seed=0, conditions=conditions)
    rng, shift = np.random.default_rng(0), torch.zeros(3, WIDTH)
    shift[1, :10], shift[2, 10:20] = 2.0, -2.0

    def batch(people):
        cells = donors([40] * 3 * people, seed=int(rng.integers(1 << 30)))
        sample = cells.labels["set"]
        own = torch.from_numpy(rng.normal(size=(people, WIDTH)).astype(np.float32))
        cells.labels["vector"] += own[sample // 3] * 0.5 + shift[sample % 3]
        return with_columns(cells, cytokine=sample % 3 - 1, person=sample // 3)

    optimizer = torch.optim.AdamW(network.film.parameters(), lr=3e-3)
    for _ in range(150):
        view = network.view(batch(8), None, draw(int(rng.integers(1 << 30))), "train")
        tasks, _ = network.tasks(view)
        optimizer.zero_grad()
        combine(tasks, network.counts(view)).backward()
        optimizer.step()
    with torch.no_grad():
        view = network.view(batch(30), None, None, "embed")
        truth = network.embed(view)["donor"].view(30, 3, 16)
        control = type(view)(view.vectors, view.seen[::3], view.seen_real[::3], {})
        for code in (0, 1):
            changed, cells = network.simulate(control, conditions[code].expand(30, -1), draw(9))
            assert cells.shape == (30, 40, WIDTH)
            near, far = ((changed - truth[:, k]).square().mean() for k in (1 + code, 2 - code))
            assert near < 0.5 * far
            assert near < 0.5 * (truth[:, 0] - truth[:, 1 + code]).square().mean()


def with_columns(cells, **columns):
    return Cells(cells.gene, cells.count, cells.lengths, cells.dataset, cells.labels | columns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.labels["vector"].__setitem__((3, 1), math.nan), "vectors of 1 of 50 cells hold NaN or infinity"),
        (lambda c: c.labels.update(vector=c.labels["vector"][:, :7]), r"\(50, 7\), expected \[cells, 40\]; set width"),
        (lambda c: c.labels.pop("vector"), "cells have no 'vector'"),
        (lambda c: c.labels.pop("set"), "cells have no 'set'"),
        (lambda c: c.labels.update(set=c.labels["set"].flip(0)), "'set' does not number the donors 0, 1, 2"),
        (lambda c: c.labels.update(set=2 * c.labels["set"]), "'set' does not number the donors 0, 1, 2"),
        (lambda c: c.labels.update(set=c.labels["set"][:40]), "50 cell vectors and 40 donor numbers"),
        (lambda c: c.labels.pop("disease"), "cells have no column 'disease'"),
        (lambda c: c.labels["disease"].__setitem__(35, 0), "'disease': donor number 1 of the batch has two values"),
        (lambda c: c.labels["cytokine"].fill_(3), "'cytokine' holds condition 3, but there are 2 vectors"),
    ],
)
def test_what_cannot_be_read_is_refused(draw, change, message):
    network = Network(small(alignment={"label": "disease"}, film=FILM), 0, 1, seed=0, conditions=torch.zeros(2, 5))
    cells = donors([30, 20], disease=[0, 1], cytokine=[-1, 0], person=[0, 0])
    change(cells)
    with pytest.raises(ScfmError, match=message):
        network.view(cells, None, draw(), "train")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"transformer": {"hidden": 10, "heads": 4}}, r"hidden \(10\) must be a multiple of heads \(4\)"),
        ({"masking": {"ratio": 0.001}}, "masking.ratio 0.001 hides none or all of 40 elements"),
        ({"heads": [{"label": "age"}] * 2}, "heads name a label twice"),
        ({"sampling": {"encoder_share": 0.6}}, "sampling.encoder_share"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(keys, message):
    with pytest.raises(ScfmError, match=message):
        parse(Pulsar, {"width": WIDTH} | keys, "run.yaml")


def test_no_condition_is_simulated_without_its_head():
    network = Network(small(), 0, 1, seed=0)
    view = network.view(donors([30]), None, None, "embed")
    with pytest.raises(ScfmError, match="simulates no conditions"):
        network.simulate(view, torch.zeros(1, 5), torch.Generator())
