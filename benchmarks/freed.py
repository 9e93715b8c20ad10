"""CPU seconds of training steps of the `mini` study's size, with freed memory returned to the kernel and kept.

    PYTHONPATH=src:benchmarks python benchmarks/freed.py

32 cells of 600 expressed genes among 15,000, two layers of width 64, one thread. Each way runs in processes of its own,
in turn; the fastest of three counts. Page faults are those of the timed steps.
"""

import resource
import subprocess
import sys
import time

import torch
from steps import INPUTS, our_loss, problem, updater

from scfm.memory import keep_freed_memory

ENCODER = {"layers": 2, "hidden": 64, "heads": 4, "ffn": 176}
STEPS = 150


def work(way: str, objective: str) -> tuple[float, int]:
    """CPU seconds and page faults of `STEPS` steps."""
    if way == "kept":
        keep_freed_memory()
    torch.set_num_threads(1)
    INPUTS[objective]["tokens"] = 128
    network, view = problem(objective, [600] * 32, 15_000, torch.device("cpu"), ENCODER)
    update = updater(network, our_loss, "32-true")
    for _ in range(5):
        update(view)
    faults, start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time()
    for _ in range(STEPS):
        update(view)
    return time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults


def main() -> None:
    if len(sys.argv) > 1:
        print(*work(*sys.argv[1:]))
        return
    for objective in ("wced", "mlm"):
        found = {"returned": [], "kept": []}
        for _ in range(3):
            for way, runs in found.items():
                command = [sys.executable, __file__, way, objective]
                seconds, faults = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
                runs.append((float(seconds), int(faults)))
        (before, pages), (after, left) = (min(runs) for runs in found.values())
        less = f"{1 - after / before:.0%} less"
        print(f"{objective}: {before:.2f} to {after:.2f} CPU-s ({less}), {pages:,} to {left:,} page faults")


if __name__ == "__main__":
    main()
