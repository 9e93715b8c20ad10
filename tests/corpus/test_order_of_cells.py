"""Groups that take turns in the order of an epoch."""

from collections import deque

import numpy as np
import pytest

from scfm.corpus.order import round_robin
from scfm.corpus.settings import Layout


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("aabab", [0, 2, 1, 4, 3]),
        ("aaaab", [0, 4, 1, 2, 3]),  # b is used up: a goes on
        ("bacab", [0, 1, 2, 4, 3]),  # turns are b, a, c
        ("abab", [0, 1, 2, 3]),
        ("abba", [0, 1, 3, 2]),  # a is first in every round
        ("aaa", [0, 1, 2]),
        ("", []),
    ],
)
def test_order_of_a_few_cells(groups, expected):
    cells = np.arange(10, 10 + len(groups))
    dealt = round_robin(cells, np.array([ord(group) for group in groups], dtype=np.int64))
    assert dealt.dtype == np.int64
    assert (dealt - 10).tolist() == expected


def by_hand(order, groups):
    hands = {}
    for cell, group in zip(order, groups, strict=True):
        hands.setdefault(group, deque()).append(cell)
    dealt = []
    while any(hands.values()):
        dealt += [hand.popleft() for hand in hands.values() if hand]
    return dealt


@pytest.mark.parametrize("seed", range(10))
def test_cells_are_dealt_as_by_hand(seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(rng.integers(1, 400))
    groups = rng.integers(0, rng.integers(1, 40), size=len(order)) * 7 - 3
    dealt = round_robin(order, groups)
    assert dealt.tolist() == by_hand(order.tolist(), groups.tolist())
    assert sorted(dealt) == list(range(len(order)))


def test_each_epoch_has_its_own_turns():
    groups = np.repeat([0, 1, 2], 50)
    first, second = (np.random.default_rng((0, epoch)).permutation(150) for epoch in (0, 1))
    assert round_robin(first, groups[first]).tolist() != round_robin(second, groups[second]).tolist()


def test_turns_go_with_the_permuted_layout_only():
    assert Layout(round_robin="tissue").round_robin == "tissue"
    with pytest.raises(ValueError, match="does not go with the layout grouped"):
        Layout(kind="grouped", round_robin="tissue")
