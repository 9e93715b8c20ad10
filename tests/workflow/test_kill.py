"""A kill counts only where it ended the process, also while the process is ending by itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kill import kill

# The kernel takes about 15 ms to give this memory back, after the last instruction and before the end.
SLOW_END = "import os, sys; b = bytearray(1 << 28); b[::4096] = b'x' * (1 << 16); {}; print(flush=True); {}"


@pytest.fixture
def started(need):
    need(hasattr(os, "pidfd_open") and Path("/proc/self/stat").exists(), "Linux 5.3 or newer is needed")

    def start(before: str, after: str) -> subprocess.Popen:
        code = SLOW_END.format(before, after)
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        process.stdout.readline()
        return process

    return start


def test_running_process_is_hit(started):
    process = started("import time", "time.sleep(60)")
    assert kill(process.pid, 0.0, lambda: True)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.003, 0.01])
def test_ending_process_is_hit_only_if_it_dies_of_it(started, delay):
    process = started("pass", "os._exit(0)")
    hit = kill(process.pid, delay, lambda: True)
    assert process.wait() == (-signal.SIGKILL if hit else 0)


def test_ended_process_is_not_hit(started):
    process = started("pass", "os._exit(0)")
    process.wait()
    assert not kill(process.pid, 0.0, lambda: True)
