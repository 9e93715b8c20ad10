"""`scfm paper table`: tables of what a study may lack."""

from pathlib import Path
from typing import Annotated

import typer

from scfm.options import by_run_and_seed, named
from scfm.paper.options import Needs, Out, PublishedFile, TidyFiles, TidyIfAny, write

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
def perturbation(out: Out, tidy: TidyIfAny = None, needs: Needs = None) -> None:
    """How well held-out perturbed cells are predicted."""
    from scfm.paper.tables.perturbation import perturbation_table
    from scfm.paper.tidy import read_results

    missing = named(needs or [], "--needs")
    write(perturbation_table(read_results(tidy or []), missing), out, "paper table perturbation")


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


@app.command()
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
    write(ablation_table(pairs, read_tidy(tidy) if tidy else None, models, min_nonzero), out, "paper table ablations")


@app.command()
def generation(tidy: TidyFiles, out: Out) -> None:
    """Cells drawn by models beside real ones, and the controls."""
    from scfm.paper.tables.generation import generation_table
    from scfm.paper.tidy import read_tidy

    write(generation_table(read_tidy(tidy)), out, "paper table generation")


@app.command()
def cytokine(tidy: TidyFiles, out: Out) -> None:
    """Vectors of treated donors, predicted from those of their control samples."""
    from scfm.paper.tables.cytokine import cytokine_table
    from scfm.paper.tidy import read_tidy

    write(cytokine_table(read_tidy(tidy)), out, "paper table cytokine")
