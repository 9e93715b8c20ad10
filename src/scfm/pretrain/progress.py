"""One line on the state of a training every few seconds."""

import resource
import sys
import time

import lightning


class Progress(lightning.Callback):
    """Prints throughput, loader wait, memory and the time left; keeps them for `metrics.csv`."""

    def __init__(self, name: str, updates: int, every_s: float = 20.0) -> None:
        self.name, self.updates, self.every_s = name, updates, every_s
        self.wait_s = 0.0
        self.busy_s = 0.0

    def state_dict(self) -> dict[str, float]:
        """Time spent so far, so that a resumed run reports the whole of it."""
        return {"wait_s": self.wait_s, "busy_s": self.busy_s}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.wait_s, self.busy_s = state["wait_s"], state["busy_s"]

    def on_train_start(self, trainer, module) -> None:
        self.start = self.last = self.left = time.monotonic()
        self.first = module.global_step

    def on_train_epoch_start(self, trainer, module) -> None:
        self.left = time.monotonic()

    def on_train_batch_start(self, trainer, module, batch, index) -> None:
        self.entered = time.monotonic()
        self.wait_s += self.entered - self.left

    def on_train_batch_end(self, trainer, module, outputs, batch, index) -> None:
        self.left = time.monotonic()
        self.busy_s += self.left - self.entered
        if self.left - self.last > self.every_s or module.global_step == self.updates:
            self.last = self.left
            if trainer.is_global_zero:
                print(self._line(trainer, module), file=sys.stderr, flush=True)

    def _line(self, trainer, module) -> str:
        speed = self.speed(module)
        steps = module.global_step - self.first
        eta = (self.left - self.start) / max(steps, 1) * (self.updates - module.global_step)
        return (
            f"{self.name}: epoch {trainer.current_epoch + 1}/{trainer.max_epochs}, "
            f"step {module.global_step:,}/{self.updates:,}, "
            f"{speed['cells_per_s']:,.0f} cells/s, {speed['tokens_per_s']:,.0f} tokens/s, "
            f"loader wait {speed['loader_wait']:.0%}, peak {speed['peak_memory_mb']:,.0f} MB, {eta / 60:.1f} min left"
        )

    def speed(self, module) -> dict[str, float]:
        """Cells and tokens a second of training steps, share of time spent waiting for batches, peak memory (MB)."""
        spent = max(self.busy_s + self.wait_s, 1e-9)
        return {
            "cells_per_s": module.seen["cells"] / spent,
            "tokens_per_s": module.seen["tokens"] / spent,
            "loader_wait": self.wait_s / spent,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
