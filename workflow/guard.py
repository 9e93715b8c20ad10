"""Ends what a job has started when the Snakemake that runs it is gone, as after a SIGKILL.

The shell of every job starts one guard, `guard.py OWNER SHELL` (see `prefix`). It sleeps until the Snakemake or the
shell ends, then ends every process whose variable SCFM_JOB is `OWNER.SHELL.`. Linux only: without /proc or pidfd_open
(kernel 5.3) a guard does nothing.
"""

import os
import select
import signal
import sys
import time

# Time to end in good order, for a training to write its checkpoint.
GRACE_S = 30.0


def prefix() -> str:
    """What the shell of a job does first, if this process is the Snakemake that runs it."""
    owner = identity(os.getpid())
    parts = [
        # The guard stands outside of the job, which neither waits for it nor counts its memory.
        f"({sys.executable} -I -S {os.path.abspath(__file__)} {owner} $$ < /dev/null > /dev/null 2>&1 &)",
        # The mark that all processes of the job inherit.
        f"export SCFM_JOB={owner}.$$.",
        # Asked to end, the shell waits for its program, which may write a checkpoint, and the log takes its last words.
        "trap : TERM",
        "tee() (trap '' INT TERM; exec tee \"$@\")",
    ]
    return "; ".join([*parts, ""])


def identity(pid: int) -> str | None:
    """Process id and time of start, which no other process of this boot shares; None if the process has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            facts = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if facts[0] in "ZX" else f"{pid}-{facts[19]}"


def carriers(token: str) -> set[int]:
    """Ids of the other processes whose SCFM_JOB begins with `token`."""
    entry, found = f"\0SCFM_JOB={token}".encode(), set()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if entry in b"\0" + file.read():
                    found.add(int(name))
        except OSError:  # ended meanwhile, or another user's
            continue
    return found - {os.getpid()}


def end(token: str, shell: str | None = None) -> int:
    """SIGTERM to the processes of `token`, SIGKILL to those left after a while, until there are none.

    Args:
        shell: identity of the job's shell, which has no token in its own environment but goes on starting what has.

    Returns:
        How many processes there were.
    """
    told, late = set(), time.monotonic() + GRACE_S
    while True:
        left = carriers(token)
        if shell and identity(pid := int(shell.split("-")[0])) == shell:
            left.add(pid)
        if not left:
            return len(told)
        number = signal.SIGTERM if time.monotonic() < late else signal.SIGKILL
        for pid in left - told if number == signal.SIGTERM else left:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        told |= left
        time.sleep(0.05)


def main(owner: str, shell: int) -> None:
    """Wait until `owner` (its identity) or the job's shell (its process id) ends, then end the job."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # what ends the job must not end its guard first
    pid, job = int(owner.split("-")[0]), identity(shell)
    try:
        handles = [os.pidfd_open(pid), os.pidfd_open(shell)]
    except ProcessLookupError:  # one has ended already
        handles = []
    if handles and identity(pid) == owner:
        select.select(handles, [], [])
    end(f"{owner}.{shell}.", job)


if __name__ == "__main__" and hasattr(os, "pidfd_open") and os.path.exists("/proc/self/stat"):
    main(sys.argv[1], int(sys.argv[2]))
