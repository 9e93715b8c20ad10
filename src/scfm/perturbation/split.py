"""What is held out: perturbations, combinations by partners seen, or backgrounds; seeded, and checked for leaks."""

from typing import TYPE_CHECKING

import numpy as np

from scfm.errors import ScfmError
from scfm.perturbation.cells import CONTROL, conditions, partners
from scfm.perturbation.settings import Holdout

if TYPE_CHECKING:
    import pandas as pd

TRAIN, PROMPT, QUERY, TEST, OUT = "train", "prompt", "query", "test", ""
"""Sides of a cell: trained on; shown when predicting only; control of a held-out background, which predictions start
from; predicted; and left out, because it tells of what is held out."""


def hold_out(obs: "pd.DataFrame", settings: Holdout) -> dict[str, np.ndarray]:
    """Side of each cell for each fold.

    Args:
        obs: of `scfm.perturbation.cells.screen`: perturbation, background.

    Returns:
        Fold ("" for a single split) to strings [cells], free of leaks by `check_leaks`.

    Raises:
        ScfmError: nothing of the kind can be held out, or too few for the folds.
    """
    rng = np.random.default_rng(settings.seed)
    parts = {"perturbations": _perturbations, "combinations": _combinations, "backgrounds": _backgrounds}
    folds = {}
    for number, held in enumerate(parts[settings.kind](obs, settings, rng)):
        sides = held.astype(str)
        check_leaks(obs, sides, settings)
        folds[str(number) if settings.folds else ""] = sides
    return folds


def check_leaks(obs: "pd.DataFrame", sides: np.ndarray, settings: Holdout) -> None:
    """Raise if training cells tell of what is held out.

    Raises:
        ScfmError: they do; there is no test cell or no training cell; a test cell has no control to start from; or a
            combination has not as many partners seen as promised.
    """
    perturbation, background = (obs[name].astype(str).to_numpy(object) for name in ("perturbation", "background"))
    train, test, shown = sides == TRAIN, sides == TEST, np.isin(sides, (TRAIN, QUERY))
    for side, there in ((TRAIN, train), (TEST, test)):
        if not there.any():
            raise ScfmError(
                f"held-out {settings.kind}: no cell is in the part '{side}'; lower test, or hold out others"
            )
    bare = set(background[test]) - set(background[shown & (perturbation == CONTROL)])
    if bare or (perturbation[test] == CONTROL).any():
        raise ScfmError(
            f"held-out {settings.kind}: {sorted(bare or {CONTROL})[0]}: controls must be known, not held out"
        )
    trained = set(perturbation[train]) - {CONTROL}
    seen = frozenset().union(*map(partners, trained))
    held = set(perturbation[test])
    if settings.kind == "backgrounds":
        leaks = set(background[test]) & set(background[train])
    elif settings.kind == "perturbations":
        leaks = frozenset().union(*map(partners, held)) & seen
        leaks |= {f"{p} in {b}" for b, p in set(_pairs(obs[sides == PROMPT])) & set(_pairs(obs[test]))}
    else:
        alone = {name for name in trained if len(partners(name)) == 1}
        wrong = {name for name in held if len(partners(name) & alone) != settings.seen}
        leaks = (held & trained) | wrong
        leaks |= frozenset().union(*(partners(name) - alone for name in held)) & seen
    if leaks:
        raise ScfmError(
            f"held-out {settings.kind}: '{sorted(leaks)[0]}' leaks into training; make the split with hold_out, or "
            "leave the cells that tell of it out"
        )


def _pairs(obs: "pd.DataFrame") -> list[tuple[str, str]]:
    return list(conditions(obs).itertuples(index=False, name=None))


