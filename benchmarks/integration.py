"""Integration metrics of one embedding: seconds for each, beside scib on the same cells."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer

from scfm.benchmarks.integration import score
from scfm.benchmarks.metrics.clustering import best_clustering
from scfm.benchmarks.metrics.connectivity import graph_connectivity
from scfm.benchmarks.metrics.neighbors import connectivities
from scfm.benchmarks.metrics.silhouette import asw_batch, asw_label
from scfm.benchmarks.settings import Integration

SCIB = """
import sys, time
import anndata, numpy as np, pandas as pd, scanpy as sc, scib

data = np.load(sys.argv[1])
adata = anndata.AnnData(np.zeros((len(data["vectors"]), 1), np.float32))
adata.obsm["x"] = data["vectors"]
adata.obs["label"], adata.obs["batch"] = pd.Categorical(data["labels"]), pd.Categorical(data["batches"])

def timed(name, function):
    start = time.perf_counter()
    value = function()
    print(name, f"{time.perf_counter() - start:.1f}", value, sep="\\t", flush=True)

def clustering():
    scib.me.cluster_optimal_resolution(adata, label_key="label", cluster_key="cluster")
    return f"{scib.me.nmi(adata, 'cluster', 'label'):.4f}"

sc.pp.neighbors(adata[:200].copy(), use_rep="x")  # compiles
timed("nearest neighbours", lambda: sc.pp.neighbors(adata, n_neighbors=15, use_rep="x"))
timed("Leiden at ten resolutions, NMI and ARI", clustering)
timed("graph connectivity", lambda: f"{scib.me.graph_connectivity(adata, 'label'):.4f}")
timed("ASW of labels", lambda: f"{scib.me.silhouette(adata, 'label', 'x'):.4f}")
timed("ASW of batches", lambda: f"{scib.me.silhouette_batch(adata, 'batch', 'label', 'x', verbose=False):.4f}")
"""


def simulate(cells: int, width: int, labels: int, batches: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Normal cells around a centre for each label, moved a little by batch; label sizes fall off geometrically."""
    rng = np.random.default_rng(seed)
    shares = 0.8 ** np.arange(labels)
    label = rng.choice(labels, cells, p=shares / shares.sum())
    batch = rng.integers(batches, size=cells)
    centres, shifts = rng.normal(0, 0.35, (labels, width)), rng.normal(0, 0.15, (batches, width))
    vectors = centres[label] + shifts[batch] + rng.normal(0, 1, (cells, width))
    names = {"labels": np.char.add("type ", label.astype(str)), "batches": np.char.add("batch ", batch.astype(str))}
    return {"vectors": vectors.astype(np.float32), **names}


def timed(function: Callable[[], object]) -> tuple[float, object]:
    """(seconds, what `function` returned)."""
    start = time.perf_counter()
    value = function()
    return time.perf_counter() - start, value


def ours(data: dict[str, np.ndarray], settings: Integration) -> dict[str, tuple[float, float]]:
    """Part to (seconds, value)."""
    vectors, labels, batches = data["vectors"], data["labels"], data["batches"]
    seconds, graph = timed(lambda: connectivities(vectors, settings.neighbors))
    parts = {"nearest neighbours": (seconds, float("nan"))}
    seconds, best = timed(lambda: best_clustering(graph, labels, settings.resolutions, settings.seed))
    parts["Leiden at ten resolutions, NMI and ARI"] = seconds, best[0]
    parts["graph connectivity"] = timed(lambda: graph_connectivity(graph, labels))
    parts["ASW of labels"] = timed(lambda: asw_label(vectors, labels))
    parts["ASW of batches"] = timed(lambda: asw_batch(vectors, labels, batches))
    return parts


def of_scib(python: Path, data: dict[str, np.ndarray]) -> dict[str, tuple[float, str]]:
    """The same by scib, in the environment of another Python."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "data.npz"
        np.savez(file, **data)
        command = [python, "-W", "ignore", "-c", SCIB, file]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t") for line in text.splitlines() if line.count("\t") == 2]
    return {name: (float(seconds), value) for name, seconds, value in rows}


def main(
    cells: int = 30_000,
    width: int = 384,
    labels: int = 20,
    batches: int = 8,
    scib: Annotated[Path | None, typer.Option(help="Python of an environment with scib; 'pip install scib'")] = None,
) -> None:
    """Time the metrics of one generated embedding."""
    data, settings = simulate(cells, width, labels, batches), Integration(max_silhouette_cells=10**9)
    small = {name: values[:500] for name, values in data.items()}
    score(small["vectors"], small["labels"], small["batches"], settings)  # imports
    found = ours(data, settings)
    peer = of_scib(scib, data) if scib else {}
    print(f"{cells:,} cells × {width}, {labels} labels, {batches} batches\n")
    print("| part | seconds | value |" + (" scib, seconds | value | scib / ours |" if peer else ""))
    print("|---|---|---|" + ("---|---|---|" if peer else ""))
    for name, (seconds, value) in found.items():
        beside = ""
        if peer:
            theirs, other = peer[name]
            beside = f" {theirs:.1f} | {other} | {theirs / seconds:.1f} |"
        print(f"| {name} | {seconds:.1f} | {value:.4f} |{beside}")
    total = sum(seconds for seconds, _ in found.values())
    theirs = sum(seconds for seconds, _ in peer.values())
    print(f"| all | {total:.1f} | |" + (f" {theirs:.1f} | | {theirs / total:.1f} |" if peer else ""))


if __name__ == "__main__":
    typer.run(main)
