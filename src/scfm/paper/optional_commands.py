"""`scfm paper table`: tables of tasks whose datasets a study may lack."""

from pathlib import Path
from typing import Annotated

import typer

from scfm.options import named
from scfm.paper.options import Needs, Out, PublishedFile, TidyIfAny, write

app = typer.Typer()


@app.command()
def moa(published: PublishedFile, out: Out, tidy: TidyIfAny = None, needs: Needs = None) -> None:
    """Mechanisms of action of held-out drugs, beside the published figures."""
    from scfm.paper.tables.moa import moa_table
    from scfm.paper.tidy import read_task

    write(moa_table(read_task(tidy or [], "moa"), published, named(needs or [], "--needs")), out, "paper table moa")


@app.command()
def disease(out: Out, tidy: TidyIfAny = None, needs: Needs = None) -> None:
    """The cluster with the signature of a disease, by every embedding."""
    from scfm.paper.tables.disease import disease_table
    from scfm.paper.tidy import read_task

    write(disease_table(read_task(tidy or [], "disease"), named(needs or [], "--needs")), out, "paper table disease")


@app.command()
def systems(
    published: Annotated[list[Path], typer.Option(help="CSV of published figures; repeat for several.")],
    out: Out,
    tidy: TidyIfAny = None,
) -> None:
    """What the papers of other systems print, beside the same quantity of our runs."""
    from scfm.paper.tables.systems import systems_table
    from scfm.paper.tidy import read_results

    write(systems_table(read_results(tidy or []), published), out, "paper table systems")
