"""Copies of the repository: fresh ones, and one in which the study `tiny` ran to its end, once for all tests."""

import fcntl
import os
from pathlib import Path

import pytest
from clone import Clone, clone

TINY = ("all", "--config", "study=tiny")


@pytest.fixture
def fresh(tmp_path) -> Clone:
    """A copy of the repository without results."""
    return clone(tmp_path / "clone")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Clone:
    """A copy in which `tiny` ran to its end; what Snakemake printed is in `printed.txt`. Not to be changed."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "finished"
    with (shared / "finished.lock").open("w") as lock:
        # Processes of one test session wait here for the one that came first.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "printed.txt").exists():
            done = clone(folder).run(*TINY, "--cores", "2")
            assert done.returncode == 0, done.stdout
            (folder / "printed.txt").write_text(done.stdout)
    return Clone(folder)


@pytest.fixture
def edited(finished, tmp_path) -> Clone:
    """A copy of the finished study that a test may edit."""
    return finished.copy(tmp_path / "clone")


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Target and study of the finished copy."""
    return TINY


@pytest.fixture(scope="session")
def results(finished) -> Path:
    """Results of the finished study."""
    return finished.folder / "results" / "tiny"
