"""Freed memory comes back without the kernel."""

import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys, threading
import numpy as np

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        for block in [np.ones(2**21) for _ in range(4)]:  # 16 MiB each
            del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep":
    from scfm.memory import keep_freed_memory
    keep_freed_memory()
found = []
def work():
    faults(2)
    found.append(faults(10))
work()
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(*found)
"""


def pages(how: str) -> list[int]:
    """Page faults of ten rounds, in the main thread and in another."""
    done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True)
    return [int(x) for x in done.stdout.split()]


def test_blocks_of_the_same_size_cost_no_new_pages(need):
    need(platform.libc_ver()[0] == "glibc", "the C library is not glibc")
    as_it_is, kept = pages("leave"), pages("keep")
    assert min(as_it_is) > 1_000
    assert max(kept) < 100


def test_another_system_is_left_as_it_is(monkeypatch):
    from scfm import memory

    monkeypatch.setattr(memory.sys, "platform", "darwin")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: pytest.fail("asked for a library"))
    memory.keep_freed_memory()
