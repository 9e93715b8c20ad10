"""`scfm paper`: tidy results, tables, claims and the report."""

import json
from pathlib import Path
from typing import Annotated

import typer

from scfm.errors import ScfmError
from scfm.files import whole
from scfm.options import by_run_and_seed, named
from scfm.paper.options import Out, SettingsText, TidyFiles, write
from scfm.paper.table_commands import tables

app = typer.Typer(no_args_is_help=True)
app.add_typer(tables, name="table", help="Write one table as CSV.")


@app.command()
def tidy(
    files: Annotated[list[Path], typer.Argument(help="Tidy tables of the benchmarks.")],
    out: Out,
    out_summary: Annotated[Path | None, typer.Option(help="Also write mean, SD and range over the seeds.")] = None,
) -> None:
    """Join tidy tables; optionally summarise them over folds and seeds."""
    from scfm.paper.tidy import in_one_column, read_tidy, summarise

    results = read_tidy(files)
    if out_summary:
        write(in_one_column(summarise(results)), out_summary, "paper summary")
    write(in_one_column(results), out, "paper tidy")


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
    split: Annotated[Path | None, typer.Option(help="split.csv of the corpus.")] = None,
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
    results = Results(read_tidy(tidy), folders, agreement, check, split)
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
    tidy: Annotated[Path | None, typer.Option(help="Tidy results that cells of the tables lead to.")] = None,
    config: Annotated[list[str] | None, typer.Option(help="RUN/SEED=config.json of a model; repeat.")] = None,
    records: Annotated[Path | None, typer.Option(help="Snakemake's records, to draw the workflow from.")] = None,
) -> None:
    """Write the one page that a reviewer opens first; it needs no network and no other file."""
    from scfm.paper.report import Inputs, images, write_report

    figures = {name: images(path) for name, path in named(figure or [], "--figure").items()}
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
        tidy=tidy,
        configs=by_run_and_seed(config or [], "--config"),
        records=records,
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
