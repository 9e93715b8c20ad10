"""`scfm benchmarks`: prepare datasets, embed them, predict cells of them."""

from pathlib import Path
from typing import Annotated

import typer

from scfm.benchmarks.options import Code, Datasets, Device, Embeddings, Out, Run, RunSettings, Seed, Seen, Slice, Work
from scfm.benchmarks.settings import Preparation
from scfm.benchmarks.task_settings import DonorTask, PerturbationTask
from scfm.errors import ScfmError
from scfm.files import whole
from scfm.settings import parse

app = typer.Typer()


@app.command()
def prepare(
    dataset_settings: Annotated[str, typer.Option(help="dataset row, tasks and contamination as JSON")],
    hgnc: Annotated[Path, typer.Option(help="HGNC complete set")],
    out: Out,
    input: Annotated[Path, typer.Option(help="deposited h5ad, or folder")],
    cell_ontology: Annotated[
        Path | None, typer.Option(help="check the cells' ontology ids against this release")
    ] = None,
    orthologs: Annotated[Path | None, typer.Option(help="orthologs, for a species other than human")] = None,
    library: Annotated[Path | None, typer.Option(help="compound library: mechanisms by catalogue number")] = None,
) -> None:
    """Bring one deposited dataset into the form that every benchmark reads."""
    from scfm.benchmarks.library import read_library
    from scfm.benchmarks.prepare import prepare as run
    from scfm.genes import read_hgnc
    from scfm.ontology import Ontology
    from scfm.orthologs import read_pairs

    settings = parse(Preparation, dataset_settings, "--dataset-settings")
    ontology = Ontology.read(cell_ontology) if cell_ontology else None
    pairs = read_pairs(orthologs, settings.dataset.species) if orthologs else None
    adata = run(input, settings, read_hgnc(hgnc), ontology, pairs, read_library(library) if library else None)
    with whole(out) as temporary:
        adata.write_h5ad(temporary, compression="gzip")
    facts = adata.uns["scfm"]
    kinds = ("with_ortholog", "with_several", "unknown", "merged", "dropped")
    genes = ", ".join(
        f"{facts[f'genes_{kind}']:,} {kind.replace('_', ' ')}" for kind in kinds if f"genes_{kind}" in facts
    )
    print(
        f"benchmarks prepare {facts['name']}: {adata.n_obs:,} cells ({facts['cells_without_known_gene']} dropped), "
        f"{adata.n_vars:,} of {facts['genes_deposited']:,} genes ({genes}), {facts['values']}, "
        f"contaminated: {facts['contaminated']}" + (f", {facts['held_out']}" if facts["held_out"] else "")
    )


@app.command()
def contamination(
    shards: Annotated[Path, typer.Option(help="training shards")],
    stored: Annotated[Path, typer.Option(help="CSV of 'scfm corpus datasets'")],
    settings: Annotated[str, typer.Option(help="JSON with datasets (rows of the sheet) and taken (run to stages)")],
    out: Out,
) -> None:
    """Look for the benchmark datasets among the training cells of each run."""
    import pandas as pd

    from scfm.benchmarks.contamination import contamination as run
    from scfm.benchmarks.seen import SEEN, UNKNOWN
    from scfm.benchmarks.settings import Exposure
    from scfm.files import must_exist

    asked = parse(Exposure, settings, "--settings")
    cells = pd.read_parquet(must_exist(shards / "cells.parquet", "training shards"), columns=["dataset_id", "split"])
    listed = pd.read_csv(must_exist(stored, "datasets of the store"), keep_default_na=False, dtype=str)
    table = run(cells, listed, asked.datasets, asked.taken, asked.untold)
    with whole(out) as temporary:
        table.to_csv(temporary, index=False)
    seen = {word: table.loc[table["seen"] == word, "dataset"].nunique() for word in (SEEN, UNKNOWN)}
    print(
        f"benchmarks contamination: of {len(asked.datasets)} datasets {seen[SEEN]} seen in training, "
        f"{seen[UNKNOWN]} unknown"
    )


