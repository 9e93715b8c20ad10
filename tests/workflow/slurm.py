"""A Slurm of one node in a temporary folder: own key, own ports, own state; stopped with everything that it started."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "setpriv")
# More CPUs and memory than there may be, so that jobs overlap; GPUs that exist only in the books. Finished jobs are
# shown for an hour.
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=bf_interval=1,sched_interval=1
MinJobAge=3600
KillWait=20
MessageTimeout=10
OverTimeLimit=0
ReturnToService=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=256000 Gres=gpu:a100:4 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=2-00:00:00 State=UP
PartitionName=gpu Nodes={host} MaxTime=2-00:00:00 State=UP
"""


@contextmanager
def slurm() -> Iterator[dict[str, str]]:
    """Start a Slurm of one node with 16 CPUs and 4 GPUs of type a100, in the partitions `cpu` (default) and `gpu`.

    Yields:
        Environment variables by which clients find it.

    Raises:
        RuntimeError: the node is not idle, or afterwards not empty, within a minute; with the daemons' logs.
    """
    # Not in pytest's folder: names of sockets must be short.
    with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as name, ExitStack() as stack:
        folder = Path(name)
        _configure(folder)
        client = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        munged = [
            "munged",
            "--foreground",
            "--force",
            *(f"--{file}-file={folder}/munge.{file}" for file in ("key", "pid", "seed", "log")),
        ]
        stack.callback(_kill_left, client)
        for command in ([*munged, f"--socket={folder}/munge.socket"], ["slurmctld", "-D"], ["slurmd", "-D"]):
            stack.enter_context(_daemon(command, folder, client))
        _until(lambda: set(ask(client, "sinfo", "-h", "-o", "%T").split()) == {"idle"}, folder)
        try:
            yield client
        finally:
            ask(client, "scancel", "--user=root")
            _until(lambda: ask(client, "squeue", "-h") == "", folder)


def ask(client: dict[str, str], *command: str) -> str:
    """What a client of this Slurm prints, errors included; nothing if no daemon answers."""
    try:
        done = subprocess.run(
            command,
            env=_environment(client),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=20,
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip()


def jobs(client: dict[str, str]) -> list[dict[str, str]]:
    """Every job since the start: the fields of `scontrol show job`, and under `Rule` the rule that asked for it."""
    lines = ask(client, "scontrol", "show", "job", "--details", "--oneliner").splitlines()
    found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines if line.startswith("JobId=")]
    return [job | {"Rule": re.sub(r"^rule_|_wildcards_.*$", "", job.get("Comment", ""))} for job in found]


def _configure(folder: Path) -> None:
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    # Snakemake's plugin takes SLURM_CONF from the environment of srun; where Slurm is installed, nobody needs it.
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    with socket.socket() as first, socket.socket() as second:
        for port in (first, second):
            port.bind(("127.0.0.1", 0))
        ports = [port.getsockname()[1] for port in (first, second)]
    host = socket.gethostname().split(".")[0]
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, ports=ports, folder=folder))
    (folder / "gres.conf").write_text(f"Name=gpu Type=a100 File={folder}/gpu[0-3]\n")
    for gpu in range(4):
        (folder / f"gpu{gpu}").touch()


@contextmanager
def _daemon(command: list[str], folder: Path, client: dict[str, str]) -> Iterator[None]:
    """A daemon in the foreground, which ends with the block, or with this process however that ends."""
    with (folder / f"{command[0]}.txt").open("w") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command], env=_environment(client), stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _environment(client: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")} | client


def _until(there: Callable[[], bool], folder: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if there():
            return
        time.sleep(0.2)
    raise RuntimeError("\n".join(f"{path.name}:\n{path.read_text()}" for path in sorted(folder.glob("*.txt"))))


def _kill_left(client: dict[str, str]) -> None:
    """Kill what still runs with this configuration: job steps of a Slurm that ended badly."""
    mark = f"SLURM_CONF={client['SLURM_CONF']}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        # A process may end meanwhile, or belong to the kernel.
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
