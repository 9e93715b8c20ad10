"""Which cells are held out: the published split, or whole batches with their donors by a seeded rule."""

from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.settings import Split
from scfm.benchmarks.subsample import stratified
from scfm.datasets import UNKNOWN
from scfm.errors import ScfmError

if TYPE_CHECKING:
    import pandas as pd

TRAIN, DEV, TEST = "train", "dev", "test"


def hold_out(obs: "pd.DataFrame", settings: Split, dataset: str) -> np.ndarray:
    """Side of each cell.

    Where obs has no published split, whole groups of cells are held out; batches that share a donor are one group. The
    order is random by the seed, but groups go first that pretraining has not seen, then those that take the fewest
    classes away from training, then those that leave it the larger part, then those of several classes. Dev is made of
    further such groups if they take no class away, else it is a stratified part of the training cells.

    Args:
        obs: of a prepared dataset: cell_type, batch, donor, split (published, "" where there is none), contaminated.

    Returns:
        "train", "dev", "test", or "" for cells of unknown type and those that a published split leaves out.

    Raises:
        ScfmError: all cells are of one group, or a published split has another side, lacks train or test, or parts the
            cells of a batch or donor.
    """
    labels, published = (obs[name].astype(str).to_numpy() for name in ("cell_type", "split"))
    known = labels != UNKNOWN
    sides = np.where(known, published, "").astype(object)
    if not (published != "").any():
        rows = np.flatnonzero(known)
        seen = obs["contaminated"].to_numpy(dtype=bool)
        sides[rows] = _by_groups(labels[rows], _groups(obs.iloc[rows]), seen[rows], settings, dataset)
    if not (sides == DEV).any():
        sides[_some_of(np.flatnonzero(sides == TRAIN), labels, settings)] = DEV
    check_sides(obs, sides, dataset)
    return sides.astype(str)


def check_sides(obs: "pd.DataFrame", sides: np.ndarray, dataset: str) -> None:
    """Raise a sentence if a split is none, or if a batch or donor stands on both sides of it.

    Raises:
        ScfmError: it is, or does.
    """
    strange = sorted(set(sides) - {TRAIN, DEV, TEST, ""})
    if strange:
        raise ScfmError(f"dataset '{dataset}': split holds '{strange[0]}'; expected {TRAIN}, {DEV} and {TEST}")
    for side in (TRAIN, TEST):
        if side not in sides:
            raise ScfmError(
                f"dataset '{dataset}': no cell of a known type is in the part '{side}' of its split; name another "
                "split column, or none, and prepare it with one of the tasks of held-out batches"
            )
    for column in ("batch", "donor"):
        values = obs[column].astype(str).to_numpy()
        both = sorted(set(values[sides == TEST]) & set(values[np.isin(sides, (TRAIN, DEV))]) - {UNKNOWN})
        if both:
            raise ScfmError(
                f"dataset '{dataset}': {column} '{both[0]}' stands on both sides of the split; expected whole batches "
                "and donors on one side, leave split_column empty for a split by them"
            )


def sides_of(obs: "pd.DataFrame", dataset: str) -> np.ndarray:
    """Side of each cell as `hold_out` left it in obs["split"], checked again.

    Raises:
        ScfmError: what `check_sides` raises.
    """
    sides = obs["split"].astype(str).to_numpy()
    check_sides(obs, sides, dataset)
    return sides


def describe(obs: "pd.DataFrame", sides: np.ndarray) -> str:
    """Which batches are held out, for the log and the tables."""
    batches = obs["batch"].astype(str).to_numpy()
    held, every = sorted(set(batches[sides == TEST])), set(batches)
    names = ", ".join(held) if len(held) <= 5 else f"{len(held)} of {len(every)} batches"
    cells = ", ".join(f"{side} {np.sum(sides == side):,}" for side in (TRAIN, DEV, TEST))
    return f"held out {names} ({cells} cells)"


def _groups(obs: "pd.DataFrame") -> np.ndarray:
    """int [cells]: cells of one batch, or of one donor, or of batches that are linked by donors, are one group."""
    import pandas as pd
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    batch, donor = (obs[name].astype(str).to_numpy(object) for name in ("batch", "donor"))
    has_batch, has_donor = batch != UNKNOWN, donor != UNKNOWN
    first = np.where(has_batch, "batch " + batch, np.where(has_donor, "donor " + donor, UNKNOWN))
    second = np.where(has_donor, "donor " + donor, first)
    codes, names = pd.factorize(np.concatenate([first, second]))
    left, right = codes[: len(obs)], codes[len(obs) :]
    links = csr_matrix((np.ones(len(obs)), (left, right)), shape=(len(names),) * 2)
    return pd.factorize(connected_components(links, directed=False)[1][left])[0]


def _by_groups(labels: np.ndarray, groups: np.ndarray, seen: np.ndarray, settings: Split, dataset: str) -> np.ndarray:
    """Side of each cell of a known type, dev only where whole groups can be spared for it."""
    counts = np.zeros((groups.max(initial=-1) + 1, len(np.unique(labels))), dtype=np.int64)
    np.add.at(counts, (groups, np.unique(labels, return_inverse=True)[1]), 1)
    if len(counts) < 2:
        raise ScfmError(
            f"dataset '{dataset}': all cells of known types are linked by their batch or donor where held-out batches "
            "need two groups that share neither; take 'heldout' and 'finetune' off its tasks"
        )
    rank = np.random.default_rng(settings.seed).permutation(len(counts))
    was_seen = np.bincount(groups, weights=seen) > 0
    training = np.ones(len(counts), dtype=bool)
    test = _take(counts, training, rank, was_seen & ~was_seen.all(), settings.test, needed=True)
    dev = _take(counts, training, rank, np.zeros_like(was_seen), settings.dev, needed=False)
    return np.where(np.isin(groups, test), TEST, np.where(np.isin(groups, dev), DEV, TRAIN))


def _take(
    counts: np.ndarray, training: np.ndarray, rank: np.ndarray, avoid: np.ndarray, share: float, needed: bool
) -> list[int]:
    """Take groups out of `training` until they hold a share of all cells; a costly one only as the first, if needed.

    Args:
        counts: cells [groups, classes]. training: bool [groups], changed in place. rank: random order [groups].
        avoid: bool [groups].
    """
    taken: list[int] = []
    while training.sum() > 1 and counts[taken].sum() < share * counts.sum():
        left = counts[training].sum(0)
        lost = ((left > 0) & (counts == left)).sum(1)
        large = counts.sum(1) > left.sum() / 2
        one_class = (counts > 0).sum(1) == 1
        order = np.lexsort((rank, one_class, large, lost, avoid))
        best = int(order[training[order]][0])
        if (avoid[best] or lost[best] or large[best]) and (taken or not needed):
            break
        taken.append(best)
        training[best] = False
    return taken


def _some_of(rows: np.ndarray, labels: np.ndarray, settings: Split) -> np.ndarray:
    """A stratified part of the training cells, of classes that keep a cell for training."""
    _, codes, sizes = np.unique(labels[rows], return_inverse=True, return_counts=True)
    rows = rows[sizes[codes] > 1]
    return rows[stratified(labels[rows], round(settings.dev * len(rows)), settings.seed)]