@app.command()
def embed(
    datasets: Datasets,
    model: Annotated[str, typer.Option(help="model directory, 'pca', 'scvi', or a file of vectors (h5ad, parquet)")],
    run: Run,
    seed: Seed,
    out: Out,
    settings: Annotated[str, typer.Option(help="settings of PCA, scVI or the file of vectors as JSON")] = "{}",
    contamination: Seen = None,
    device: Device = "auto",
) -> None:
    """Embed all datasets with one model."""
    from scfm.benchmarks.embed import embed as embed_all
    from scfm.benchmarks.embedders import open_embedder
    from scfm.benchmarks.seen import read_contamination

    seen = read_contamination(contamination) if contamination else None
    adata = embed_all(open_embedder(model, settings, device), datasets, run, seed, seen)
    with whole(out) as temporary:
        adata.write_h5ad(temporary)
    widths = ", ".join(f"{pooling} {table.shape[1]}" for pooling, table in adata.obsm.items())
    print(f"benchmarks embed {run}: {adata.n_obs:,} cells of {len(datasets)} datasets, width {widths}")


@app.command()
def embed_donors(
    embeddings: Embeddings,
    model: Annotated[Path, typer.Option(help="model directory of a system of donors")],
    pooling: Annotated[str, typer.Option(help="pooling of the cells' vectors that it reads")],
    run: Run,
    seed: Seed,
    out: Out,
    settings: Slice = "{}",
    device: Device = "auto",
) -> None:
    """Embed the donors of all datasets that are asked for donor or cytokine, given the vectors of their cells."""
    import scfm
    from scfm.benchmarks.embed_donors import embed_donors as embed_all

    task = parse(DonorTask, settings, "--settings")
    adata = embed_all(scfm.load(model, device), embeddings, pooling, run, seed, task)
    with whole(out) as temporary:
        adata.write_h5ad(temporary)
    whole_samples = adata[adata.obs["half"] == ""]
    widths = adata.obsm["donor"].shape[1]
    print(f"benchmarks embed_donors {run}: {whole_samples.n_obs:,} samples and their halves, {widths} wide")


@app.command()
def concatenate(
    embeddings: Annotated[list[Path], typer.Argument(help="h5ad files of 'scfm benchmarks embed'")],
    pooling: Annotated[list[str], typer.Option(help="pooling taken of each file, in their order; repeat")],
    run: Run,
    out: Out,
) -> None:
    """Put embeddings of several runs side by side, as one more model."""
    from scfm.benchmarks.concatenate import concatenate as join

    adata = join(embeddings, pooling, run)
    with whole(out) as temporary:
        adata.write_h5ad(temporary)
    ((name, table),) = adata.obsm.items()
    print(f"benchmarks concatenate {run}: {adata.n_obs:,} cells, width {name} {table.shape[1]}")


@app.command()
def predict(
    datasets: Datasets,
    run_settings: RunSettings,
    run: Run,
    seed: Seed,
    work: Work,
    out: Out,
    settings: Slice = "{}",
    device: Device = "auto",
    code: Code = "",
) -> None:
    """Perturbed cells that were held out, by a system trained anew on the training cells of each fold."""
    from scfm.benchmarks.predict import predict as predict_all
    from scfm.benchmarks.predict import summary
    from scfm.device import torch_device
    from scfm.memory import keep_freed_memory
    from scfm.pretrain.settings import parse_run

    keep_freed_memory()
    task, resolved = parse(PerturbationTask, settings, "--settings"), parse_run(run_settings, "--run-settings")
    if not resolved.model.predicts:
        raise ScfmError(f"run '{run}': a system '{resolved.system}' with these settings predicts no perturbed cells")
    devices = int(torch_device(device) == "cuda")
    predicted = predict_all(datasets, resolved, task, run, seed, work, devices, code)
    with whole(out) as temporary:
        predicted.write_h5ad(temporary, compression="gzip")
    for line in summary(predicted):
        print(f"benchmarks predict {run}/{seed}: {line}")
