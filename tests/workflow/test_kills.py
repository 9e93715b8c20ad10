"""SIGKILL at random moments: the next run ends with the values of an undisturbed one, and nothing else goes on.

Moments are drawn with a seed, one in each of equal parts of the time that the process took undisturbed, so that they
are spread over all of it. A kill that came after the end of its process does not count; an earlier moment is drawn.
"""

import os
import random
import shutil
import time
from contextlib import suppress
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pandas as pd
import pytest
import yaml
from compare import differences
from kill import kill_process, kill_snakemake, nothing_left

from scfm.resources.settings import Resource

pytestmark = pytest.mark.long
RESULTS = Path("results/tiny")
MODEL, WORK = "results/tiny/pretrain/mlm/0", "work/tiny/pretrain/mlm"
SHARDS, FIGURES = "results/tiny/corpus/shards", "results/tiny/figures"
TRAIN, FETCH = "python -m scfm pretrain train ", "python -m scfm resources fetch "
NOTEBOOK, KERNEL = "python -m scfm paper notebook ", r"\S+ -m ipykernel_launcher "
DRAWS = 6
BLOCK = 1 << 17
BODY = random.Random(0).randbytes(24 << 20)


@pytest.fixture(autouse=True)
def linux(need):
    need(hasattr(os, "pidfd_open") and Path("/proc/self/environ").exists(), "Linux 5.3 or newer is needed")


def spread(trials: int, seconds: float, rng: random.Random) -> list[float]:
    """One moment in each of `trials` equal parts of the time, in random order."""
    return rng.sample([seconds * (part + rng.random()) / trials for part in range(trials)], trials)


def usual(folder: Path, job: str) -> float:
    """Seconds that a job took when nothing disturbed it."""
    return float(pd.read_csv(folder / RESULTS / "benchmark" / f"{job}.tsv", sep="\t")["s"].iloc[0])


def trial(clone, target, outputs, words, moment: float, undisturbed: Path, rng, begun=lambda _: True) -> None:
    """Kill a process of the job that makes `target` (see `kill_process`), rerun, compare `outputs`."""
    for _ in range(DRAWS):
        for path in (clone.folder / name for name in outputs):
            shutil.rmtree(path)
        code, hits, printed = kill_process(clone, target, words, [moment], begun)
        assert (code != 0) == any(hits), printed
        if any(hits):
            break
        moment = rng.uniform(0, moment)
    assert any(hits), f"{words}: {DRAWS} kills came too late"
    again = clone.run(*target)
    assert again.returncode == 0, again.stdout
    for name in outputs:
        if name.startswith(str(RESULTS)):
            assert differences(undisturbed / name, clone.folder / name) == [], f"{words} killed after {moment:.2f} s"
    nothing_left(clone)


@pytest.mark.xdist_group("kills 1")
def test_snakemake_is_killed_six_times(finished, fresh, tiny):
    """Each run goes on where the last was killed, at once, without a word to the lock; the last one ends."""
    arguments, rng = [*tiny, "--cores", "2"], random.Random(1)
    jobs = (finished.folder / RESULTS / "benchmark").rglob("*.tsv")
    seconds = sum(pd.read_csv(file, sep="\t")["s"].iloc[0] for file in jobs) / 2
    for moment in spread(6, seconds / 4, rng):
        while not kill_snakemake(fresh, arguments, moment):  # the study has ended before: from the start
            shutil.rmtree(fresh.folder / RESULTS)
    done = fresh.run(*arguments)
    assert done.returncode == 0, done.stdout
    assert differences(finished.folder / RESULTS, fresh.folder / RESULTS) == []
    nothing_left(fresh)


@pytest.mark.xdist_group("kills 3")
def test_training_is_killed_four_times(edited):
    """More epochs than the study has, so that there is something to kill; twice after the first checkpoint."""
    target = [f"{MODEL}/metrics.csv", "--cores", "1", "--config", "study=tiny", "pretrain={training: {epochs: 15}}"]
    assert edited.run(*target).returncode == 0
    undisturbed = edited.folder.with_name("undisturbed")
    shutil.copytree(edited.folder / MODEL, undisturbed / MODEL)
    seconds, log = usual(edited.folder, "pretrain/train-mlm-0"), edited.folder / "logs/tiny/pretrain/mlm/0.log"
    work, rng = edited.folder / WORK, random.Random(3)
    for moment in spread(2, seconds, rng):
        trial(edited, target, [MODEL, WORK], TRAIN, moment, undisturbed, rng)
    for moment in spread(2, seconds / 3, rng):
        trial(edited, target, [MODEL, WORK], TRAIN, moment, undisturbed, rng, lambda _: any(work.rglob("*.ckpt")))
        assert "going on from step" in log.read_text()


