"""`scfm resources`: fetch one external file, list those fetched."""

from pathlib import Path
from typing import Annotated

import typer

from scfm.resources.settings import Resource
from scfm.settings import parse

app = typer.Typer(no_args_is_help=True)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Key in config/resources.yaml.")],
    settings: Annotated[str, typer.Option(help="The resource's entry as JSON.")],
    partial: Annotated[Path, typer.Option(help="Where an unfinished download waits for the next run.")],
    out: Annotated[Path, typer.Option(help="The fetched file.")],
    record: Annotated[Path, typer.Option(help="JSON: size, sha256, source, date, release, licence.")],
    mirror: Annotated[Path | None, typer.Option(help="Folder with copies; if given, only from there.")] = None,
    attempts: Annotated[int, typer.Option(min=1, help="Attempts in a row that bring no new byte.")] = 5,
    backoff: Annotated[float, typer.Option(min=0, help="Seconds before the second attempt, then doubled.")] = 1.0,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds without an answer or a byte.")] = 60.0,
) -> None:
    """Fetch one file from its package, the mirror folder or by URL, verify and record it."""
    resource = parse(Resource, settings, "--settings")

    from scfm.resources.download import Retries
    from scfm.resources.fetch import fetch as fetch_one

    entry = fetch_one(name, resource, mirror, partial, out, record, Retries(attempts, backoff, timeout))
    print(f"resources fetch: {name}, {entry.size:,} bytes from {entry.source}, verified by {entry.verified}")


@app.command()
def manifest(
    records: Annotated[list[Path], typer.Argument(help="Records that fetches left.")],
    out: Annotated[Path, typer.Option(help="Tab-separated table, one line a file.")],
) -> None:
    """Write the records of all fetched files as one table."""
    from scfm.resources.manifest import write_manifest

    files = write_manifest(records, out)
    print(f"resources manifest: {files} file{'' if files == 1 else 's'}")
