"""A lock whose Snakemake was killed stops nobody.

Snakemake's lock does not say who holds it. So every main process leaves an empty file in `.snakemake/owners`, named by
machine, boot and process, from before it locks until it ends: one whose process is gone tells of a kill. Linux only:
without /proc there are no such files, and no lock is cleared.
"""

import atexit
import os
import platform
import shutil
import sys
from pathlib import Path

from guard import carriers, end, identity

BOOT = Path("/proc/sys/kernel/random/boot_id")


def claim(folder: Path) -> str | None:
    """Clear up after owners that were killed, then become an owner.

    What still runs of their jobs is ended. A lock is cleared if none of the owners is alive; whether one on another
    machine is cannot be seen, so that its lock stays.

    Args:
        folder: Snakemake's own, `.snakemake`.

    Returns:
        What was done, or who holds the lock on another machine; None if there is nothing to say.
    """
    me = identity(os.getpid())
    if me is None:
        return None
    here = platform.node(), BOOT.read_text().strip()
    owners, locks = folder.absolute() / "owners", folder.absolute() / "locks"
    for host, boot, owner in _read(owners):
        if (host, boot) == here and not _alive(owner) and carriers(f"{owner}."):
            print(f"waiting for what process {_pid(owner)}, which was killed, has left behind", file=sys.stderr)
            end(f"{owner}.")
    message = _clear(owners, locks, here)
    owners.mkdir(parents=True, exist_ok=True)
    mine = owners / ",".join((*here, me))
    mine.touch()
    atexit.register(mine.unlink, missing_ok=True)
    return message


def _clear(owners: Path, locks: Path, here: tuple[str, str]) -> str | None:
    """Remove the lock, if all its owners were killed, and their files."""
    found = _read(owners)
    alive = [note for note in found if note[:2] == here and _alive(note[2])]
    away = [note for note in found if note[0] != here[0]]
    gone = [note for note in found if note not in alive + away]
    locked = locks.is_dir() and any(locks.iterdir())
    if locked and alive:
        return None
    if locked and away:
        host, _, owner = away[0]
        return (
            f"{locks}: process {_pid(owner)} on {host} holds the lock of this folder, or was killed there; "
            "wait for it, or run `snakemake --unlock` if it is gone"
        )
    for note in gone + away:
        (owners / ",".join(note)).unlink(missing_ok=True)
    if locked and gone:
        shutil.rmtree(locks)
        return f"cleared the lock of process {_pid(gone[0][2])}, which was killed"
    return None


def _read(owners: Path) -> list[tuple[str, str, str]]:
    """Machine, boot, and identity of the process of each owner."""
    return [tuple(note.name.split(",")) for note in sorted(owners.glob("*,*,*"))]


def _alive(owner: str) -> bool:
    return identity(_pid(owner)) == owner


def _pid(owner: str) -> int:
    return int(owner.split("-")[0])
