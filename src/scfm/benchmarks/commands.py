"""`scfm benchmarks`: prepare datasets, embed them, score the embeddings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scfm.benchmarks.settings import (
    Clustering,
    Disease,
    FinetuneTask,
    Heldout,
    Integration,
    Moa,
    OntologyTask,
    PerturbationTask,
    Preparation,
    Probe,
)
from scfm.files import whole
from scfm.settings import parse

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out")]
Embeddings = Annotated[Path, typer.Option(help="h5ad of 'scfm benchmarks embed'")]
Datasets = Annotated[list[Path], typer.Argument(help="h5ad files of 'scfm benchmarks prepare'")]
Study = Annotated[str, typer.Option(help="name of the study, for the tables")]
Run = Annotated[str, typer.Option(help="name of the run, for the tables")]
Seed = Annotated[int, typer.Option(help="seed of the run, for the tables")]
Device = Annotated[str, typer.Option(help="where the model runs: auto, cpu or gpu")]
Slice = Annotated[str, typer.Option("--settings", help="settings of this task as JSON")]
Seen = Annotated[Path | None, typer.Option(help="CSV of 'scfm benchmarks contamination'")]


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
    settings: Annotated[str, typer.Option(help="JSON with datasets (rows of the sheet) and shares (run to fraction)")],
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
    table = run(cells, listed, asked.datasets, asked.shares, asked.untold)
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
def integration(embeddings: Embeddings, study: Study, out: Out, settings: Slice = "{}") -> None:
    """Zero-shot batch integration of every embedding."""
    from scfm.benchmarks.integration import integration as run
    from scfm.benchmarks.results import write_tidy

    table = run(embeddings, parse(Integration, settings, "--settings"), study)
    write_tidy(out, table)
    print(_mean_line("integration", table, "avg_bio"))


@app.command()
def clustering(embeddings: Embeddings, study: Study, out: Out, settings: Slice = "{}") -> None:
    """Clusters of every embedding against cell types."""
    from scfm.benchmarks.clustering import clustering as run
    from scfm.benchmarks.results import write_tidy

    table = run(embeddings, parse(Clustering, settings, "--settings"), study)
    write_tidy(out, table)
    print(_mean_line("clustering", table, "ari"))


@app.command()
def probe(embeddings: Embeddings, study: Study, out: Out, settings: Slice = "{}") -> None:
    """Label prediction on every embedding."""
    from scfm.benchmarks.probe import probe as run
    from scfm.benchmarks.results import write_tidy

    table = run(embeddings, parse(Probe, settings, "--settings"), study)
    write_tidy(out, table)
    print(_mean_line("probe", table, "macro_f1"))


@app.command()
def heldout(embeddings: Embeddings, study: Study, out: Out, settings: Slice = "{}") -> None:
    """Label prediction on held-out batches, for every embedding."""
    from scfm.benchmarks.heldout import heldout as run
    from scfm.benchmarks.results import write_tidy

    table = run(embeddings, parse(Heldout, settings, "--settings"), study)
    write_tidy(out, table)
    print(_mean_line("heldout", table, "macro_f1"))


@app.command()
def moa(embeddings: Embeddings, study: Study, out: Out, settings: Slice = "{}") -> None:
    """Mechanism of action of drugs held out, by every embedding."""
    from scfm.benchmarks.moa import moa as run
    from scfm.benchmarks.results import write_tidy

    table = run(embeddings, parse(Moa, settings, "--settings"), study)
    write_tidy(out, table)
    print(_mean_line("moa", table, "auroc"))


@app.command()
def disease(
    datasets: Datasets,
    embeddings: Embeddings,
    study: Study,
    out: Out,
    out_clusters: Annotated[Path, typer.Option(help="CSV of the clusters and how they express the signature")],
    settings: Slice = "{}",
) -> None:
    """The state of a cell type that comes with a disease, by the clusters of every embedding."""
    from scfm.benchmarks.disease import disease as run
    from scfm.benchmarks.results import write_tidy

    results = run(embeddings, datasets, parse(Disease, settings, "--settings"), study)
    for path, table in zip((out, out_clusters), results, strict=True):
        write_tidy(path, table)
    print(_mean_line("disease", results[0], "found"))


@app.command()
def perturbation(
    datasets: Datasets,
    study: Study,
    out: Out,
    out_pairs: Annotated[Path, typer.Option(help="CSV of the metrics of every held-out perturbation and background")],
    settings: Slice = "{}",
    predictions: Annotated[Path | None, typer.Option(help="h5ad of predicted cells; baselines alone without")] = None,
    run: Run = "",
    seed: Seed = 0,
) -> None:
    """Predicted cells of perturbations that were held out, and the baselines, against the real ones."""
    from scfm.benchmarks.perturbation import perturbation as score
    from scfm.benchmarks.results import write_tidy
    from scfm.errors import ScfmError

    if bool(predictions) != bool(run):
        raise ScfmError("benchmarks perturbation: --predictions and --run go together; give both or none")
    results = score(datasets, parse(PerturbationTask, settings, "--settings"), study, run, seed, predictions)
    for path, table in zip((out, out_pairs), results, strict=True):
        write_tidy(path, table)
    chosen = results[0][results[0]["metric"] == "pearson_delta"].groupby("run", sort=False)["value"].mean()
    values = ", ".join(f"{name} {value:.3f}" for name, value in chosen.items())
    print(f"benchmarks perturbation: {results[0]['dataset'].nunique()} datasets, mean pearson_delta {values}")


@app.command()
def ontology(
    datasets: Datasets,
    model: Annotated[Path, typer.Option(help="model directory")],
    run: Run,
    seed: Seed,
    study: Study,
    cell_ontology: Annotated[Path, typer.Option(help="Cell Ontology, .obo or CELLxGENE .json, gzipped or not")],
    out: Out,
    out_types: Annotated[Path, typer.Option(help="CSV of predictions by true type")],
    out_nodes: Annotated[Path, typer.Option(help="CSV of mean node probabilities by true type")],
    settings: Slice = "{}",
    contamination: Seen = None,
    device: Device = "auto",
) -> None:
    """Zero-shot annotation with the ontology."""
    import scfm
    from scfm.benchmarks.ontology import annotate
    from scfm.benchmarks.results import write_tidy
    from scfm.benchmarks.seen import read_contamination
    from scfm.ontology import Ontology

    task = parse(OntologyTask, settings, "--settings")
    whose = {"study": study, "run": run, "seed": seed}
    seen = read_contamination(contamination) if contamination else None
    results = annotate(scfm.load(model, device), datasets, Ontology.read(cell_ontology), task, seen, **whose)
    for path, table in zip((out, out_types, out_nodes), results, strict=True):
        write_tidy(path, table)
    print(_mean_line("ontology", results[0], "accuracy"))


@app.command()
def finetune(
    datasets: Datasets,
    model: Annotated[Path, typer.Option(help="model directory")],
    run: Run,
    seed: Seed,
    study: Study,
    out: Out,
    settings: Slice = "{}",
    contamination: Seen = None,
    device: Device = "auto",
) -> None:
    """Fine-tuning on held-out batches."""
    import scfm
    from scfm.benchmarks.finetune import finetune as finetune_all
    from scfm.benchmarks.results import write_tidy
    from scfm.benchmarks.seen import read_contamination
    from scfm.memory import keep_freed_memory

    keep_freed_memory()
    task = parse(FinetuneTask, settings, "--settings")
    seen = read_contamination(contamination) if contamination else None
    table = finetune_all(scfm.load(model, device), datasets, task, seen, study=study, run=run, seed=seed)
    write_tidy(out, table)
    print(_mean_line("finetune", table, "macro_f1"))


def _mean_line(task: str, table: "pd.DataFrame", metric: str) -> str:
    """One line with a task's main metric, mean over datasets for each pooling."""
    chosen = table[table["metric"] == metric].groupby("pooling", sort=False)["value"].mean()
    values = ", ".join(f"{pooling} {value:.3f}" for pooling, value in chosen.items())
    run, datasets = table["run"].iloc[0], table["dataset"].nunique()
    return f"benchmarks {task} {run}: {datasets} datasets, mean {metric} {values}"
