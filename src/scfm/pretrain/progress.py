"""One line on the state of a training every few seconds."""

import resource
import sys
import time

from scfm.models.bmfm.view import Cells


class Progress:
    """Prints throughput, loader wait, memory and the time left; keeps them for `metrics.csv`."""

    def __init__(self, name: str, updates: int, epochs: int, every_s: float = 20.0) -> None:
        self.name, self.updates, self.epochs, self.every_s = name, updates, epochs, every_s
        self.cells = self.tokens = self.done = 0
        self.wait_s = self.busy_s = 0.0
        self.start = self.last = time.monotonic()

    def state_dict(self) -> dict[str, float]:
        """Work and time spent so far, so that a resumed run reports the whole of it."""
        return {"cells": self.cells, "tokens": self.tokens, "wait_s": self.wait_s, "busy_s": self.busy_s}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take back what `state_dict` gave."""
        vars(self).update(state)

    def enter(self) -> None:
        """An epoch begins."""
        self.left = time.monotonic()

    def begin(self) -> None:
        """A batch has come."""
        self.entered = time.monotonic()
        self.wait_s += self.entered - self.left

    def end(self, update: list[Cells], ranks: int) -> None:
        """An update is done."""
        self.left = time.monotonic()
        self.busy_s += self.left - self.entered
        self.cells += sum(len(cells.lengths) for cells in update) * ranks
        self.done += 1

    def show(self, step: int, epoch: int) -> None:
        """Print the line if it is time to; the counts are of updates and epochs done."""
        if self.left - self.last > self.every_s or step == self.updates:
            self.last = self.left
            print(self._line(step, epoch), file=sys.stderr, flush=True)

    def _line(self, step: int, epoch: int) -> str:
        speed = self.speed()
        eta = (self.left - self.start) / self.done * (self.updates - step)
        return (
            f"{self.name}: epoch {epoch + 1}/{self.epochs}, step {step:,}/{self.updates:,}, "
            f"{speed['cells_per_s']:,.0f} cells/s, {speed['tokens_per_s']:,.0f} tokens/s, "
            f"loader wait {speed['loader_wait']:.0%}, peak {speed['peak_memory_mb']:,.0f} MB, {eta / 60:.1f} min left"
        )

    def speed(self) -> dict[str, float]:
        """Cells and tokens a second of training steps, share of time spent waiting for batches, peak memory (MB)."""
        spent = max(self.busy_s + self.wait_s, 1e-9)
        return {
            "cells_per_s": self.cells / spent,
            "tokens_per_s": self.tokens / spent,
            "loader_wait": self.wait_s / spent,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
