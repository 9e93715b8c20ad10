import numpy as np
import pytest
import torch

from scfm.models.bmfm.hce import hce_sum
from scfm.ontology import LabelTree

PARENTS = {
    "cell": (),
    "a": ("cell",),
    "b": ("cell",),
    "c": ("a", "b"),  # two parents: a sum over paths would count its leaves twice
    "w": ("a",),
    "x": ("c",),
    "y": ("c", "b"),
    "z": ("b",),
}


@pytest.fixture
def tree():
    return LabelTree({term: term for term in PARENTS}, PARENTS)


@pytest.fixture
def membership(tree):
    return torch.from_numpy(tree.membership)


def below(node):
    """Leaves at or below a node by walking down, in a set."""
    children = [term for term, above in PARENTS.items() if node in above]
    return set().union(*map(below, children)) if children else {node}


def brute_force(logits, label):
    leaves = sorted(term for term in PARENTS if below(term) == {term} and term in "wxyz")
    odds = {leaf: np.exp(np.float64(value)) for leaf, value in zip(leaves, logits, strict=True)}
    return -np.log(sum(odds[leaf] for leaf in below(label)) / sum(odds.values()))


def test_loss_is_minus_log_of_the_mass_below_the_label(tree, membership):
    rng = np.random.default_rng(0)
    labels = tree.nodes * 5
    logits = rng.normal(0, 4, (len(labels), len(tree.leaves)))
    expected = [brute_force(row, label) for row, label in zip(logits, labels, strict=True)]
    for row, label, want in zip(logits, labels, expected, strict=True):
        total, count = hce_sum(torch.tensor(row[None]), torch.tensor([tree.nodes.index(label)]), membership)
        assert total.item() == pytest.approx(want, rel=1e-10, abs=1e-12)
        assert count == 1
    total, count = hce_sum(torch.from_numpy(logits), torch.tensor([tree.nodes.index(t) for t in labels]), membership)
    assert total.item() == pytest.approx(sum(expected), rel=1e-10)
    assert count == len(labels)


def test_cells_without_label_contribute_nothing(tree, membership):
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    x = tree.nodes.index("x")
    total, count = hce_sum(logits, torch.tensor([-1, x, -1, -1]), membership)
    alone, _ = hce_sum(logits[1:2], torch.tensor([x]), membership)
    assert total.item() == alone.item()
    assert count == 1
    total.backward()
    assert logits.grad[1].abs().sum() > 0
    assert not logits.grad[[0, 2, 3]].any()
    nothing, none = hce_sum(logits, torch.full((4,), -1), membership)
    assert nothing.item() == 0
    assert none == 0


@pytest.mark.parametrize("gap", [200.0, -200.0, 1e4])
def test_wide_gaps_stay_finite(tree, membership, gap):
    logits = torch.zeros(len(tree.nodes), 4)
    logits[:, tree.leaves.index("z")] = gap
    logits.requires_grad_()
    nodes = torch.arange(len(tree.nodes))
    total, _ = hce_sum(logits, nodes, membership)
    total.backward()
    assert total.isfinite()
    assert logits.grad.isfinite().all()
    x = tree.nodes.index("x")
    alone, _ = hce_sum(logits[x : x + 1], torch.tensor([x]), membership)
    assert alone.item() == pytest.approx(max(gap, 0) if gap > 0 else np.log(3), rel=1e-5)


def test_the_root_is_always_right(tree, membership):
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)) * 50
    root = torch.full((6,), tree.nodes.index("cell"))
    total, count = hce_sum(logits, root, membership)
    assert total.item() == 0
    assert count == 6