@pytest.mark.xdist_group("kills 2")
def test_a_notebook_and_its_kernel_are_killed(finished, edited):
    rng, target = random.Random(4), [f"{FIGURES}/figure2/figure2.png", "--cores", "1", "--config", "study=tiny"]
    for words, moment in zip((NOTEBOOK, KERNEL), spread(2, usual(finished.folder, "paper/figure2"), rng), strict=True):
        trial(edited, target, [f"{FIGURES}/figure2"], words, moment, finished.folder, rng)


@pytest.mark.xdist_group("kills 2")
def test_each_step_of_sharding_is_killed(finished, edited):
    """Last step first, so that no trial makes the inputs of a later one newer."""
    rng, corpus = random.Random(5), "results/tiny/corpus"
    for step, target, output, job in (
        ("gather", f"{SHARDS}/manifest.json", SHARDS, "gather"),
        ("scatter", f"{SHARDS}/manifest.json", SHARDS, "scatter-0000"),
        ("scan", f"{corpus}/scan/part-0000", f"{corpus}/scan/part-0000", "scan-0000"),
        ("build", f"{corpus}/soma", f"{corpus}/soma", "build"),
    ):
        moment = rng.uniform(0, usual(finished.folder, f"corpus/{job}"))
        arguments = [target, "--cores", "1", "--config", "study=tiny"]
        trial(edited, arguments, [output], f"python -m scfm corpus {step} ", moment, finished.folder, rng)


class Slow(BaseHTTPRequestHandler):
    """Serves `BODY` in about four seconds, or the rest of it from a position on."""

    positions: list[int]

    def do_GET(self):
        asked = self.headers.get("Range")
        position = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.positions.append(position)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(BODY) - position))
        self.send_header("ETag", '"only"')
        if asked:
            self.send_header("Content-Range", f"bytes {position}-{len(BODY) - 1}/{len(BODY)}")
        self.end_headers()
        with suppress(ConnectionError):  # the client was killed
            while position < len(BODY):
                self.wfile.write(BODY[position : position + BLOCK])
                position += BLOCK
                time.sleep(0.02)

    def log_message(self, *_):
        pass


@pytest.fixture
def slow_file(fresh):
    """A clone in which a resource comes slowly from this machine: target of Snakemake, and positions asked for."""
    handler = type("Handler", (Slow,), {"positions": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        facts = {"title": "slow file", "reader": "none", "licence": "none"}
        facts["url"] = f"http://127.0.0.1:{server.server_port}/slow.bin"
        with (fresh.folder / "config/resources.yaml").open("a") as file:
            yaml.safe_dump({"slow": facts}, file)
        yield RESULTS / "resources/slow" / Resource(**facts).version(mirrored=False) / "slow.bin", handler.positions
        server.shutdown()


@pytest.mark.xdist_group("kills 1")
def test_download_is_killed_five_times(fresh, slow_file):
    """Killed twice, then three times, in one download; each run goes on from the bytes that are there."""
    target, positions = slow_file
    arguments = [str(target), "--cores", "1", "--config", "study=tiny"]
    rng = random.Random(6)
    for kills in (2, 3):
        shutil.rmtree(fresh.folder / RESULTS / "resources", ignore_errors=True)
        positions.clear()
        for kill in range(kills):
            begun = partial(lambda kill, _: len(positions) > kill, kill)
            code, hits, printed = kill_process(fresh, arguments, FETCH, [rng.uniform(0, 1.5)], begun)
            assert (code != 0, hits) == (True, [True]), printed
        again = fresh.run(*arguments)
        assert again.returncode == 0, again.stdout
        assert sha256((fresh.folder / target).read_bytes()).digest() == sha256(BODY).digest()
        assert positions[0] == 0
        assert positions == sorted(positions)
        assert positions[-1] > 0
        nothing_left(fresh)
