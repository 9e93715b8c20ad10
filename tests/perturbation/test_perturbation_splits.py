"""What is held out, and that training cells tell nothing of it."""

import numpy as np
import pytest

from scfm.errors import ScfmError
from scfm.perturbation import CONTROL, Holdout, check_leaks, hold_out
from scfm.perturbation.cells import partners

SINGLES = [f"S{i}" for i in range(12)]
PAIRS = [f"S{i}+S{j}" for i, j in ((0, 1), (2, 3), (4, 5), (0, 2), (6, 7), (8, 9))]
HALF_SEEN = ["S0+U0", "S3+U1", "S10+U2"]
NOT_SEEN = ["U3+U4", "U4+U5"]


@pytest.fixture
def screen_of_three(screened):
    names = [CONTROL, *SINGLES, *PAIRS, *HALF_SEEN, *NOT_SEEN]
    return screened({(b, name): 3 for b in "ABC" for name in names}, genes=3).obs


def sides_of(obs, **settings):
    return hold_out(obs, Holdout(**settings))[""]


def names_of(obs, sides, *wanted):
    return set(obs["perturbation"][np.isin(sides, wanted)]) - {CONTROL}


@pytest.mark.parametrize("seed", range(5))
def test_held_out_perturbations_and_their_combinations_are_not_trained_on(screen_of_three, seed):
    sides = sides_of(screen_of_three, kind="perturbations", test=0.25, seed=seed)
    held = names_of(screen_of_three, sides, "test")
    assert len(held) == 3
    assert held < set(SINGLES)
    for name in names_of(screen_of_three, sides, "train"):
        assert not partners(name) & held
    left_out = names_of(screen_of_three, sides, "")
    assert left_out == {name for name in (*PAIRS, *HALF_SEEN) if partners(name) & held}
    assert set(sides[screen_of_three["perturbation"] == CONTROL]) == {"train"}
    assert set(screen_of_three["background"][sides == "test"]) == set("ABC")


def test_a_prompt_shows_a_perturbation_in_other_backgrounds_only(screen_of_three):
    sides = sides_of(screen_of_three, kind="perturbations", prompted=True, seed=1)
    held = names_of(screen_of_three, sides, "test")
    assert held == names_of(screen_of_three, sides, "prompt")
    assert not held & set().union(*map(partners, names_of(screen_of_three, sides, "train")))
    for name in held:
        own = (screen_of_three["perturbation"] == name).to_numpy()
        asked = set(screen_of_three["background"][own & (sides == "test")])
        assert len(asked) == 1
        assert set(screen_of_three["background"][own & (sides == "prompt")]) == set("ABC") - asked


@pytest.mark.parametrize(
    ("seen", "candidates"), [(2, PAIRS), (1, PAIRS + HALF_SEEN), (0, PAIRS + HALF_SEEN + NOT_SEEN)]
)
@pytest.mark.parametrize("seed", range(5))
def test_partners_of_held_out_combinations_are_seen_as_promised(screen_of_three, seen, candidates, seed):
    sides = sides_of(screen_of_three, kind="combinations", seen=seen, test=0.5, seed=seed)
    held, trained = (names_of(screen_of_three, sides, side) for side in ("test", "train"))
    assert held
    assert held <= set(candidates)
    known = set().union(*map(partners, trained))
    for name in held:
        alone = {one for one in partners(name) if one in trained}
        assert len(alone) == seen
        assert len(partners(name) & known) == seen  # the others stand in no training cell at all


def test_held_out_backgrounds_are_known_by_their_controls(screen_of_three):
    folds = hold_out(screen_of_three, Holdout(kind="backgrounds", folds=3))
    assert list(folds) == ["0", "1", "2"]
    held = []
    for sides in folds.values():
        background, control = (screen_of_three[name] for name in ("background", "perturbation"))
        (test,) = set(background[sides == "test"])
        held.append(test)
        assert test not in set(background[sides == "train"])
        assert set(sides[(background == test) & (control == CONTROL)]) == {"query"}
        assert set(sides[(background == test) & (control != CONTROL)]) == {"test"}
    assert sorted(held) == ["A", "B", "C"]


