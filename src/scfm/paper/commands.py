"""`scfm paper`: tidy results, tables, claims and the report."""

import json
from pathlib import Path
from typing import Annotated

import typer

from scfm.errors import ScfmError
from scfm.files import whole
from scfm.options import by_run_and_seed, named

app = typer.Typer(no_args_is_help=True)
tables = typer.Typer(no_args_is_help=True)
app.add_typer(tables, name="table", help="Write one table as CSV.")

Out = Annotated[Path, typer.Option("--out", help="CSV to write.")]
TidyFiles = Annotated[list[Path], typer.Option("--tidy", help="Tidy results; repeat for each file.")]
PublishedFile = Annotated[Path, typer.Option("--published", help="CSV of published values.")]
SettingsText = Annotated[str, typer.Option("--settings", help="JSON of the study's `paper` settings.")]


def _write(table: object, out: Path, what: str) -> None:
    with whole(out) as temporary:
        table.to_csv(temporary, index=False)
    print(f"{what}: {len(table):,} rows, {table.shape[1]} columns")


@app.command()
def tidy(
    files: Annotated[list[Path], typer.Argument(help="Tidy tables of the benchmarks.")],
    out: Out,
    out_summary: Annotated[Path | None, typer.Option(help="Also write mean, SD and range over the seeds.")] = None,
) -> None:
    """Join tidy tables; optionally summarise them over folds and seeds."""
    from scfm.paper.tidy import read_tidy, summarise

    results = read_tidy(files)
    if out_summary:
        _write(summarise(results), out_summary, "paper summary")
    _write(results, out, "paper tidy")


@tables.command("1")
def table1(
    run: Annotated[list[str], typer.Option(help="NAME=FILE: a run's settings as JSON; repeat for each run.")],
    published: PublishedFile,
    out: Out,
) -> None:
    """Hyperparameters of every run beside the published ones."""
    from scfm.paper.tables.hyperparameters import hyperparameters, read_run

    runs = {name: read_run(path) for name, path in named(run, "--run").items()}
    _write(hyperparameters(runs, published), out, "paper table 1")


@tables.command("2")
def table2(
    sizes: Annotated[Path, typer.Option(help="families.csv of the annotation stage.")],
    families: Annotated[list[str], typer.Option(help="RUN/SEED=families.csv of learnability; repeat.")],
    out: Out,
) -> None:
    """Gene families: published and own sizes, winner rates and odds ratios."""
    from scfm.paper.tables.families import families as family_table

    _write(family_table(sizes, by_run_and_seed(families, "--families")), out, "paper table 2")


@tables.command("3")
def table3(
    genes: Annotated[list[str], typer.Option(help="RUN/SEED=FILE: genes.parquet of learnability; repeat.")],
    out: Out,
) -> None:
    """Genes that a run learns less well than their sparsity predicts."""
    from scfm.paper.tables.genes import losers

    _write(losers(by_run_and_seed(genes, "--genes")), out, "paper table 3")


