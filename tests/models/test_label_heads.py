"""Label heads: each loss against a plain loop, what each reads, and the reversal of gradients."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from scfm.models.bmfm.heads import reverse_gradient
from scfm.models.bmfm.label_losses import flat_sum, leaf_probabilities, sigmoid_sum
from scfm.models.bmfm.network import Network
from scfm.models.bmfm.objectives import Focal
from scfm.models.bmfm.settings import Bmfm
from scfm.models.bmfm.view import make_view
from scfm.models.tasks import combine
from scfm.ontology import LabelTree

# d lies below both b and c, and is the only term below c: the two have the same leaves and are not the same.
PARENTS = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ("b",)}
HEADS = [
    {"label": "cell_type", "loss": "sigmoid"},
    {"label": "tissue", "loss": "focal"},
    {"label": "sex", "loss": "cross_entropy"},
    {"label": "donor_id", "loss": "focal", "reversal": 0.5},
]
SIZES = {"tissue": 4, "sex": 2, "donor_id": 5}


@pytest.fixture
def tree():
    return LabelTree({term: term for term in PARENTS}, PARENTS)


@pytest.fixture
def several(ragged, dense, bmfm, tree, draw):
    """Function from an objective and heads to a network of them and a view of labelled cells."""

    def run(objective="wced", heads=HEADS):
        data = bmfm(objective).model_dump() | {"heads": heads}
        settings = Bmfm.model_validate(data)
        trees = [torch.from_numpy(table) for table in (tree.membership, tree.lineage)]
        network = Network(settings, 30, trees[0], 0, classes=SIZES, lineage=trees[1])
        cells = ragged(dense)
        sizes = {"cell_type": 5} | SIZES
        cells.labels = {head["label"]: torch.arange(12) % (sizes[head["label"]] + 1) - 1 for head in heads}
        measured = torch.ones(1, 30, dtype=torch.bool)
        return network, make_view(cells, settings, measured, draw()), cells

    return run


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 3.5])
def test_flat_losses_against_a_loop(gamma):
    rng = np.random.default_rng(0)
    logits, classes = rng.normal(0, 3, (40, 6)), rng.integers(-1, 6, 40)
    expected = 0.0
    for row, label in zip(logits, classes, strict=True):
        if label >= 0:
            p = math.exp(row[label]) / sum(math.exp(x) for x in row)
            expected -= (1 - p) ** gamma * math.log(p)
    total, count = flat_sum(torch.from_numpy(logits), torch.from_numpy(classes), gamma)
    assert total.item() == pytest.approx(expected, rel=1e-10)
    assert count == (classes >= 0).sum()
    assert 0 < count < 40


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("gap", [1e4, -1e4])
def test_flat_losses_stay_finite(gamma, gap):
    logits = torch.tensor([[gap, 0.0, 0.0]], requires_grad=True)
    total, _ = flat_sum(logits, torch.tensor([0]), gamma)
    total.backward()
    assert total.item() == pytest.approx(max(-gap, 0), rel=1e-4)
    assert logits.grad.isfinite().all()


def test_sigmoids_hold_for_the_label_and_all_above_it_and_know_nothing_below(tree):
    rng = np.random.default_rng(0)
    labels = ["a", "b", "c", "d", "e", None] * 3
    logits = rng.normal(0, 3, (len(labels), 5))
    above = {"a": "a", "b": "ab", "c": "ac", "d": "abcd", "e": "abe"}
    below = {"a": "bcde", "b": "de", "c": "d", "d": "", "e": ""}
    expected = 0.0
    for row, label in zip(logits, labels, strict=True):
        losses = []
        for node, logit in zip(tree.nodes, row, strict=True):
            if label and node not in below[label]:
                chance = 1 / (1 + math.exp(-logit))
                losses.append(-math.log(chance if node in above[label] else 1 - chance))
        expected += sum(losses) / len(losses) if losses else 0
    nodes = torch.tensor([tree.nodes.index(label) if label else -1 for label in labels])
    total, count = sigmoid_sum(torch.from_numpy(logits), nodes, torch.from_numpy(tree.lineage))
    assert total.item() == pytest.approx(expected, rel=1e-10)
    assert count == 15


@pytest.mark.parametrize("loss", [flat_sum, lambda x, labels: sigmoid_sum(x, labels, torch.eye(3).bool())])
def test_unknown_labels_contribute_nothing(loss):
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    total, count = loss(logits, torch.tensor([-1, 2, -1, -1]))
    total.backward()
    assert count == 1
    assert logits.grad[1].abs().sum() > 0
    assert not logits.grad[[0, 2, 3]].any()
    nothing, none = loss(logits, torch.full((4,), -1))
    assert (nothing.item(), none.item()) == (0, 0)


def test_flat_classes_keep_their_mass_in_the_tree(tree):
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log() + 7
    leaves = leaf_probabilities(logits, "cross_entropy", tree, list("bcde"))
    assert tree.leaves == ["d", "e"]
    torch.testing.assert_close(leaves, torch.tensor([[0.2 + 0.3 + 0.2, 0.2 + 0.1]]))


def test_leaves_of_sigmoids_and_of_the_hierarchical_loss(tree):
    chance = torch.tensor([[0.9, 0.8, 0.7, 0.3, 0.1]])
    leaves = leaf_probabilities(chance.logit(), "sigmoid", tree, [])
    columns = [tree.nodes.index("d"), tree.nodes.index("e")]
    torch.testing.assert_close(leaves, chance[:, columns] / chance[:, columns].sum())
    far = leaf_probabilities(torch.full((1, 5), -1e4), "sigmoid", tree, [])
    torch.testing.assert_close(far, torch.tensor([[0.5, 0.5]]))
    logits = torch.tensor([[1.0, 3.0]])
    torch.testing.assert_close(leaf_probabilities(logits, "hce", tree, []), logits.softmax(1))


@pytest.mark.parametrize("coefficient", [0.05, 1.0, 3.0])
def test_reversal_changes_sign_and_scale_of_the_gradient_alone(coefficient):
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = reverse_gradient(x, coefficient)
    assert torch.equal(y, x)
    (y**2).sum().backward()
    torch.testing.assert_close(x.grad, -coefficient * 2 * x.detach())


def gradients(network, view, name):
    network.zero_grad()
    network.tasks(view)[0][name].total.backward()
    return {key: p.grad.clone() for key, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_behind_a_reversal_the_head_learns_what_the_encoder_unlearns(several, objective):
    donor = {"label": "donor_id", "loss": "focal"}
    plain, view, _ = several(objective, [donor])
    reversed_, _, _ = several(objective, [donor | {"reversal": 0.25}])
    ahead, back = (gradients(network, view, "donor_id_focal") for network in (plain, reversed_))
    assert ahead.keys() == back.keys()
    for name, gradient in ahead.items():
        factor = 1 if name.startswith("label_heads") else -0.25
        torch.testing.assert_close(back[name], factor * gradient, msg=name)
    assert any(gradient.abs().sum() > 0 for name, gradient in ahead.items() if name.startswith("encoder"))


def test_each_head_reads_its_own_cls_under_wced_and_all_the_first_under_mlm(several):
    for objective, expected in (("wced", [1, 2, 3, 4]), ("mlm", [0, 0, 0, 0])):
        network, view, _ = several(objective)
        for head, k in zip(HEADS, expected, strict=True):
            hidden = network.encode(view).detach().requires_grad_()
            network.label_logits(hidden, view)[head["label"]].sum().backward()
            np.testing.assert_array_equal(hidden.grad.abs().sum(1).nonzero().flatten(), view.cls[:, k])


@pytest.mark.parametrize("objective", ["mlm", "wced"])
def test_tasks_of_several_heads(several, objective):
    network, view, cells = several(objective)
    tasks, _ = network.tasks(view)
    names = ["cell_type_sigmoid", "tissue_focal", "sex_cross_entropy", "donor_id_focal"]
    assert list(tasks) == ["value", "is_zero", *names]
    logits = network.label_logits(network.encode(view), view)
    want = flat_sum(logits["tissue"], cells.labels["tissue"], 2.0)
    torch.testing.assert_close(tasks["tissue_focal"].total, want[0], rtol=1e-4, atol=1e-5)
    for name, head in zip(names, HEADS, strict=True):
        assert tasks[name].count == (cells.labels[head["label"]] >= 0).sum()
    several_cls = ("cls", "cls_0", "cls_1", "cls_2", "cls_3", "mean", "concat_cls")
    poolings = several_cls if objective == "wced" else ("cls", "mean")
    assert network.settings.poolings == poolings


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        ([{"label": "sex"}], "cell_type"),
        ([{"label": "tissue", "loss": "hce"}], "cell_type"),
        ([{"label": "tissue", "loss": "sigmoid"}], "cell_type"),
        ([{"label": "age", "loss": "focal"}], "donor_id"),
        ([{"label": "sex", "loss": "focal", "gamma": 0.5}], "greater than or equal to 1"),
        ([{"label": "cell_type"}, {"label": "cell_type", "loss": "focal"}], "twice"),
    ],
)
def test_heads_that_make_no_sense_are_refused(bmfm, heads, words):
    with pytest.raises(ValidationError, match=words):
        Bmfm.model_validate(bmfm().model_dump() | {"heads": heads})


def test_weights_follow_the_epochs():
    head = Focal(label="sex", loss="focal", weight=2.0, from_epoch=3, reweight={5: 0.5, 7: 0.0})
    assert [head.weight_at(epoch) for epoch in range(9)] == [0, 0, 0, 2, 2, 0.5, 0.5, 0, 0]
    assert [Focal(label="sex", loss="focal").weight_at(epoch) for epoch in (0, 100)] == [1, 1]


def test_a_head_of_weight_zero_changes_nothing_and_still_has_gradients(several):
    later = {"label": "tissue", "loss": "focal", "from_epoch": 3}
    network, view, _ = several(heads=[later])
    tasks, _ = network.tasks(view, epoch=2)
    counts = {name: task.count for name, task in tasks.items()}
    loss = combine(tasks, counts)
    others = {name: task for name, task in tasks.items() if name != "tissue_focal"}
    torch.testing.assert_close(loss, combine(others, counts))
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        if name.startswith("label_heads"):
            assert not parameter.grad.any()
    after, _ = network.tasks(view, epoch=3)
    assert combine(after, counts) != loss
