"""`scfm pretrain`."""

from pathlib import Path
from typing import Annotated

import typer

from scfm.errors import ScfmError
from scfm.settings import parse

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def train(
    settings: Annotated[str, typer.Option(help="JSON of the run (config/runs/*.yaml, resolved)")],
    run: Annotated[str, typer.Option(help="name of the run")],
    seed: Annotated[int, typer.Option(help="seed of weights and batches")],
    work: Annotated[Path, typer.Option(help="folder of checkpoints")],
    out: Annotated[Path, typer.Option(help="model directory to write")],
    shards: Annotated[Path | None, typer.Option(help="folder of training shards, for loader shards")] = None,
    selection: Annotated[Path | None, typer.Option(help="written by 'corpus select', for loader soma")] = None,
    source: Annotated[str, typer.Option(help="JSON with source, retry, for loader soma")] = "{}",
    soma: Annotated[Path | None, typer.Option(help="local SOMA, for loader soma where the source is local")] = None,
    ontology: Annotated[Path | None, typer.Option(help="Cell Ontology, for HCE runs")] = None,
    vectors: Annotated[Path | None, typer.Option(help="written by 'pretrain vectors', for systems of donors")] = None,
    start: Annotated[Path | None, typer.Option(help="model directory of the run to begin with")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or gpu")] = "auto",
    gpus: Annotated[int, typer.Option(help="GPUs to use where there are any")] = 1,
    need_gpu: Annotated[bool, typer.Option(help="stop where there is no GPU")] = False,
    code: Annotated[str, typer.Option(help="digest of the code; a checkpoint of another digest is not resumed")] = "",
    max_time: Annotated[float | None, typer.Option(help="minutes after which to write a checkpoint and stop")] = None,
) -> None:
    """Train one run with one seed; resume from its last checkpoint."""
    import torch

    from scfm.corpus.settings import SourceSettings
    from scfm.memory import keep_freed_memory
    from scfm.pretrain.settings import parse_run
    from scfm.pretrain.train import train as train_run

    resolved = parse_run(settings, "--settings")
    loader = resolved.training.loader
    option, corpus = ("--shards", shards) if loader == "shards" else ("--selection", selection)
    if corpus is None:
        raise ScfmError(f"run '{run}': training.loader is '{loader}' and {option} is missing; name the folder with it")
    read_from = (parse(SourceSettings, source, "--source"), soma) if loader == "soma" else (None, None)
    there = torch.cuda.device_count()
    if device not in ("auto", "cpu", "gpu"):
        raise ScfmError(f"device: '{device}' is not known; choose auto, cpu or gpu")
    if there == 0 and (device == "gpu" or (need_gpu and device == "auto")):
        raise ScfmError(f"run '{run}': it needs a GPU and none is visible; set device: cpu to force the CPU")
    devices = 0 if device == "cpu" else min(gpus, there)
    keep_freed_memory()
    if not devices and device == "auto":
        print(f"pretrain {run}/{seed}: no GPU visible, training on the CPU", flush=True)
    name = f"{run}/{seed}"
    options = (devices, code, max_time, *read_from, vectors, start)
    summary = train_run(resolved, name, seed, corpus, ontology, work, out, *options)
    if summary:
        print(summary)


@app.command()
def vectors(
    model: Annotated[Path, typer.Option(help="model directory of the cell encoder")],
    pooling: Annotated[str, typer.Option(help="which of its embeddings")],
    shards: Annotated[Path, typer.Option(help="folder of training shards")],
    out: Annotated[Path, typer.Option(help="npy file to write")],
    device: Annotated[str, typer.Option(help="auto, cpu or gpu")] = "auto",
) -> None:
    """Embed every cell of the corpus, for systems that read cell vectors."""
    import scfm
    from scfm.corpus import Shards
    from scfm.pretrain.vectors import write_vectors

    shape = write_vectors(scfm.load(model, device), pooling, Shards.open(shards), out)
    print(f"pretrain vectors: {shape[0]:,} cells, {shape[1]} wide, by {pooling} of {model}")