def test_folds_hold_each_perturbation_out_once(screen_of_three):
    folds = hold_out(screen_of_three, Holdout(folds=4))
    held = [names_of(screen_of_three, sides, "test") for sides in folds.values()]
    assert sorted(name for names in held for name in names) == sorted(SINGLES)
    folds = hold_out(screen_of_three, Holdout(kind="combinations", folds=6))
    assert {name for sides in folds.values() for name in names_of(screen_of_three, sides, "test")} == set(PAIRS)


def test_the_seed_decides(screen_of_three):
    first, again, other = (sides_of(screen_of_three, kind="perturbations", seed=seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(
    ("settings", "leak"),
    [
        ({"kind": "perturbations"}, lambda obs, sides: obs["perturbation"].isin(names_of(obs, sides, "test"))),
        ({"kind": "perturbations"}, lambda obs, sides: sides == ""),
        ({"kind": "perturbations", "prompted": True}, lambda obs, sides: sides == "prompt"),
        ({"kind": "combinations", "seen": 2}, lambda obs, sides: sides == "test"),
        ({"kind": "combinations", "seen": 1}, lambda obs, sides: sides == ""),
        ({"kind": "combinations", "seen": 0}, lambda obs, sides: sides == ""),
        ({"kind": "backgrounds"}, lambda obs, sides: sides == "test"),
    ],
)
def test_a_leaking_cell_is_found(screen_of_three, settings, leak):
    settings = Holdout(**settings)
    sides = hold_out(screen_of_three, settings)[""]
    check_leaks(screen_of_three, sides, settings)
    # Every one of these cells is a leak by itself; all cells of a pair stay tested but one.
    rows = np.flatnonzero(leak(screen_of_three, sides))
    for row in rows[:: max(1, len(rows) // 5)]:
        leaking = sides.copy()
        leaking[row] = "train"
        with pytest.raises(ScfmError, match="leaks into training"):
            check_leaks(screen_of_three, leaking, settings)


def test_a_prompt_of_the_query_itself_is_a_leak(screen_of_three):
    settings = Holdout(prompted=True)
    sides = hold_out(screen_of_three, settings)[""]
    sides[np.flatnonzero(sides == "test")[0]] = "prompt"
    with pytest.raises(ScfmError, match="leaks into training"):
        check_leaks(screen_of_three, sides, settings)


def test_controls_that_are_held_out_are_refused(screen_of_three):
    settings = Holdout(kind="backgrounds")
    sides = hold_out(screen_of_three, settings)[""]
    sides[sides == "query"] = ""
    with pytest.raises(ScfmError, match="controls must be known"):
        check_leaks(screen_of_three, sides, settings)


@pytest.mark.parametrize(
    ("conditions", "settings", "words"),
    [
        ({("A", CONTROL): 3, ("A", "x"): 3}, {}, "1 perturbations where 2"),
        ({("A", CONTROL): 3, ("A", "x"): 3}, {"kind": "backgrounds"}, "1 backgrounds where 2"),
        ({("A", CONTROL): 3, ("A", "x+y"): 3}, {"kind": "combinations"}, "0 combinations with 2 partners"),
        ({("A", CONTROL): 3, ("A", "x"): 3, ("A", "y"): 3}, {"prompted": True}, "of two backgrounds"),
        ({("A", CONTROL): 3, ("A", "x"): 3, ("A", "y"): 3}, {"folds": 3}, "2 perturbations where 3"),
    ],
)
def test_too_little_to_hold_out_is_a_sentence(screened, conditions, settings, words):
    with pytest.raises(ScfmError, match=words):
        hold_out(screened(conditions, genes=3).obs, Holdout(**settings))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "backgrounds", "prompted": True}, "prompted is for held-out perturbations"),
        ({"kind": "combinations", "seen": 1, "folds": 2}, "folds need combinations with two seen"),
    ],
)
def test_options_that_do_not_fit_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Holdout(**settings)
