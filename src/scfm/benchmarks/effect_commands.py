"""`scfm benchmarks`: effects of perturbations on genes, and the atlas of predicted cells."""

from pathlib import Path
from typing import Annotated

import typer

from scfm.benchmarks.options import Code, Datasets, Device, Out, Run, RunSettings, Seed, Slice, Work
from scfm.benchmarks.task_settings import PerturbationTask
from scfm.errors import ScfmError
from scfm.files import whole
from scfm.perturbation.settings import Atlas
from scfm.settings import parse

app = typer.Typer()


@app.command()
def deltas(
    datasets: Datasets,
    out: Out,
    predictions: Annotated[list[Path] | None, typer.Option(help="h5ad of 'scfm benchmarks predict'; repeat")] = None,
    settings: Slice = "{}",
) -> None:
    """Predicted and measured effects on single genes, of a few of the perturbations held out."""
    from scfm.benchmarks.deltas import deltas as run

    table = run(datasets, parse(PerturbationTask, settings, "--settings"), predictions or ())
    with whole(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    pairs = table.drop_duplicates(["dataset", "split", "background", "perturbation"])
    print(f"benchmarks deltas: {len(pairs)} pairs by {', '.join(table['run'].unique())}")


@app.command()
def learn_screen(
    screen: Annotated[Path, typer.Argument(help="h5ad of 'scfm benchmarks prepare'")],
    run_settings: RunSettings,
    run: Run,
    seed: Seed,
    work: Work,
    out: Out,
    settings: Slice = "{}",
    device: Device = "auto",
    code: Code = "",
) -> None:
    """Train a system on all cells of a screen, for an atlas."""
    from scfm.benchmarks.atlas import learn_screen as learn
    from scfm.device import torch_device
    from scfm.memory import keep_freed_memory
    from scfm.pretrain.settings import parse_run

    keep_freed_memory()
    task, resolved = parse(PerturbationTask, settings, "--settings"), parse_run(run_settings, "--run-settings")
    if resolved.model.predicts != "prompts":
        raise ScfmError(f"run '{run}': with these settings it predicts by no prompts; give it model.prompt")
    print(learn(screen, resolved, task, run, seed, work, out, int(torch_device(device) == "cuda"), code))


@app.command()
def atlas(
    model: Annotated[Path, typer.Option(help="model directory of a system that predicts by prompts")],
    screen: Annotated[Path, typer.Option(help="prepared h5ad whose perturbations the atlas holds")],
    reference: Annotated[Path, typer.Option(help="prepared h5ad whose cell types it holds")],
    out: Annotated[Path, typer.Option("--out", help="rewritten cells: .h5ad, or .soma for a SOMA experiment")],
    out_table: Annotated[Path, typer.Option(help="CSV of what it says of each type and perturbation")],
    settings: Slice = "{}",
    device: Device = "auto",
) -> None:
    """Every cell type of a reference under every perturbation of a screen, a block at a time."""
    import scfm
    from scfm.benchmarks.atlas import atlas as build
    from scfm.perturbation.growing import check_format

    asked = parse(Atlas, settings, "--settings")
    check_format(out)
    table, left_out = build(scfm.load(model, device), screen, reference, asked, out)
    with whole(out_table) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    types, names = table["cell_type"].nunique(), table["perturbation"].nunique() - 1
    sure = (table["confident"] * table["cells"]).sum() / table["cells"].sum()
    print(
        f"benchmarks atlas: {table['cells'].sum():,} cells, {types} types under {names} perturbations and as controls, "
        f"{sure:.0%} of them with log odds of {asked.confident:g} or more" + f"; {left_out}" * bool(left_out)
    )
