"""`scfm benchmarks`, the tasks: each scores the embeddings of one model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scfm.benchmarks.count_settings import Denoise, Imputation
from scfm.benchmarks.options import Datasets, Device, Embeddings, Out, Run, Seed, Seen, Slice, Study
from scfm.benchmarks.settings import Scvi
from scfm.benchmarks.task_settings import (
    Clustering,
    Cytokine,
    Disease,
    DonorTask,
    FinetuneTask,
    Heldout,
    Integration,
    Moa,
    OntologyTask,
    PerturbationTask,
    Probe,
)
from scfm.errors import ScfmError
from scfm.settings import parse

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer()


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
def donor(
    embeddings: Embeddings,
    study: Study,
    out: Out,
    settings: Slice = "{}",
    donors: Annotated[Path | None, typer.Option(help="h5ad with a model's own vectors of the donors")] = None,
) -> None:
    """Age, disease or condition of donors held out, by vectors made from their cells."""
    from scfm.benchmarks.donor import donor as run
    from scfm.benchmarks.results import write_tidy

    table = run(embeddings, parse(DonorTask, settings, "--settings"), study, donors)
    write_tidy(out, table)
    for metric in (name for name in ("pearson", "auroc", "retrieval_top1") if (table["metric"] == name).any()):
        print(_mean_line("donor", table, metric))


@app.command()
def cytokine(
    embeddings: Embeddings,
    donors: Annotated[Path, typer.Option(help="h5ad of 'scfm benchmarks embed-donors'")],
    model: Annotated[Path, typer.Option(help="model directory that these are of")],
    pooling: Annotated[str, typer.Option(help="pooling of the cells' vectors that it reads")],
    study: Study,
    out: Out,
    settings: Slice = "{}",
    samples: Annotated[str, typer.Option(help="settings of the task donor as JSON")] = "{}",
) -> None:
    """Vectors of treated donors held out, from those of their control samples."""
    import scfm
    from scfm.benchmarks.cytokine import cytokine as run
    from scfm.benchmarks.results import write_tidy
    from scfm.models.system import load_system

    fit = load_system(scfm.load(model, "cpu").about["settings"]["system"]).fit_change
    asked = parse(Cytokine, settings, "--settings"), parse(DonorTask, samples, "--samples")
    table = run(embeddings, donors, pooling, fit, *asked, study)
    write_tidy(out, table)
    print(_mean_line("cytokine", table, "error"))


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
    alone: Annotated[bool, typer.Option("--alone", help="write the rows of the run, not those of baselines")] = False,
) -> None:
    """Predicted cells of perturbations that were held out, and the baselines, against the real ones."""
    from scfm.benchmarks.perturbation import perturbation as score
    from scfm.benchmarks.results import write_tidy

    if bool(predictions) != bool(run):
        raise ScfmError("benchmarks perturbation: --predictions and --run go together; give both or none")
    if alone and not predictions:
        raise ScfmError("benchmarks perturbation: --alone needs --predictions; leave it out to score the baselines")
    results = score(datasets, parse(PerturbationTask, settings, "--settings"), study, run, seed, predictions, alone)
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


@app.command()
def denoise(
    datasets: Datasets,
    model: Annotated[Path, typer.Option(help="model directory")],
    run: Run,
    seed: Seed,
    study: Study,
    out: Out,
    settings: Slice = "{}",
    scvi: Annotated[
        str | None, typer.Option(help="settings of the baseline scVI as JSON; left out without them")
    ] = None,
    contamination: Seen = None,
    device: Device = "auto",
) -> None:
    """Hidden counts of a cell, predicted from the others."""
    import scfm
    from scfm.benchmarks.denoise import denoise as score
    from scfm.benchmarks.results import write_tidy
    from scfm.benchmarks.seen import read_contamination

    task = parse(Denoise, settings, "--settings")
    baseline = parse(Scvi, scvi, "--scvi") if scvi else None
    seen = read_contamination(contamination) if contamination else None
    table = score(scfm.load(model, device), datasets, task, baseline, seen, study=study, run=run, seed=seed)
    write_tidy(out, table)
    print(_mean_line("denoise", table, "rmse"))


@app.command()
def imputation(
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
    """Genes hidden from cells of a tissue, with and without positions."""
    import scfm
    from scfm.benchmarks.imputation import imputation as score
    from scfm.benchmarks.results import write_tidy
    from scfm.benchmarks.seen import read_contamination

    task = parse(Imputation, settings, "--settings")
    seen = read_contamination(contamination) if contamination else None
    table = score(scfm.load(model, device), datasets, task, seen, study=study, run=run, seed=seed)
    write_tidy(out, table)
    print(_mean_line("imputation", table, "pearson_median"))


def _mean_line(task: str, table: "pd.DataFrame", metric: str) -> str:
    """One line with a task's main metric, mean over datasets for each pooling."""
    chosen = table[table["metric"] == metric].groupby("pooling", sort=False)["value"].mean()
    values = ", ".join(f"{pooling} {value:.3f}" for pooling, value in chosen.items())
    run, datasets = table["run"].iloc[0], table["dataset"].nunique()
    return f"benchmarks {task} {run}: {datasets} datasets, mean {metric} {values}"