@tables.command("learnability")
def learnability(
    learnability: Annotated[list[str], typer.Option(help="RUN/SEED=FOLDER: learnability tables; repeat.")],
    out: Annotated[Path, typer.Option(help="Folder of the CSV files to write.")],
) -> None:
    """Winners beside the null models, sensitivity, cross-tabulation, detection and gating of every run."""
    from scfm.paper.tables.learnability import learnability_tables

    found = learnability_tables(by_run_and_seed(learnability, "--learnability"))
    for name, table in found.items():
        with whole(out / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    print("paper table learnability: " + ", ".join(f"{name} {len(table):,} rows" for name, table in found.items()))


@tables.command("4")
def table4(
    tidy: TidyFiles,
    contrast: Annotated[list[str], typer.Option(help="RUN/POOLING-RUN/POOLING; repeat for each difference.")],
    out: Out,
) -> None:
    """Differences between runs for each dataset, e.g. WCED - MLM."""
    from scfm.paper.tables.difference import differences, parse_contrast
    from scfm.paper.tidy import read_tidy

    _write(differences(read_tidy(tidy), [parse_contrast(text) for text in contrast]), out, "paper table 4")


def _by_dataset(name: str, tidy: list[Path], out: Path) -> None:
    from scfm.paper.tables.by_dataset import MEASURES, metric_by_dataset
    from scfm.paper.tidy import read_tidy

    _write(metric_by_dataset(read_tidy(tidy), *MEASURES[name]), out, f"paper table {name}")


@tables.command("5")
def table5(tidy: TidyFiles, out: Out) -> None:
    """Score of zero-shot batch integration: 0.6 AvgBio + 0.4 AvgBatch."""
    _by_dataset("5", tidy, out)


@tables.command("6")
def table6(tidy: TidyFiles, out: Out) -> None:
    """AvgBio of zero-shot batch integration."""
    _by_dataset("6", tidy, out)


@tables.command("7")
def table7(tidy: TidyFiles, out: Out) -> None:
    """AvgBatch of zero-shot batch integration."""
    _by_dataset("7", tidy, out)


@tables.command("macro-f1")
def macro_f1(tidy: TidyFiles, out: Out) -> None:
    """Macro F1 of label prediction on frozen embeddings."""
    _by_dataset("macro-f1", tidy, out)


@tables.command("ontology")
def ontology(tidy: TidyFiles, out: Out) -> None:
    """Every metric of zero-shot annotation with the ontology."""
    from scfm.paper.tables.by_dataset import by_run
    from scfm.paper.tidy import read_tidy

    _write(by_run(read_tidy(tidy), "ontology"), out, "paper table ontology")


@tables.command("controls")
def controls(tidy: TidyFiles, out: Out) -> None:
    """Which runs beat the same network with random weights."""
    from scfm.paper.tables.controls import controls as control_table
    from scfm.paper.tidy import read_tidy

    _write(control_table(read_tidy(tidy)), out, "paper table controls")


@tables.command("ablations")
def ablations(
    pair: Annotated[list[str], typer.Option(help="ABLATION=BASE: two runs; repeat for each ablation.")],
    model: Annotated[list[str], typer.Option(help="RUN/SEED=FOLDER: model directory; repeat for each run and seed.")],
    min_nonzero: Annotated[int, typer.Option(help="Fewest nonzero validation targets of a gene that counts.")],
    out: Out,
    tidy: Annotated[list[Path] | None, typer.Option(help="Tidy results; repeat for each file.")] = None,
) -> None:
    """Runs that differ in one thing, side by side."""
    from scfm.paper.tables.ablations import ablations as ablation_table
    from scfm.paper.tidy import read_tidy

    pairs = {name: str(base) for name, base in named(pair, "--pair").items()}
    models = by_run_and_seed(model, "--model")
    _write(ablation_table(pairs, read_tidy(tidy) if tidy else None, models, min_nonzero), out, "paper table ablations")


@tables.command("14")
def table14(
    datasets: Annotated[Path, typer.Option(help="The sheet of datasets (config/datasets.tsv).")],
    published: PublishedFile,
    out: Out,
    prepared: Annotated[list[Path] | None, typer.Option(help="A prepared benchmark dataset (h5ad); repeat.")] = None,
    cells: Annotated[Path | None, typer.Option(help="cells.parquet of the corpus.")] = None,
    contamination: Annotated[Path | None, typer.Option(help="CSV of 'scfm benchmarks contamination'.")] = None,
) -> None:
    """Datasets: what is in them and what they are used for."""
    from scfm.datasets import read_datasets
    from scfm.paper.tables.datasets import datasets_table

    table = datasets_table(read_datasets(datasets), prepared or [], cells, published, contamination)
    _write(table, out, "paper table 14")


@app.command()
def claims(
    claims: Annotated[Path, typer.Option(help="config/claims.yaml.")],
    scale: Annotated[str, typer.Option(help="Scale of this study: demo, mini or paper.")],
    tidy: TidyFiles,
    out: Out,
    settings: SettingsText = "{}",
    learnability: Annotated[
        list[str] | None, typer.Option(help="RUN/SEED=FOLDER: learnability tables; repeat for each run and seed.")
    ] = None,
    agreement: Annotated[Path | None, typer.Option(help="agreement.csv of learnability.")] = None,
    check: Annotated[Path | None, typer.Option(help="check.csv of the planted truth.")] = None,
) -> None:
    """Judge every claim: holds, does not hold, not tested here."""
    from scfm.paper.claims import judge_claims, read_claims
    from scfm.paper.evidence import Results
    from scfm.paper.settings import SCALES, Paper
    from scfm.paper.tidy import read_tidy
    from scfm.settings import parse

    if scale not in SCALES:
        raise ScfmError(f"--scale: {scale!r} is unknown; write one of {', '.join(SCALES)}")
    folders = by_run_and_seed(learnability or [], "--learnability")
    results = Results(read_tidy(tidy), folders, agreement, check)
    table = judge_claims(read_claims(claims), results, scale, parse(Paper, settings, "--settings"))
    with whole(out) as temporary:
        table.to_csv(temporary, index=False)
    counts = table.verdict.value_counts(sort=False)
    print("paper claims: " + ", ".join(f"{number} {verdict}" for verdict, number in counts.items()))


@app.command()
def report(
    study: Annotated[str, typer.Option(help="Name of the study.")],
    scale: Annotated[str, typer.Option(help="Scale of this study: demo, mini or paper.")],
    claims: Annotated[Path, typer.Option(help="claims.csv.")],
    captions: Annotated[Path, typer.Option(help="Folder of captions, NAME.rst for each table and figure.")],
    out: Annotated[Path, typer.Option(help="HTML page to write.")],
    table: Annotated[list[str] | None, typer.Option(help="NAME=CSV, e.g. table5=...; repeat.")] = None,
    figure: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER of PNG files, or PNG; repeat.")] = None,
    scatter: Annotated[
        list[str] | None, typer.Option(help="RUN/SEED=FOLDER of scatter.png and scatter.html; repeat.")
    ] = None,
    corpus: Annotated[list[Path] | None, typer.Option(help="CSV or JSON of the corpus (QC, split, …).")] = None,
    training: Annotated[list[str] | None, typer.Option(help="RUN/SEED=metrics.csv; repeat.")] = None,
    check: Annotated[Path | None, typer.Option(help="check.csv of the planted truth.")] = None,
    resources: Annotated[Path | None, typer.Option(help="Manifest of the external files.")] = None,
    timings: Annotated[list[Path] | None, typer.Option(help="Folder of Snakemake benchmark files; repeat.")] = None,
    settings: Annotated[str, typer.Option(help="JSON of the study's settings, shown as they are.")] = "{}",
) -> None:
    """Write the one page that a reviewer opens first; it needs no network and no other file."""
    from scfm.paper.report import Inputs, write_report

    figures = {name: _images(path) for name, path in named(figure or [], "--figure").items()}
    inputs = Inputs(
        study=study,
        scale=scale,
        claims=claims,
        captions=captions,
        tables=named(table or [], "--table"),
        figures=figures,
        scatters=by_run_and_seed(scatter or [], "--scatter"),
        corpus=corpus or [],
        training=by_run_and_seed(training or [], "--training"),
        checks=check,
        resources=resources,
        timings=timings or [],
        settings=_json(settings, "--settings"),
    )
    counts = write_report(inputs, out)
    print(f"paper report: {', '.join(f'{number} {name}' for name, number in counts.items())}; open {out}")


@app.command()
def notebook(
    source: Annotated[Path, typer.Argument(help="Notebook whose first code cell is tagged `parameters`.")],
    out: Annotated[Path, typer.Option(help="The executed notebook.")],
    log: Annotated[Path, typer.Option(help="The same, written cell by cell; keeps the traceback of a failure.")],
    parameters: Annotated[str, typer.Option(help="JSON of the parameters to replace.")] = "{}",
) -> None:
    """Run a notebook."""
    from scfm.paper.notebook import run_notebook

    cells = run_notebook(source, out, log, _json(parameters, "--parameters"))
    print(f"paper notebook: {cells} cells of {source}, in {out}")


def _json(text: str, option: str) -> dict:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ScfmError(f"{option}: not valid JSON ({error}); give a mapping as JSON") from error


def _images(path: Path) -> list[Path]:
    """The PNG files of a figure's folder by name, or the one file given."""
    found = sorted(path.glob("*.png")) if path.is_dir() else [path]
    if not found:
        raise ScfmError(f"{path}: no PNG file in this folder; run the figure's notebook again")
    return found
