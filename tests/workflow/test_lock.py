"""Whose lock is cleared: that of killed processes of this machine, and no other."""

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clone import ROOT

sys.path.append(str(ROOT / "workflow"))
import guard
import lock


@pytest.fixture(autouse=True)
def linux(need):
    need(Path("/proc/self/environ").exists(), "Linux is needed")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Snakemake's folder, locked; what `claim` leaves to the end of its process is undone here."""
    monkeypatch.setattr(lock.atexit, "register", lambda *_, **__: None)
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "0.input.lock").write_text("a\n")
    (tmp_path / "owners").mkdir()
    return tmp_path


def owner(folder, process: str, host=None, boot=None) -> Path:
    here = platform.node(), lock.BOOT.read_text().strip()
    note = folder / "owners" / f"{host or here[0]},{boot or here[1]},{process}"
    note.touch()
    return note


def ended() -> str:
    """Identity of a process that has ended."""
    with subprocess.Popen(["sleep", "60"]) as process:
        who = guard.identity(process.pid)
        process.kill()
    return who


def locked(folder) -> bool:
    return (folder / "locks" / "0.input.lock").exists()


def owners(folder) -> set[str]:
    """Identities of the owners that are noted."""
    return {note.name.split(",")[2] for note in (folder / "owners").iterdir()}


def test_a_killed_owner(folder):
    who = ended()
    owner(folder, who)
    assert lock.claim(folder) == f"cleared the lock of process {who.split('-')[0]}, which was killed"
    assert not locked(folder)
    assert owners(folder) == {guard.identity(os.getpid())}


def test_a_killed_owner_whose_id_another_process_has(folder):
    owner(folder, f"{os.getppid()}-1")
    assert "cleared" in lock.claim(folder)
    assert not locked(folder)


def test_an_owner_before_the_last_boot(folder):
    owner(folder, guard.identity(os.getppid()), boot="another")
    assert "cleared" in lock.claim(folder)
    assert not locked(folder)


def test_an_owner_that_is_alive_keeps_its_lock_beside_a_killed_one(folder):
    alive, dead = guard.identity(os.getppid()), ended()
    owner(folder, alive)
    owner(folder, dead)
    assert lock.claim(folder) is None
    assert locked(folder)
    assert owners(folder) == {alive, dead, guard.identity(os.getpid())}


def test_an_owner_on_another_machine_keeps_its_lock_and_is_named(folder):
    owner(folder, "77-1", host="node7")
    message = lock.claim(folder)
    assert "process 77 on node7" in message
    assert "snakemake --unlock" in message
    assert "\n" not in message
    assert locked(folder)
    assert "77-1" in owners(folder)


def test_a_lock_of_nobody_known_stays(folder):
    assert lock.claim(folder) is None
    assert locked(folder)


def test_without_a_lock_old_owners_are_forgotten(folder):
    owner(folder, ended())
    owner(folder, "77-1", host="node7")
    (folder / "locks" / "0.input.lock").unlink()
    assert lock.claim(folder) is None
    assert owners(folder) == {guard.identity(os.getpid())}


def test_what_a_killed_owner_left_running_is_ended_first(folder, capsys):
    who = ended()
    owner(folder, who)
    with subprocess.Popen(["sleep", "60"], env={"SCFM_JOB": f"{who}.5."}) as left:
        while not guard.carriers(f"{who}."):  # its variables can be read a moment after it has started
            time.sleep(0.01)
        assert "cleared" in lock.claim(folder)
        assert left.wait() == -signal.SIGTERM
    assert "waiting for what process" in capsys.readouterr().err


@pytest.mark.slow
def test_a_running_snakemake_keeps_its_lock_until_it_is_killed(fresh):
    """The job waits at its first line; a dry-run may look on meanwhile."""
    fresh.edit(
        "workflow/rules/corpus.smk", '"python -m scfm corpus synthesize', '"sleep 60; python -m scfm corpus synthesize'
    )
    arguments = ["results/tiny/corpus/synthetic/truth.parquet", "--cores", "1", "--config", "study=tiny"]
    with (fresh.folder / "printed.txt").open("w") as printed, fresh.start(*arguments, stdout=printed) as first:
        latest = time.monotonic() + 60
        while not guard.carriers(f"{guard.identity(first.pid)}."):
            assert first.poll() is None, (fresh.folder / "printed.txt").read_text()
            assert time.monotonic() < latest
            time.sleep(0.05)
        refused = fresh.run(*arguments)
        assert refused.returncode != 0
        assert "cannot be locked" in refused.stdout
        assert fresh.run(*arguments, "--dry-run").returncode == 0
        first.kill()
    fresh.edit("workflow/rules/corpus.smk", '"sleep 60; python', '"python')
    done = fresh.run(*arguments)
    assert done.returncode == 0, done.stdout
    assert f"cleared the lock of process {first.pid}, which was killed" in done.stdout
    assert not list((fresh.folder / ".snakemake" / "owners").iterdir())
