"""The second phase of STACK: windows, marker, teacher, classifier and refinement."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from scfm.errors import ScfmError
from scfm.models.cells import ragged
from scfm.models.stack.encoder import who_sees_whom
from scfm.models.stack.network import Network
from scfm.models.stack.prompt import draw_window
from scfm.models.stack.refine import Refinement
from scfm.models.stack.settings import Prompt, Stack
from scfm.models.stack.view import to_table
from scfm.models.tasks import combine

GENES, CELLS = 40, 240
SMALL = {"modules": 6, "width": 8, "layers": 2, "heads": 2, "set_heads": 4, "ffn": 16}
PROMPT = {"rows": 32, "cell_type": "cell_type"}
MEASURED = torch.ones(1, GENES, dtype=torch.bool)


def network(seed=0, **prompt):
    return Network(Stack.model_validate({"transformer": SMALL, "prompt": PROMPT | prompt}), GENES, 1, seed)


def batch(condition, kind, set_of, seed=0):
    table = np.random.default_rng(seed).poisson(0.8, (len(set_of), GENES)).astype(np.float32)
    labels = {"set": set_of, "condition": condition, "cell_type": kind}
    return ragged(csr_matrix(table), {name: np.asarray(own, dtype=np.int64) for name, own in labels.items()})


@pytest.fixture
def cells():
    """Three sets of controls and two conditions, four types; some cells of unknown condition or type."""
    rng = np.random.default_rng(0)
    condition, kind = rng.integers(3, size=CELLS), rng.integers(4, size=CELLS)
    condition[::17], kind[::19] = -1, -1
    return batch(condition, kind, np.arange(CELLS) // 80)


def window(cells, generator, **prompt):
    settings = Prompt.model_validate(PROMPT | prompt)
    return draw_window(cells, to_table(cells, GENES), cells.labels["set"], settings, generator)


def same(row, table):
    """bool [rows, cells]: the rows of two tables are equal."""
    return (row[:, None] == table[None]).all(2)


def test_a_window_is_of_one_condition_and_its_query_rows_show_controls_of_their_type(cells, draw):
    table, labels = to_table(cells, GENES), cells.labels
    for seed in range(20):
        found = window(cells, draw(seed), control_windows=0)
        assert not (found.prompt & found.query).any()
        for number in range(3):
            real, own = found.real[number], found.cell[number, found.real[number]]
            assert labels["set"][own].unique().tolist() == [number]
            assert len(labels["condition"][own].unique()) == 1
            assert labels["condition"][own[0]] > 0
            assert len(own.unique()) == len(own) <= 32  # no cell twice
            assert (labels["cell_type"][own] >= 0).all()
            assert torch.equal(found.truth[number, real], table[own])
            query = found.query[number]
            assert torch.equal(found.shown[number, ~query], found.truth[number, ~query])
            at = same(found.shown[number, query], table) & (labels["set"] == number) & (labels["condition"] == 0)
            assert (at & (labels["cell_type"] == labels["cell_type"][found.cell[number, query]][:, None])).any(1).all()
            prompt = found.prompt[number].sum()
            assert prompt == max(1, len(own) // 4)
            assert found.prompt[number, :prompt].all()
        assert not (found.query & ~found.real).any()


def test_context_grows_with_t_and_urgency_is_its_inverse(cells, draw):
    for seed in range(20):
        found = window(cells, draw(seed), control_windows=0, most_context=0.9)
        assert (found.urgency >= 1).all()
        assert (found.urgency <= 10.001).all()
        size, prompt = found.real.sum(1), found.prompt.sum(1)
        context = ((1 - 1 / found.urgency) * (size - prompt) + 1e-3).long()
        assert torch.equal(found.query.sum(1), size - prompt - context)
    assert torch.equal(window(cells, draw(), most_context=0).urgency, torch.ones(3))


def test_control_windows_and_types_in_turns(cells, draw):
    controls = window(cells, draw(), control_windows=1)
    assert not cells.labels["condition"][controls.cell[controls.real]].any()
    for seed in range(10):
        found = window(cells, draw(seed), typewise=1)
        for number in range(3):
            kind = cells.labels["cell_type"][found.cell[number, found.real[number]]]
            assert len(kind.unique_consecutive()) == len(kind.unique())


def test_without_controls_any_other_condition_is_rewritten(cells, draw):
    found = window(cells, draw(), control=None, most_context=0)
    table, condition = to_table(cells, GENES), cells.labels["condition"]
    for number in range(3):
        own = condition[found.cell[number, 0]]
        at = same(found.shown[number, found.query[number]], table) & (cells.labels["set"] == number)
        assert (at & (condition != own) & (condition >= 0)).any(1).all()


def test_rows_without_a_control_of_their_type_stay_context(draw):
    kind = np.arange(60) % 3
    condition = np.where(kind == 2, 1, np.arange(60) // 3 % 2)  # no control of type 2
    found = window(batch(condition, kind, np.zeros(60)), draw(), control_windows=0, most_context=0)
    of_type = found.kind == 2
    assert not found.query[of_type].any()
    assert found.query[~of_type & ~found.prompt & found.real].all()


def test_every_weight_but_those_of_the_teacher_learns(cells, draw):
    model = network()
    view = model.view(cells, MEASURED, draw(), "train")
    tasks, _ = model.tasks(view, draw())
    assert set(tasks) == set(model.counts(view)) == {"masked", "sliced", "expression", "embedding", "query"}
    assert all(torch.equal(tasks[name].count, count) for name, count in model.counts(view).items())
    assert not view.scored[view.window.query[view.real]].any()
    assert 0.05 <= len(view.hidden) / GENES <= 0.35
    combine(tasks, model.counts(view)).backward()
    idle = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert idle == {name for name, _ in model.named_parameters() if "teacher" in name}


def test_the_prompt_learns_nothing_of_query_rows(cells, draw):
    model = network()
    view = model.view(cells, MEASURED, draw(), "validate")
    with torch.no_grad():
        before = model.encode(view)
        view.counts = torch.where(view.window.query[..., None], view.counts + 3, view.counts)
        after = model.encode(view)
    assert torch.equal(before[view.window.prompt], after[view.window.prompt])
    assert (before - after)[view.window.query].abs().max() > 1e-2


def test_the_marker_stands_at_query_rows_and_learns_faster():
    for factor in (1, 10):
        model = network(marker_gradient=factor).prompting
        query = torch.tensor([[False, True, True]])
        marked = model.marked(query)
        assert not marked[0, 0].any()
        torch.testing.assert_close(marked[0, 1], model.marker)
        marked.sum().backward()
        torch.testing.assert_close(model.marker.grad, torch.full((6, 8), 2.0 * factor))


def test_the_classifier_teaches_itself_alone(cells, draw):
    model = network()
    view = model.view(cells, MEASURED, draw(), "train")
    model.tasks(view)[0]["query"].total.backward()
    learning = {name.split(".")[1] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert learning == {"compare", "logit"}


def test_the_teacher_starts_as_the_encoder_and_follows(cells, draw):
    model = network(teacher_every=2, teacher_memory=0.75)
    teacher, student = (part.state_dict() for part in (model.prompting.teacher, model.encoder))
    start = {name: tensor.clone() for name, tensor in teacher.items()}
    assert all(torch.equal(start[name], student[name]) for name in start)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.add_(1)
    for batches in range(1, 5):
        model.tasks(model.view(cells, MEASURED, draw(), "train"))
        share = 1 - 0.75 ** (batches // 2)
        for name in start:
            torch.testing.assert_close(teacher[name], start[name] + share, rtol=1e-4, atol=1e-4)
    model.eval().tasks(model.view(cells, MEASURED, draw(), "validate"))
    assert model.prompting.batches == 4


SETS = {
    "controls alone": (np.zeros(30), np.zeros(30), np.zeros(30)),
    "treated cells alone": (np.ones(30), np.zeros(30), np.zeros(30)),
    "a set of one cell": (np.r_[np.arange(29) % 2, 1], np.zeros(30), np.r_[np.zeros(29), 1]),
    "a set of unknown cells": (np.r_[np.arange(29) % 2, -1], np.zeros(30), np.r_[np.zeros(29), 1]),
}


@pytest.mark.parametrize("labels", SETS.values(), ids=SETS)
def test_odd_sets_give_numbers(labels, draw):
    model, cells = network(), batch(*labels)
    cells.count[:20] = 0  # cells without counts
    view = model.view(cells, MEASURED, draw(), "train")
    tasks, _ = model.tasks(view, draw())
    combine(tasks, model.counts(view)).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_cells_without_conditions_are_refused(cells, draw):
    cells.labels["condition"] = torch.full((CELLS,), -1)
    with pytest.raises(ScfmError, match="nowhere known together"):
        network().view(cells, MEASURED, draw(), "train")
    del cells.labels["condition"]
    with pytest.raises(ScfmError, match="label 'condition' is missing"):
        network().view(cells, MEASURED, draw(), "train")


def deep(cells, seed=0):
    """Counts [cells, genes], about 2,000 a cell."""
    return torch.from_numpy(np.random.default_rng(seed).poisson(50, (cells, GENES)).astype(np.float32))


@pytest.mark.parametrize("prompt", [200, 5, 1])
@pytest.mark.parametrize("query", [100, 1])
def test_refinement_writes_every_cell_in_whole_counts_at_its_own_depth(prompt, query, draw):
    model, cells = network(), deep(query, 1)
    with torch.no_grad():
        model.decoder.dispersion.bias.fill_(5.0)
    found = model.generate(deep(prompt), cells, draw())
    assert found.counts.dtype == torch.int64
    assert found.counts.shape == cells.shape
    assert (found.counts.sum(1) / cells.sum(1) - 1).abs().max() < 0.1
    assert not same(found.counts.float(), cells).any()  # none is left as it was
    assert found.confidence.shape == (query,)
    assert found.confidence.isfinite().all()
    again = model.generate(deep(prompt), cells, draw())
    assert torch.equal(again.counts, found.counts)


@pytest.mark.parametrize("logit", [-9.0, 9.0])
def test_cells_that_never_pass_are_written_at_the_last_step(logit, draw):
    """The classifier takes all for written cells, or all for query rows."""
    model, cells = network(), deep(50, 1)
    with torch.no_grad():
        model.prompting.logit.weight.zero_()
        model.prompting.logit.bias.fill_(logit)
    found = model.generate(deep(60), cells, draw())
    assert not same(found.counts.float(), cells).any()
    torch.testing.assert_close(found.confidence, torch.full((50,), -logit))


def test_confidence_is_of_the_finished_cells_without_the_marker(draw):
    model, condition = network(), deep(5)
    with torch.no_grad():
        model.prompting.marker.normal_(0, 5, generator=draw())
    found = model.generate(condition, deep(10, 1), draw(), Refinement(masked=(0.0,), context=(0.0, 0.0)))
    table = torch.cat([condition, found.counts.float()])[None]
    prompt = torch.arange(len(table[0]))[None] < len(condition)
    with torch.no_grad():
        x = model.encoder(table, who_sees_whom(torch.ones_like(prompt), prompt)).flatten(2)
        logit = model.prompting.query_logit(x, prompt)[0, len(condition) :]
    torch.testing.assert_close(found.confidence, -logit)


def test_a_cell_without_counts_stays_empty(draw):
    cells = torch.cat([torch.zeros(1, GENES), deep(3)])
    assert not network().generate(deep(10), cells, draw()).counts[0].any()


@pytest.mark.parametrize(
    ("condition", "query", "fault"),
    [
        (deep(5)[:, 1:], deep(5), "condition: a table .5, 39., expected .cells, 40."),
        (deep(5), deep(0), "query: a table .0, 40."),
        (deep(5) / 3, deep(5), "condition: values must be counts"),
        (deep(5), -deep(5), "query: values must be counts"),
        (deep(5), deep(5) * torch.nan, "query: values must be counts"),
    ],
    ids=["genes missing", "no cells", "not whole", "negative", "not numbers"],
)
def test_tables_that_are_not_counts_are_refused(condition, query, fault, draw):
    with pytest.raises(ScfmError, match=fault):
        network().generate(condition, query, draw())


def test_models_without_prompts_and_steps_without_end_are_refused(draw):
    with pytest.raises(ScfmError, match="saw no prompts in training"):
        Network(Stack.model_validate({"transformer": SMALL}), GENES, 1, 0).generate(deep(5), deep(5), draw())
    with pytest.raises(ScfmError, match="must end with 0"):
        network().generate(deep(5), deep(5), draw(), Refinement(masked=(0.5, 0.2)))
