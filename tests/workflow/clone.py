"""A copy of the repository in which Snakemake may run, and what Snakemake says it would do there."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

from scfm import code

ROOT = Path(__file__).parents[2]
LISTS = ("input", "output", "log")
MAPS = ("wildcards", "resources")


@dataclass(frozen=True)
class Job:
    """One job of a dry-run."""

    rule: str
    input: list[str]
    output: list[str]
    log: list[str]
    benchmark: str
    wildcards: dict[str, str]
    resources: dict[str, str]

    @property
    def name(self) -> str:
        """The rule, and after a blank the values of its wildcards: `train mlm/0`."""
        return f"{self.rule} {'/'.join(self.wildcards.values())}".strip()


@dataclass(frozen=True)
class Clone:
    """The repository's files in a folder of their own."""

    folder: Path

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        """Run Snakemake here; both streams come back as one text in `stdout`."""
        with self.start(*arguments, **variables) as process:
            printed, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, printed)

    def start(self, *arguments: str, stdout=subprocess.PIPE, **variables: str) -> subprocess.Popen:
        """Start Snakemake here, without waiting for its end; both streams go to `stdout`."""
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" and not k.startswith("SLURM_")}
        environment |= {"OMP_NUM_THREADS": "1"} | variables
        command = [sys.executable, "-m", "snakemake", *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, text=True, stdout=stdout, stderr=subprocess.STDOUT
        )

    def jobs(self, *arguments: str, **variables: str) -> list[Job]:
        """Jobs that Snakemake would run, without the targets that only collect."""
        done = self.run(*arguments, "--dry-run", **variables)
        assert done.returncode == 0, done.stdout
        return [job for job in map(_job, _blocks(done.stdout)) if job.output]

    def names(self, *arguments: str) -> set[str]:
        """Names of these jobs."""
        return {job.name for job in self.jobs(*arguments)}

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace the only occurrence of a text in a file."""
        file = self.folder / path
        text = file.read_text()
        assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new))

    def copy(self, folder: Path) -> "Clone":
        """A copy with results and Snakemake's records; times of files are kept."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Clone(folder)


def clone(folder: Path) -> Clone:
    """Copy what belongs to the repository, committed or not, to `folder`, and what is known of its syntax."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    with chdir(ROOT):
        code.remember()
    (folder / code.KEPT).parent.mkdir(parents=True)
    shutil.copy2(ROOT / code.KEPT, folder / code.KEPT)
    return Clone(folder)


def _blocks(text: str) -> list[list[str]]:
    """Lines of each job: its rule, then its indented facts."""
    blocks, inside = [], False
    for line in text.splitlines():
        starts = re.fullmatch(r"(local)?rule \w+:", line) is not None
        if starts:
            blocks.append([])
        inside = starts or (inside and line.startswith("    "))
        if inside:
            blocks[-1].append(line)
    return blocks


def _job(lines: list[str]) -> Job:
    facts = dict(line.strip().split(": ", 1) for line in lines[1:])
    values = {name: _split(facts.get(name, "")) for name in (*LISTS, *MAPS)}
    maps = {name: dict(pair.split("=", 1) for pair in values[name]) for name in MAPS}
    rule = lines[0].split()[1].rstrip(":")
    return Job(rule, *(values[name] for name in LISTS), facts.get("benchmark", ""), **maps)


def _split(text: str) -> list[str]:
    return [part.split(" (")[0] for part in text.split(", ") if part]
