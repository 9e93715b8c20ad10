"""What each batch of an epoch holds: so many cells, so many tokens, or whole sets of cells."""

from typing import NamedTuple, Protocol

import numpy as np

from scfm.corpus import Reader, round_robin
from scfm.errors import ScfmError
from scfm.models.grouping import deal, join
from scfm.models.prepared import Prepared
from scfm.models.system import load_system
from scfm.pretrain.loader import EqualCells, EqualTokens, window_shuffle
from scfm.pretrain.settings import Run


class Epoch(NamedTuple):
    """Cells in the order of one pass, and where its batches begin."""

    order: np.ndarray
    """int64 [cells], rows of the corpus."""
    edges: np.ndarray
    """int64 [batches + 1], ascending places in `order`."""
    labels: dict[str, np.ndarray]
    """Name to one value, or row of values, for each cell of the corpus."""
    sets: np.ndarray | None = None
    """int64 [cells], ascending, the set of each place in `order`; None where cells are read by themselves."""


class Plan(Protocol):
    """The batches of a training."""

    batches: int
    """Batches of each epoch, a multiple of those of one update."""

    def epoch(self, seed: tuple[int, ...]) -> Epoch:
        """A pass over the training cells in an order of its own."""
        ...

    def validation(self, rows: np.ndarray) -> Epoch:
        """A pass over validation cells in an order that stays."""
        ...


def make_plan(run: Run, corpus: Reader, prepared: Prepared, rows: np.ndarray, multiple: int) -> Plan:
    """The plan that a run asks for.

    Args:
        rows: of the training cells. multiple: batches of one update over all devices.

    Raises:
        ScfmError: the budget of tokens is too small, or budgets of tokens are asked of a system of sets.
    """
    if prepared.groups is None:
        return OfCells(run, corpus, prepared, rows, multiple)
    if run.training.batch_tokens is not None:
        raise ScfmError(f"training.batch_tokens: the system '{run.system}' reads sets of cells; give batch_cells")
    return OfSets(run, prepared, rows, multiple)


class OfCells:
    """Batches of single cells, in windows of neighbours or with groups in turns."""

    def __init__(self, run: Run, corpus: Reader, prepared: Prepared, rows: np.ndarray, multiple: int) -> None:
        self.corpus, self.labels, self.cells = corpus, prepared.labels, run.training.validation_cells
        self.rows = corpus.reading_order(rows)
        if run.training.batch_tokens is None:
            self.cut = EqualCells(len(rows), run.training.batch_cells, multiple)
        else:
            tokens = load_system(run.system).tokens(run.model, corpus.cells)
            self.cut = EqualTokens(tokens, rows, run.training.batch_tokens, multiple)
        self.batches = self.cut.batches

    def epoch(self, seed: tuple[int, ...]) -> Epoch:
        order = window_shuffle(self.rows, seed)
        if self.corpus.turns is not None:
            order = round_robin(order, self.corpus.turns[order])
        return Epoch(order, self.cut(order), self.labels)

    def validation(self, rows: np.ndarray) -> Epoch:
        order = self.corpus.reading_order(rows)
        return Epoch(order, np.append(np.arange(0, len(rows), self.cells), len(rows)), self.labels)


class OfSets:
    """Batches of whole sets, as many as fit into `batch_cells` but at least one; a set is drawn from one group.

    Guests, where a system has some, are in no set of their own but join every one.
    """

    def __init__(self, run: Run, prepared: Prepared, rows: np.ndarray, multiple: int) -> None:
        self.prepared, self.rows, training = prepared, rows, run.training
        self.each, self.each_validation = (
            max(1, cells // prepared.set_cells) for cells in (training.batch_cells, training.validation_cells)
        )
        hosts = rows[~np.isin(rows, prepared.guests)]
        sizes = np.bincount(prepared.groups[hosts])
        sets = np.minimum(sizes, 1) if prepared.one_set else -(-sizes // prepared.set_cells)
        self.batches = int(sets.sum()) // (self.each * multiple) * multiple

    def epoch(self, seed: tuple[int, ...]) -> Epoch:
        order, sets = self._dealt(self.rows, seed)
        edges = np.searchsorted(sets, np.arange(self.batches + 1) * self.each)
        return Epoch(order, edges, self.prepared.labels, sets)

    def validation(self, rows: np.ndarray) -> Epoch:
        order, sets = self._dealt(rows, (0,))
        number = sets[-1] + 1 if len(sets) else 0
        edges = np.searchsorted(sets, np.append(np.arange(0, number, self.each_validation), number))
        return Epoch(order, edges, self.prepared.labels, sets)

    def _dealt(self, rows: np.ndarray, seed: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Rows in the order of their sets, int64, and the number of each one's set."""
        own = self.prepared
        guest = np.isin(rows, own.guests)
        order, sets = deal(rows[~guest], own.groups, own.set_cells, seed, own.one_set)
        return join(order, sets, rows[guest], own.guest_cells, seed)
