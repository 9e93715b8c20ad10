"""Sums and counts of the losses, from which means over any number of batches and processes are exact."""

import torch
from torch import Tensor

from scfm.models.tasks import Task


def several() -> bool:
    """Whether this process trains together with others."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def over_ranks(x: Tensor) -> Tensor:
    """`x` summed over the processes, in a tensor of its own."""
    x = x.clone()
    if several():
        torch.distributed.all_reduce(x)
    return x


def sum_counts(counts: list[dict[str, Tensor]], asked: bool) -> tuple[dict[str, Tensor], bool]:
    """Counts of each loss summed over micro-batches and processes, and whether any process was asked to stop."""
    total = torch.stack([torch.stack([c[name] for c in counts]).sum() for name in counts[0]])
    if several():
        total = over_ranks(torch.cat([total, total.new_tensor([asked])]))
        asked = bool(total[-1])
    return dict(zip(counts[0], total, strict=False)), asked


class LossSums:
    """Sum (float64) and count of each loss, on the device."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin again."""
        self.pairs: dict[str, tuple[Tensor, Tensor]] = {}
        self._seen: dict[str, Tensor] = {}

    def add(self, tasks: dict[str, Task]) -> None:
        """Add one batch."""
        for name, task in tasks.items():
            total, count = self.pairs.get(name, (0, 0))
            self.pairs[name] = (total + task.total.detach().double(), count + task.count)

    def totals(self) -> dict[str, Tensor]:
        """Float64 [2] for each loss, sum and count over all processes, all of which must call it."""
        return {name: over_ranks(_stacked(pair)) for name, pair in self.pairs.items()}

    def load(self, totals: dict[str, Tensor], device: torch.device) -> None:
        """Take back what `totals` gave, in one process alone."""
        self.pairs = {name: tuple(pair.to(device)) for name, pair in totals.items()}

    def recent(self) -> dict[str, float]:
        """Means of this process's batches since the last call, of the losses that had a target."""
        means = {}
        for name, pair in self.pairs.items():
            now = _stacked(pair)
            total, count = (now - self._seen.get(name, 0)).tolist()
            self._seen[name] = now
            if count:
                means[name] = total / count
        return means


def _stacked(pair: tuple[Tensor, Tensor]) -> Tensor:
    return torch.stack([x.double() for x in pair])