def _parts(names: list, settings: Holdout, rng: np.random.Generator, what: str) -> list[list]:
    """Parts of the names to hold out one after the other, each leaving something to train on.

    All combinations may be held out: their partners are left.

    Raises:
        ScfmError: there are fewer names than that takes, or fewer than folds.
    """
    spared = settings.kind != "combinations"
    least = settings.folds or 1 + spared
    if len(names) < least:
        raise ScfmError(
            f"held-out {settings.kind}: {len(names)} {what} where {least} are needed; choose another kind, or "
            "fewer folds"
        )
    order = [names[i] for i in rng.permutation(len(names))]
    if settings.folds:
        return [order[start :: settings.folds] for start in range(settings.folds)]
    return [order[: min(max(1, round(settings.test * len(names))), len(names) - spared)]]


def _perturbations(obs: "pd.DataFrame", settings: Holdout, rng: np.random.Generator) -> list[np.ndarray]:
    pairs = _pairs(obs)
    where: dict[str, list[str]] = {}
    for background, name in pairs:
        if len(partners(name)) == 1:
            where.setdefault(name, []).append(background)
    singles = [name for name, places in where.items() if len(places) > 1 or not settings.prompted]
    out = []
    for held in _parts(sorted(singles), settings, rng, "perturbations" + " of two backgrounds" * settings.prompted):
        asked = {name: where[name][rng.integers(len(where[name]))] for name in held} if settings.prompted else {}
        side = {(b, name): TEST if asked.get(name, b) == b else PROMPT for name in held for b in where[name]}
        side |= {(b, name): OUT for b, name in pairs if len(partners(name)) > 1 and partners(name) & set(held)}
        out.append(_sides(obs, side))
    return out


def _backgrounds(obs: "pd.DataFrame", settings: Holdout, rng: np.random.Generator) -> list[np.ndarray]:
    names = sorted({background for background, _ in _pairs(obs)})
    out = []
    for held in _parts(names, settings, rng, "backgrounds"):
        side = {(b, name): TEST for b, name in _pairs(obs) if b in held} | {(b, CONTROL): QUERY for b in held}
        out.append(_sides(obs, side))
    return out


def _combinations(obs: "pd.DataFrame", settings: Holdout, rng: np.random.Generator) -> list[np.ndarray]:
    pairs = _pairs(obs)
    names = {name for _, name in pairs}
    alone = {name for name in names if len(partners(name)) == 1}
    doubles = sorted(name for name in names if len(partners(name)) == 2)
    doubles = [name for name in doubles if len(partners(name) & alone) >= settings.seen]
    out = []
    for held in _parts(doubles, settings, rng, f"combinations with {settings.seen} partners measured alone"):
        asked, unseen = _with_unseen(held, alone, settings.seen, rng)
        side = {(b, name): OUT for b, name in pairs if partners(name) & unseen}
        side |= {(b, name): TEST for b, name in pairs if name in asked}
        out.append(_sides(obs, side))
    return out


def _with_unseen(
    doubles: list[str], alone: set[str], seen: int, rng: np.random.Generator
) -> tuple[set[str], frozenset[str]]:
    """(combinations to ask for, partners that training must not see), as many as do not contradict each other.

    A partner that was never measured alone is the first choice for one that is not seen: it takes least from training.
    """
    asked: set[str] = set()
    known, unseen = frozenset(), frozenset()
    for name in doubles:
        order = sorted(sorted(partners(name)), key=lambda one: (one in unseen, one not in alone, rng.random()))
        keep, drop = frozenset(order[:seen]), frozenset(order[seen:])
        if keep <= alone and not keep & unseen and not drop & known:
            asked, known, unseen = asked | {name}, known | keep, unseen | drop
    return asked, unseen


def _sides(obs: "pd.DataFrame", side: dict[tuple[str, str], str]) -> np.ndarray:
    """Side of each cell by its (background, perturbation); training where none is named."""
    keys = zip(obs["background"].astype(str), obs["perturbation"].astype(str), strict=True)
    return np.array([side.get(key, TRAIN) for key in keys], dtype=object)
