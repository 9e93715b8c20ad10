"""SIGKILL to Snakemake or to a process of its jobs, and what must hold when the next run has ended."""

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from clone import Clone

APPEARS_WITHIN_S = 90.0
TEMPORARY = re.compile(r"\.[0-9a-f]{8}\..+")


def job_processes(folder: Path) -> dict[int, str]:
    """Process ids and command lines of what the jobs of a clone have started, their guards too."""
    mark, found = f"PYTHONPATH={folder}/src\0".encode(), {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # ended meanwhile
            continue
    return found


def kill_process(
    clone: Clone, arguments: list[str], words: str, delays: list[float], begun: Callable[[int], bool] = lambda _: True
) -> tuple[int, list[bool], str]:
    """Run Snakemake; SIGKILL a process of a job after a delay, in its next attempt after the next delay, and so on.

    Args:
        words: regular expression found at the start of the command line of that process alone.
        delays: seconds from when the process is first seen, or from when it has begun.
        begun: whether the process of an attempt (from 0 on) has begun with what is to be disturbed.

    Returns:
        Exit code of Snakemake, whether each kill met a process that still ran, and what Snakemake printed.
    """
    log, hits, seen = clone.folder / "killed.txt", [], set()
    with log.open("w") as stdout, clone.start(*arguments, stdout=stdout) as snakemake:
        for attempt, delay in enumerate(delays):
            pid = _appears(clone.folder, words, seen, snakemake)
            if pid is None:
                break
            seen.add(pid)
            hits.append(kill(pid, delay, partial(begun, attempt)))
    return snakemake.returncode, hits, log.read_text()


def kill_snakemake(clone: Clone, arguments: list[str], delay: float) -> bool:
    """Run Snakemake and SIGKILL it after some seconds; whether it still ran."""
    with (clone.folder / "killed.txt").open("a") as stdout, clone.start(*arguments, stdout=stdout) as snakemake:
        try:
            snakemake.wait(delay)
        except subprocess.TimeoutExpired:
            snakemake.kill()
    return snakemake.returncode == -signal.SIGKILL


def nothing_left(clone: Clone) -> None:
    """Assert that no process of a job goes on, no file changes any more, and no half-written file is left."""
    ends = time.monotonic() + 60  # a guard ends after the shell that it guards
    while (left := job_processes(clone.folder)) and time.monotonic() < ends:
        assert all("guard.py" in line for line in left.values()), left
        time.sleep(0.02)
    assert not left
    before = _files(clone.folder)
    time.sleep(0.3)
    assert _files(clone.folder) == before
    assert not [path for path in before if any(TEMPORARY.fullmatch(part) for part in Path(path).parts)]
    assert not (clone.folder / ".snakemake" / "locks").exists()
    assert not list((clone.folder / ".snakemake" / "owners").iterdir())


def _appears(folder: Path, words: str, seen: set[int], snakemake: subprocess.Popen) -> int | None:
    """The first new process of these words; None if Snakemake ends without."""
    latest = time.monotonic() + APPEARS_WITHIN_S
    while time.monotonic() < latest:
        ended = snakemake.poll() is not None
        for pid, line in job_processes(folder).items():
            if pid not in seen and re.match(words, line):
                return pid
        if ended:
            return None
        time.sleep(0.02)
    raise TimeoutError(f"no process of '{words}' within {APPEARS_WITHIN_S:g} s")


def kill(pid: int, delay: float, begun: Callable[[], bool]) -> bool:
    """SIGKILL `delay` seconds after the process has begun, unless it ends before; whether it still ran."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    ended = False
    while not (begun() or ended):
        ended = any(select.select([handle], [], [], 0.02))
    ended = ended or any(select.select([handle], [], [], delay)) or not _stop(pid, handle)
    if not ended:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    os.close(handle)
    return not ended


def _stop(pid: int, handle: int) -> bool:
    """Stop the process; False if it is past its last instruction, where SIGKILL no longer changes its exit code."""
    with suppress(ProcessLookupError, FileNotFoundError):  # it has ended and was waited for
        signal.pidfd_send_signal(handle, signal.SIGSTOP)
        while not any(select.select([handle], [], [], 0.001)):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
                return True
    return False


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file of results, work and logs."""
    found = {}
    for name in ("results", "work", "logs"):
        for path in (folder / name).rglob("*"):
            if path.is_file():
                found[str(path.relative_to(folder))] = (path.stat().st_size, path.stat().st_mtime_ns)
    return found
