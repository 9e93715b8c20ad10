"""The FiLM head on frozen donor vectors: what a condition makes of a donor, learnt from those seen with and without."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from scfm.models.pulsar.heads import FilmHead
from scfm.models.pulsar.settings import Film

HIDDEN, MOST_STEPS, EVERY, RATE, DECAY = 64, 150, 10, 1e-3, 1e-2
"""Width of the layer that reads the condition; most updates, of all pairs at once, and between two looks at donors that
are put aside; rate and weight decay of AdamW (ours)."""
ASIDE = 4
"""One donor in so many is put aside to choose the number of updates."""


def fit_change(
    before: np.ndarray, after: np.ndarray, condition: np.ndarray, donor: np.ndarray, seed: int
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Learn vectors of treated samples from those of the same donors' controls; the vectors themselves stay.

    Conditions are told apart by one element each, for want of vectors of cytokines. The head starts with no change,
    learns by the squared error on elements scaled by their spread, and stops after as many updates as served donors
    that were put aside best: none, where it learnt nothing that holds for others.

    Args:
        before, after: float [pairs, width]. condition: float [pairs, conditions], one for each pair.
        donor: int [pairs].

    Returns:
        Function of such vectors and conditions to the treated vectors, float64 [samples, width].
    """
    mean, spread = before.mean(0), np.concatenate([before, after]).std(0)
    spread = np.where(spread > 1e-12, spread, 1)
    x, y, told = (_tensor(part) for part in ((before - mean) / spread, (after - mean) / spread, condition))
    names = np.random.default_rng(seed).permutation(np.unique(donor))
    aside = torch.from_numpy(np.isin(donor, names[: max(1, len(names) // ASIDE)]))
    errors = [
        (head(x[aside], told[aside]) - y[aside]).square().mean().item()
        for head in _course(x[~aside], y[~aside], told[~aside], seed)
    ]
    best = int(np.argmin(errors))
    head = next(head for number, head in enumerate(_course(x, y, told, seed)) if number == best)

    def change(vectors: np.ndarray, conditions: np.ndarray) -> np.ndarray:
        start = _tensor((vectors - mean) / spread)
        with torch.no_grad():
            changed = head(start, _tensor(conditions)) - start  # exactly 0 where nothing was learnt
        return vectors + changed.numpy() * spread

    return change


def _course(x: Tensor, y: Tensor, told: Tensor, seed: int) -> Iterator[FilmHead]:
    """The head at its start and after every so many updates."""
    settings = Film(condition="", donor="", width=told.shape[1], condition_hidden=HIDDEN)
    head, generator = FilmHead(settings, x.shape[1]), torch.Generator().manual_seed(seed)
    head.initialise(generator)
    nn.init.zeros_(head.out.weight)
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)  # drawn from the process's generator otherwise
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    for step in range(MOST_STEPS + 1):
        if step % EVERY == 0:
            yield head
        optimizer.zero_grad()
        (head(x, told, generator) - y).square().mean().backward()
        optimizer.step()


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
