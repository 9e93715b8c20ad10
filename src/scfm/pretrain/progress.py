"""The state of a training every few seconds: a line, and figures for the log of its steps."""

import resource
import sys
import time

import torch
from torch import Tensor

from scfm.models.cells import Cells

COUNTS = ("cells", "tokens", "flops", "possible", "wait_s", "busy_s")
"""What adds up over a training, its interruptions included."""


class Progress:
    """Measures throughput, loader wait, use of the device's arithmetic, memory and the time left.

    Args:
        name: run and seed. updates, epochs: of the whole training.
        device: whose memory is reported; of a CPU, that of the process.
        every_s: seconds between two reports.
    """

    peak = float("nan")
    """Operations a second of the device at best, once measured."""

    def __init__(self, name: str, updates: int, epochs: int, device: torch.device, every_s: float = 20.0) -> None:
        self.name, self.updates, self.epochs, self.device, self.every_s = name, updates, epochs, device, every_s
        self.cells = self.tokens = self.done = 0
        self.flops: float | Tensor = 0.0  # of this process, by closed form
        self.possible = self.wait_s = self.busy_s = 0.0
        self.start = self.last = time.monotonic()
        self._reported = dict.fromkeys(COUNTS, 0.0)

    def state_dict(self) -> dict[str, float]:
        """Work and time spent so far, so that a resumed run reports the whole of it."""
        return {name: float(getattr(self, name)) for name in COUNTS}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take back what `state_dict` gave."""
        vars(self).update(state)
        self._reported = dict(state)

    def enter(self) -> None:
        """An epoch begins."""
        self.left = time.monotonic()

    def begin(self) -> None:
        """A batch has come."""
        self.entered = time.monotonic()
        self.wait_s += self.entered - self.left
        self.possible += (self.entered - self.left) * self.peak

    def end(self, update: list[Cells], ranks: int) -> None:
        """An update is done."""
        self.left = time.monotonic()
        self.busy_s += self.left - self.entered
        self.possible += (self.left - self.entered) * self.peak
        self.cells += sum(len(cells.lengths) for cells in update) * ranks
        self.done += 1

    def due(self, step: int) -> bool:
        """Whether it is time for a report, which the last step always has."""
        if self.left - self.last > self.every_s or step == self.updates:
            self.last = self.left
            return True
        return False

    def report(self, step: int, epoch: int) -> dict[str, float]:
        """Print the line of the whole training so far; figures as of `speed` since the last report.

        Args:
            step, epoch: updates and epochs done.
        """
        print(self._line(step, epoch), file=sys.stderr, flush=True)
        now = self.state_dict()
        recent = self._speed({name: now[name] - self._reported[name] for name in COUNTS})
        self._reported = now
        return recent

    def _line(self, step: int, epoch: int) -> str:
        speed = self.speed()
        eta = (self.left - self.start) / self.done * (self.updates - step)
        return (
            f"{self.name}: epoch {epoch + 1}/{self.epochs}, step {step:,}/{self.updates:,}, "
            f"{speed['cells_per_s']:,.0f} cells/s, {speed['tokens_per_s']:,.0f} tokens/s, "
            f"loader wait {speed['loader_wait']:.0%}, MFU {speed['mfu']:.1%}, "
            f"peak {speed['peak_memory_mb']:,.0f} MB, {eta / 60:.1f} min left"
        )

    def speed(self) -> dict[str, float]:
        """Cells and tokens a second of training steps, share of time spent waiting for batches, model operations as a
        share of what the device could have done in that time (MFU), and peak memory (MB)."""
        return self._speed(self.state_dict())

    def _speed(self, counts: dict[str, float]) -> dict[str, float]:
        spent = max(counts["busy_s"] + counts["wait_s"], 1e-9)
        return {
            "cells_per_s": counts["cells"] / spent,
            "tokens_per_s": counts["tokens"] / spent,
            "loader_wait": counts["wait_s"] / spent,
            "mfu": counts["flops"] / max(counts["possible"], 1.0),
            "peak_memory_mb": self._peak_memory() / 2**20,
        }

    def _peak_memory(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
