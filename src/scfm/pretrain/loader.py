"""Batches of cells: what they hold depends on seed, epoch, rank and world size alone, not on workers or resuming."""

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from scfm.corpus import Reader
from scfm.errors import ScfmError
from scfm.models.cells import Cells
from scfm.pretrain.stop import ignore_stop, spare_new_processes

BLOCK = 64
"""Neighbouring cells that stay in one window; read together, they cost little more than one."""
WINDOW = 1024
"""Blocks of a window: 65,536 cells, about half a gigabyte of the paper's corpus."""


def read_cells(
    corpus: Reader,
    order: np.ndarray,
    edges: np.ndarray,
    labels: dict[str, np.ndarray],
    sets: np.ndarray | None = None,
) -> Iterator[Cells]:
    """Ragged batches of raw counts in narrow integers, one after the other.

    Args:
        order: rows of the corpus. edges: int64 [batches, 2], start and stop of each batch within `order`.
        labels: one value, or row of values, for each row of the corpus.
        sets: int64 [places in `order`], ascending; gives the label `set`, which each batch numbers from 0.
    """

    def spans() -> Iterator[np.ndarray]:
        return (order[start:stop] for start, stop in edges)

    # Two passes over the spans: a reader may run ahead.
    for (start, stop), (gene, count, lengths) in zip(edges, corpus.stream(spans()), strict=True):
        rows = order[start:stop]
        own = {name: torch.from_numpy(codes[rows]) for name, codes in labels.items()}
        if sets is not None:
            own["set"] = torch.from_numpy(sets[start:stop] - sets[start])
        yield Cells(
            torch.from_numpy(gene),
            torch.from_numpy(count),
            torch.from_numpy(lengths),
            torch.from_numpy(corpus.dataset_codes[rows]),
            own,
        )


def window_shuffle(rows: np.ndarray, seed: tuple[int, ...], block: int = BLOCK, window: int = WINDOW) -> np.ndarray:
    """A permutation of `rows` in which cells that are read at the same time lie near each other.

    Blocks of neighbours are dealt to windows at random, and the cells of a window are shuffled; the shards being
    permuted themselves, a window is a random sample of the corpus (of a store, a sample of its blocks). Up to one
    window it is a plain permutation.

    Args:
        rows: int64 [cells], in reading order. block: cells. window: blocks.
    """
    rng = np.random.default_rng(seed)
    if len(rows) <= block * window:
        return rng.permutation(rows)
    blocks = rng.permutation(-(-len(rows) // block))
    order = (blocks[:, None] * block + np.arange(block)).ravel()
    order = order[order < len(rows)]
    for start in range(0, len(order), block * window):
        rng.shuffle(order[start : start + block * window])
    return rows[order]


class EqualCells:
    """Micro-batches of so many cells; what is left of an incomplete update is not used in that epoch.

    Args:
        cells: cells of all of them. multiple: micro-batches of one update over all ranks.
    """

    def __init__(self, cells: int, batch_cells: int, multiple: int) -> None:
        self.batch_cells = batch_cells
        self.batches = cells // (batch_cells * multiple) * multiple

    def __call__(self, order: np.ndarray) -> np.ndarray:
        """Edges of the micro-batches within an epoch's order of cells, ascending int64 [batches + 1]."""
        return np.arange(self.batches + 1) * self.batch_cells


class EqualTokens:
    """Micro-batches of about equally many tokens, none above a budget; every cell is used in each epoch.

    The order is cut at equal shares of its tokens. A batch then exceeds its share by less than the longest cell, so
    that shares of budget - longest keep within the budget, whatever the order.

    Args:
        tokens: int64, tokens of each row of the corpus. rows: those that are dealt out.

    Raises:
        ScfmError: the budget is below three times the longest cell.
    """

    def __init__(self, tokens: np.ndarray, rows: np.ndarray, budget: int, multiple: int) -> None:
        self.tokens = tokens
        self.total, longest = (int(f(tokens[rows])) if len(rows) else 0 for f in (np.sum, np.max))
        if budget < 3 * longest:
            raise ScfmError(
                f"training.batch_tokens: {budget:,} is below three times the longest cell ({longest:,} tokens); give "
                f"at least {3 * longest:,}, or lower input.tokens"
            )
        batches = -(-self.total // ((budget - longest) * multiple)) * multiple if self.total else 0
        # No batch is empty as long as no share is shorter than the longest cell.
        self.batches = batches if batches * longest <= self.total else 0

    def __call__(self, order: np.ndarray) -> np.ndarray:
        """As of `EqualCells`; the number of batches is the same for every order."""
        starts = np.cumsum(self.tokens[order]) - self.tokens[order]
        number = np.arange(self.batches + 1)
        share, rest = divmod(self.total, max(self.batches, 1))
        return np.searchsorted(starts, number * share + number * rest // max(self.batches, 1))


class Updates(IterableDataset):
    """The updates of one epoch from `first` on: lists of micro-batches.

    Args:
        order: rows of the corpus in the epoch's order.
        edges: of the micro-batches within `order`; their number is a multiple of `accumulate * world`.
        sets: as in `read_cells`.
    """

    def __init__(
        self,
        corpus: Reader,
        order: np.ndarray,
        edges: np.ndarray,
        labels: dict[str, np.ndarray],
        accumulate: int,
        first: int = 0,
        rank: int = 0,
        world: int = 1,
        sets: np.ndarray | None = None,
    ) -> None:
        self.corpus, self.order, self.edges, self.labels, self.sets = corpus, order, edges, labels, sets
        self.accumulate, self.first, self.rank, self.world = accumulate, first, rank, world

    def __len__(self) -> int:
        """Updates of the whole epoch."""
        return (len(self.edges) - 1) // (self.accumulate * self.world)

    def __iter__(self) -> Iterator[list[Cells]]:
        worker = torch.utils.data.get_worker_info()
        offset, step = (worker.id, worker.num_workers) if worker else (0, 1)
        batches = np.arange(len(self.edges) - 1).reshape(len(self), self.world, self.accumulate)
        mine = batches[self.first + offset :: step, self.rank]
        edges = np.column_stack([self.edges[mine.ravel()], self.edges[mine.ravel() + 1]])
        cells = read_cells(self.corpus, self.order, edges, self.labels, self.sets)
        for _ in mine:
            yield list(islice(cells, self.accumulate))


def load(updates: Updates, workers: int) -> Iterator[list[Cells]]:
    """The updates, prepared in so many processes; 0 prepares them in this one."""
    start = updates.corpus.start_method
    prefetch = {"prefetch_factor": 4, "worker_init_fn": ignore_stop, "multiprocessing_context": start}
    loader = DataLoader(updates, batch_size=None, num_workers=workers, **(prefetch if workers else {}))
    with spare_new_processes() if workers and start else nullcontext():
        return iter(loader)


class Batches(IterableDataset):
    """The validation cells in the order given, dealt to the ranks batch by batch.

    Args:
        edges: of the batches within `order`. sets: as in `read_cells`.
    """

    def __init__(
        self,
        corpus: Reader,
        order: np.ndarray,
        edges: np.ndarray,
        labels: dict[str, np.ndarray],
        rank: int = 0,
        world: int = 1,
        sets: np.ndarray | None = None,
    ) -> None:
        self.corpus, self.order, self.labels, self.sets = corpus, order, labels, sets
        self.edges = np.column_stack([edges[:-1], edges[1:]])[rank::world]

    def __len__(self) -> int:
        return len(self.edges)

    def __iter__(self) -> Iterator[Cells]:
        return read_cells(self.corpus, self.order, self.edges, self.labels, self.sets)
