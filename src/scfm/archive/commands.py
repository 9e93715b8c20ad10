"""`scfm archive`: pack the results of a study."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def archive() -> None:
    """Pack the results of a study."""


@app.command()
def pack(
    targets: Annotated[list[str], typer.Argument(help="What the study is for: report, claims, tables, figures.")],
    study: Annotated[str, typer.Option(help="Name of the study.")],
    given: Annotated[str, typer.Option(help="Keys beyond config/config.yaml that make the study, as JSON.")],
    results: Annotated[str, typer.Option(help="Folder of the study's results.")],
    timings: Annotated[str, typer.Option(help="Folder of the jobs' measurements.")],
    temporary: Annotated[str, typer.Option(help="Folder of outputs deleted by intention.")],
    shards: Annotated[str, typer.Option(help="Folder of the training shards.")],
    out: Annotated[Path, typer.Option(help="The archive, a tar file.")],
    with_shards: Annotated[
        bool, typer.Option("--with-shards/--without-shards", help="Pack the shards, not their manifest alone.")
    ] = True,
) -> None:
    """Pack results with all that they stem from, checksums, Snakemake's records and the workflow; run in a clone."""
    from scfm.archive import Request
    from scfm.archive import pack as run

    request = Request(
        study, json.loads(given), tuple(targets), results, timings, temporary, shards, with_shards=with_shards
    )
    packed = run(request, out)
    without = "" if with_shards else f", without the shards of {shards}"
    print(f"archive pack: {packed.files:,} files, {packed.size:,} bytes in {out}{without}")
