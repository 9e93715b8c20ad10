"""Slurm, as far as the profile `slurm` depends on it."""

import os
import shutil
import subprocess
from pathlib import Path

PROGRAMS = ("sbatch", "scancel", "squeue", "sacct")
VARIABLES = ("SLURM_ACCOUNT", "SLURM_PARTITION", "SLURM_STATUS_COMMAND", "SLURM_GRES")
PLACES = ("/etc/slurm/slurm.conf", "/etc/slurm-llnl/slurm.conf", "/run/slurm/conf/slurm.conf")
"""Where distributions and configless sites have it."""
PATIENCE = 5
"""Seconds that a Slurm daemon has to answer."""


def configuration() -> Path | None:
    """slurm.conf where sbatch would find it; without one, Slurm's programs would look for a controller in the DNS."""
    sbatch = shutil.which("sbatch")
    if sbatch is None:
        return None
    if "SLURM_CONF" in os.environ:
        places = [Path(os.environ["SLURM_CONF"])]
    else:
        places = [Path(sbatch).resolve().parents[1] / "etc" / "slurm.conf", *map(Path, PLACES)]
    return next((path for path in places if path.is_file()), None)


def slurm(root: Path) -> list[tuple[str, str]]:
    """Programs, variables and files that the profile reads, and whether accounting answers."""
    there = [program for program in PROGRAMS if shutil.which(program)]
    if "sbatch" not in there:
        return [("sbatch", "not here: studies run on this machine only")]
    if configuration() is None:
        return [("sbatch", "there, but no slurm.conf: Slurm is not set up here (or SLURM_CONF does not name its file)")]
    lack = "".join(f"; no {program}" for program in PROGRAMS if program not in there)
    partitions = root / "slurm" / "partitions.yaml"
    used = "used" if partitions.is_file() else "not there: Slurm's own default, or SLURM_PARTITION"
    return [
        ("sbatch", f"{_ask('sbatch', '--version')[1]}, set up by {configuration()}{lack}"),
        *((name, os.environ.get(name) or "not set") for name in VARIABLES),
        ("partitions.yaml", used),
        ("sacct", _accounting("sacct" in there)),
    ]


def _accounting(installed: bool) -> str:
    answers, said = _ask("sacct", "--noheader", "--allocations") if installed else (False, "not installed")
    if answers:
        return "answers"
    advice = "" if os.environ.get("SLURM_STATUS_COMMAND") else "; set SLURM_STATUS_COMMAND=squeue"
    return f"does not answer ({said}){advice}"


def _ask(*command: str) -> tuple[bool, str]:
    """Whether a program ends well, and the first line that it says."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return False, f"no answer within {PATIENCE} s"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return done.returncode == 0, lines[0] if lines else ""
