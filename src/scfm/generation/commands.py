"""`scfm generation`: cells drawn by trained models, and how they compare with real ones."""

from pathlib import Path
from typing import Annotated

import typer

from scfm.benchmarks.options import Seen
from scfm.files import whole
from scfm.settings import parse

app = typer.Typer(no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out")]
Drawn = Annotated[list[Path], typer.Argument(help="h5ad files of 'scfm generation draw'")]
Real = Annotated[Path, typer.Option(help="h5ad of 'scfm benchmarks prepare', counts")]
Shards = Annotated[Path, typer.Option(help="folder of training shards")]
Slice = Annotated[str, typer.Option("--settings", help="settings as JSON")]


@app.command()
def draw(
    model: Annotated[Path, typer.Option(help="model directory of a system that draws cells")],
    out: Out,
    settings: Slice = "{}",
    device: Annotated[str, typer.Option(help="where the model runs: auto, cpu or gpu")] = "auto",
) -> None:
    """Draw cells as such, and under each value of the model's conditions."""
    import scfm
    from scfm.generation.draw import draw as draw_cells
    from scfm.generation.settings import Drawing
    from scfm.memory import keep_freed_memory

    keep_freed_memory()
    cells = draw_cells(scfm.load(model, device), parse(Drawing, settings, "--settings"))
    with whole(out) as temporary:
        cells.write_h5ad(temporary, compression="gzip")
    kinds = cells.obs["condition"].nunique()
    print(f"generation draw {cells.uns['run']}/{cells.uns['seed']}: {cells.n_obs:,} cells, {kinds - 1} conditions")


@app.command()
def evaluate(
    drawn: Drawn,
    real: Real,
    shards: Shards,
    study: Annotated[str, typer.Option(help="name of the study, for the tables")],
    out: Out,
    out_map: Annotated[Path, typer.Option(help="CSV of the places of cells on a map")],
    contamination: Seen = None,
    settings: Slice = "{}",
) -> None:
    """Drawn cells and controls against held-out real cells, as tidy rows, and all of them on a map."""
    from scfm.benchmarks.read import read_prepared
    from scfm.benchmarks.results import write_tidy
    from scfm.benchmarks.seen import read_contamination, seen_by
    from scfm.corpus.shards import Shards as Corpus
    from scfm.deposit import read_h5ad
    from scfm.generation.layout import layout
    from scfm.generation.score import score
    from scfm.generation.settings import Comparison
    from scfm.generation.sources import sources

    asked, prepared = parse(Comparison, settings, "--settings"), read_prepared(real)
    cells = [read_h5ad(path, "drawn cells") for path in drawn]
    reference, found = sources(prepared, cells, Corpus.open(shards), asked.cells, asked.seed)
    runs = sorted({str(one.uns["run"]) for one in cells})
    seen = seen_by(prepared, read_contamination(contamination), runs) if contamination else None
    table = score(reference, found, asked, study, prepared.uns["scfm"], seen)
    write_tidy(out, table)
    write_tidy(out_map, layout(reference, found, asked))
    chosen = (
        table[(table["metric"] == "pair_slope") & (table["split"] == "")].groupby("run", sort=False)["value"].mean()
    )
    values = ", ".join(f"{name} {value:.3f}" for name, value in chosen.items())
    print(f"generation evaluate: {table['n'].max():,} cells a side, pair_slope {values}")
