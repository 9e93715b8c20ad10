"""The guard beside a job: what a killed Snakemake leaves is ended, in good order where possible, and nothing else."""

import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from clone import ROOT

sys.path.append(str(ROOT / "workflow"))
import guard

# A program that writes a last word when it is asked to end.
PROGRAM = """
import pathlib, signal, sys, time
def end(*_):
    time.sleep(0.2)
    print("last word", flush=True)
    pathlib.Path("saved").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
pathlib.Path("started").touch()
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def linux(need):
    need(hasattr(os, "pidfd_open") and Path("/proc/self/environ").exists(), "Linux 5.3 or newer is needed")


@pytest.fixture
def start(tmp_path):
    """Function: start an owner that runs a line of shell with the prefix of the rules."""
    (tmp_path / "program.py").write_text(PROGRAM)
    owners = []

    def run(line: str) -> subprocess.Popen:
        code = f"import guard, subprocess, sys; job = 'set -euo pipefail; ' + guard.prefix() + {line!r}\n"
        code += "sys.exit(subprocess.run(['bash', '-c', job]).returncode)"
        environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
        owners.append(subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment))
        return owners[-1]

    yield run
    for owner in owners:
        token = guard.identity(owner.pid)
        owner.kill()
        owner.wait()
        if token:
            guard.end(f"{token}.")


PYTHON = shlex.quote(sys.executable)


def until(condition, what: str) -> None:
    latest = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < latest, f"{what} for 60 s"
        time.sleep(0.01)


def guards(token: str) -> list[str]:
    """Guards of an owner that still run."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            lines.append(path.read_bytes().replace(b"\0", b" ").decode())
    return [line for line in lines if "guard.py " + token in line and " -S " in line]


def test_a_killed_owner_takes_its_job_along_in_good_order(start, tmp_path):
    owner = start(f"{PYTHON} program.py 2>&1 | tee log && touch next")
    until((tmp_path / "started").exists, "no start")
    token = guard.identity(owner.pid)
    assert len(guard.carriers(f"{token}.")) == 2  # the program and tee
    owner.kill()
    owner.wait()
    until(lambda: not guard.carriers(f"{token}.") and not guards(token), "processes left")
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "log").read_text() == "last word\n"
    assert not (tmp_path / "next").exists()


def test_a_killed_shell_takes_its_job_along(start, tmp_path):
    owner = start(f"echo $$ > shell; {PYTHON} program.py 2>&1 | tee log")
    until((tmp_path / "started").exists, "no start")
    token = guard.identity(owner.pid)
    os.kill(int((tmp_path / "shell").read_text()), signal.SIGKILL)
    until(lambda: not guard.carriers(f"{token}.") and not guards(token), "processes left")
    assert (tmp_path / "saved").exists()
    assert owner.wait() != 0


def test_a_shell_that_goes_on_starting_programs_is_ended(start, tmp_path):
    owner = start("touch started; while true; do sleep 0.2; done")
    until((tmp_path / "started").exists, "no start")
    token = guard.identity(owner.pid)
    owner.kill()
    owner.wait()
    until(lambda: not guard.carriers(f"{token}.") and not guards(token), "processes left")


def test_what_takes_no_notice_is_killed_after_a_while(monkeypatch):
    monkeypatch.setattr(guard, "GRACE_S", 0.3)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", deaf], env={"SCFM_JOB": "1-deaf.2."}, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        assert guard.end("1-deaf.2.") == 1
        assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("line", "code"),
    [("true | tee log", 0), ("false | tee log", 1), ("(exit 7) 2>&1 | tee log", 7), ("kill -KILL $$", -signal.SIGKILL)],
)
def test_exit_codes_stay_and_nothing_is_left(start, line, code):
    owner = start(line)
    token = guard.identity(owner.pid)
    assert owner.wait() == code % 256
    until(lambda: not guards(token), "the guard is left")


def test_a_shell_that_is_asked_to_end_waits_for_its_program(start, tmp_path):
    """As on a cluster, where every process of a job gets the signal, the log's included."""
    owner = start(f"echo $$ > shell; {PYTHON} program.py 2>&1 | tee log")
    until((tmp_path / "started").exists, "no start")
    for pid in (int((tmp_path / "shell").read_text()), *guard.carriers(f"{guard.identity(owner.pid)}.")):
        os.kill(pid, signal.SIGTERM)
    assert owner.wait() == 143
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "log").read_text() == "last word\n"


def test_an_owner_that_is_gone_already():
    """The guard starts late: its process id may even belong to another process by then."""
    owner = f"{os.getpid()}-1"
    code = f"import guard, sys; guard.main('{owner}', int(sys.argv[1]))"
    with subprocess.Popen(["sleep", "60"]) as shell:
        token = f"{owner}.{shell.pid}."
        with subprocess.Popen(["sleep", "60"], env={"SCFM_JOB": token}) as job:
            environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
            # The guard is no parent of these two: they are reaped here, as a shell and its program are elsewhere.
            late = subprocess.Popen([sys.executable, "-c", code, str(shell.pid)], env=environment)
            assert (job.wait(), shell.wait(), late.wait()) == (-signal.SIGTERM, -signal.SIGTERM, 0)


def test_tokens_are_told_apart():
    with subprocess.Popen(["sleep", "60"], env={"SCFM_JOB": "1-2.33."}) as process:
        until(lambda: guard.carriers("1-2."), "its variables can be read a moment after it has started")
        assert guard.carriers("1-2.33.") == guard.carriers("1-2.") == {process.pid}
        assert not guard.carriers("1-2.3.") | guard.carriers("-2.33.")
        process.kill()


def test_identity_of_a_process_that_has_ended():
    process = subprocess.Popen(["true"])
    until(lambda: guard.identity(process.pid) is None, "a zombie counts as running")
    process.wait()
    assert guard.identity(process.pid) is None
    assert guard.identity(os.getpid()) == guard.identity(os.getpid())
