"""The whole corpus stage on a generated store, beside reading that store and throwing the counts away.

    PYTHONPATH=src:benchmarks python benchmarks/shards.py FOLDER --cells 60000 --genes 19000 --expressed 1900
    PYTHONPATH=src:benchmarks python benchmarks/shards.py FOLDER --cells 30000 100000 300000 --expressed 500

Every step is a process of its own, as in the workflow; the store is made beforehand and not counted. Figures are
medians of three rounds, in which everything takes turns. `share` is the time of reading and discarding twice (the stage
reads twice) over the time of the steps that read and write counts, with the library's default settings and with those
of the stage.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import tiledbsoma as soma
from generate import store

from scfm.corpus.settings import Corpus, ScanSettings, ScatterSettings, SelectSettings
from scfm.corpus.soma import READING
from scfm.settings import as_json

RULES = {"qc": {"min_counts": 1, "min_genes": 1}, "split": {"by": "cell", "fraction": 0.1, "seed": 0}}


DISCARD = {"--discard": {}, "--discard-reusing": READING}
"""Ways to read and discard once: with the library's defaults; with the stage's settings, which reuse memory."""
ROUNDS = 3
COUNTED = ("scan", "scatter", "gather")


def discard(path: Path, config: dict) -> None:
    """Read every count once, in ranges, the plain way, and keep nothing."""
    with soma.open(str(path), context=soma.SOMATileDBContext(tiledb_config=config)) as top:
        experiment = top["census_data"]["homo_sapiens"]
        cells, block = experiment.obs.count, Corpus.model_fields["block"].default
        for low in range(0, cells, block):
            for table in experiment.ms["RNA"].X["raw"].read((slice(low, min(low + block, cells) - 1),)).tables():
                table.num_rows  # noqa: B018


def step(name: str, *command: str) -> dict:
    """Run one process: its wall time, CPU time, peak resident memory, and bytes that it read from files."""
    started = time.perf_counter()
    child = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    read = int(Path(f"/proc/{child.pid}/io").read_text().split()[1])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{name} failed")
    seconds = time.perf_counter() - started
    return {
        "step": name,
        "s": seconds,
        "cpu s": usage.ru_utime + usage.ru_stime,
        "peak MiB": usage.ru_maxrss / 1024,
        "read MiB": read / 1024**2,
    }


def stage(folder: Path, path: Path, parts: int, shard_cells: int) -> list[dict]:
    """The steps of the stage, one process after the other."""
    work = folder / "stage"
    shutil.rmtree(work, ignore_errors=True)
    given = {"source": {"kind": "soma", "uri": str(path)}, "parts": parts, "shard_cells": shard_cells}
    corpus = Corpus.model_validate({**given, **RULES})

    def settings(model: type) -> str:
        return as_json(model(**{name: getattr(corpus, name) for name in model.model_fields}))

    scfm = ("-m", "scfm", "corpus")
    steps, scanned, scattered = [], [], []
    for part in range(parts):
        scanned.append(str(work / "scan" / str(part)))
        which = ("--part", str(part), "--parts", str(parts), "--out", scanned[-1])
        steps.append(step("scan", *scfm, "scan", "--settings", settings(ScanSettings), *which))
    chosen = str(work / "selection")
    keys = ("--settings", settings(SelectSettings), "--hgnc", str(folder / "hgnc.tsv"), "--out", chosen)
    steps.append(step("select", *scfm, "select", *scanned, *keys))
    for part in range(parts):
        scattered.append(str(work / "scatter" / str(part)))
        which = ("--selection", chosen, "--part", str(part), "--parts", str(parts), "--out", scattered[-1])
        steps.append(step("scatter", *scfm, "scatter", "--settings", settings(ScatterSettings), *which))
    shards = str(work / "shards")
    steps.append(step("gather", *scfm, "gather", *scattered, "--selection", chosen, "--out", shards))
    steps.append(step("verify", *scfm, "verify", shards))
    return steps


def size(path: Path) -> float:
    """MiB below a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1024**2


def run(folder: Path, cells: int, genes: int, expressed: int, parts: int, shard_cells: int) -> dict:
    """Print the steps of one store; return its row of the summary."""
    folder = folder / f"{cells}-{genes}-{expressed}"
    path = store(folder, cells, genes, expressed)
    rounds = []
    for _ in range(ROUNDS):
        steps = [step(name, __file__, name, str(path)) for name in DISCARD] + stage(folder, path, parts, shard_cells)
        table = pd.DataFrame(steps).groupby("step", sort=False)
        rounds.append(table.agg({"s": "sum", "cpu s": "sum", "peak MiB": "max", "read MiB": "sum"}))
    table = pd.concat(rounds).groupby(level=0, sort=False).median()
    every = {name: [2 * r.loc[name, "s"] / r.loc[list(COUNTED), "s"].sum() for r in rounds] for name in DISCARD}
    print("shares of the rounds:", {name: [round(float(x), 2) for x in shares] for name, shares in every.items()})
    print(f"\n{cells:,} cells x {genes:,} genes, about {expressed:,} expressed; {parts} parts, {shard_cells:,} a shard")
    print(table.round(1).to_string())
    counted = table.loc[list(COUNTED), "s"].sum()
    return {
        "cells": cells,
        "stage s": table.loc[["scan", "select", "scatter", "gather"], "s"].sum(),
        **{f"share of {name}": 2 * table.loc[name, "s"] / counted for name in DISCARD},
        "peak MiB": table.drop(list(DISCARD))["peak MiB"].max(),
        "read MiB": table.loc[["scan", "scatter"], "read MiB"].sum(),
        "scatter MiB": size(folder / "stage" / "scatter"),
        "store MiB": size(path),
        "shards MiB": size(folder / "stage" / "shards"),
    }


def main() -> None:
    """Measure each number of cells; with several, print the exponent of growth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    for name, config in DISCARD.items():
        parser.add_argument(name, type=lambda path, config=config: discard(Path(path), config), help=argparse.SUPPRESS)
    parser.add_argument("--cells", type=int, nargs="+", default=[60_000])
    parser.add_argument("--genes", type=int, default=19_000)
    parser.add_argument("--expressed", type=int, default=1_900)
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--shard-cells", type=int, default=16_000)
    a = parser.parse_args()
    if not a.folder:
        return
    rows = [run(a.folder, cells, a.genes, a.expressed, a.parts, a.shard_cells) for cells in a.cells]
    print("\n" + pd.DataFrame(rows).round(2).to_string(index=False))
    if len(rows) > 1:
        exponent = np.polyfit(np.log(a.cells), np.log([row["stage s"] for row in rows]), 1)[0]
        print(f"time grows with cells to the power {exponent:.2f}")


if __name__ == "__main__":
    main()
