"""Clear Snakemake's lock if no Snakemake runs in this folder any more, as after a SIGKILL."""

import os
import subprocess
import sys
from pathlib import Path


def running(folder: Path) -> list[int]:
    """Process ids of other Snakemake processes whose working directory is `folder` (Linux)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            here = os.readlink(process / "cwd") == str(folder)
        except OSError:  # ended meanwhile, or another user's
            continue
        if here and any(Path(word.decode(errors="replace")).name == "snakemake" for word in words[:3]):
            found.append(int(process.name))
    return found


def main() -> None:
    locks = Path(".snakemake/locks")
    if not (locks.is_dir() and any(locks.iterdir())):
        return
    owners = running(Path.cwd().resolve())
    if owners:
        sys.exit(f"Snakemake already runs in this folder (process {owners[0]}); wait for it or end it")
    subprocess.run([str(Path(sys.executable).parent / "snakemake"), "--unlock"], check=True)
    print("unlock: cleared a lock whose owner is gone")


if __name__ == "__main__":
    main()
