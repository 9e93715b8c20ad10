"""`scfm`: one command group per stage, imported only when it is called, the verbs of a biologist, and the doctor."""

import atexit
import gc
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_command

from scfm.errors import ScfmError, refusal

STAGES = {
    "resources": "fetch, verify and record the external files",
    "corpus": "from a SOMA store to training shards",
    "pretrain": "train one run",
    "annotation": "gene families and expression programs",
    "learnability": "which genes a model learns",
    "benchmarks": "embed, integrate, probe, annotate",
    "paper": "tables, figures, claims, report",
    "archive": "results with all that they stem from, in one file",
}


class Stages(TyperGroup):
    """A group that imports `scfm.<stage>.commands` only for the stage that is called."""

    def list_commands(self, ctx) -> list[str]:
        return [*super().list_commands(ctx), *STAGES]

    def get_command(self, ctx, name: str):
        if name not in STAGES:
            return super().get_command(ctx, name)
        command = get_command(import_module(f"scfm.{name}.commands").app)
        command.name, command.help, command.short_help = name, STAGES[name], STAGES[name]
        return command


app = typer.Typer(cls=Stages, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

Source = Annotated[Path, typer.Argument(metavar="IN.h5ad")]
Out = Annotated[Path, typer.Argument(metavar="OUT.h5ad")]
ModelFolder = Annotated[Path, typer.Option("--model", help="model directory")]
Values = Annotated[str, typer.Option(help="what X holds: counts, tpm or lognorm")]


@app.command()
def embed(
    source: Source,
    out: Out,
    model: ModelFolder,
    values: Values = "counts",
    pooling: Annotated[str, typer.Option(help="cls, mean, or another of the model's poolings")] = "cls",
    key_added: Annotated[str, typer.Option(help="key of obsm")] = "X_scfm",
) -> None:
    """Embed the cells of an h5ad."""
    from scfm.api import embed as run
    from scfm.deposit import read_h5ad

    adata = run(read_h5ad(source, "h5ad"), model, pooling, values, key_added)
    _write(adata, out)
    facts = adata.uns[key_added]
    print(
        f"embed: {adata.n_obs:,} cells, {facts['genes_known']:,} of {facts['genes_given']:,} genes known, "
        f"obsm['{key_added}'] {adata.obsm[key_added].shape[1]} wide, in {out}"
    )


@app.command()
def annotate(
    source: Source,
    out: Out,
    model: ModelFolder,
    values: Values = "counts",
    decode: Annotated[str, typer.Option(help="leaf or greedy")] = "leaf",
    key_added: Annotated[str, typer.Option(help="beginning of the obs columns")] = "scfm",
) -> None:
    """Annotate the cells of an h5ad with the Cell Ontology."""
    from scfm.api import annotate as run
    from scfm.deposit import read_h5ad

    adata = run(read_h5ad(source, "h5ad"), model, decode, values, key_added)
    _write(adata, out)
    top = adata.obs[f"{key_added}_name"].value_counts().head(3)
    print(f"annotate: {adata.n_obs:,} cells; " + ", ".join(f"{n:,} {name}" for name, n in top.items()) + f"; in {out}")


@app.command()
def doctor(
    study: Annotated[str | None, typer.Option(help="look at this study only; exit code 1 if it is not ready")] = None,
    mirror: Annotated[Path | None, typer.Option(help="mirror folder, instead of the one in config.yaml")] = None,
    config_folder: Annotated[Path | None, typer.Option(help="folder `config` of a clone; else the one here")] = None,
) -> None:
    """Say what this machine has, and what is missing for which study."""
    from scfm.doctor import as_text, examine

    here = Path("config") if Path("config/config.yaml").is_file() else None
    findings = examine(config_folder or here, study, mirror)
    print(as_text(findings))
    if study in findings.not_ready:
        sys.exit(1)


def _write(adata, path: Path) -> None:
    from scfm.files import whole

    with whole(path) as temporary:
        adata.write_h5ad(temporary, compression="gzip")


def main() -> None:
    """Run the command line; bad input or a disk that refuses ends it with one sentence on stderr and exit code 1."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that `finally` blocks run
    for stream in (sys.stdout, sys.stderr):
        # A line is one write, under PYTHONUNBUFFERED too: jobs that share a terminal do not mix their lines.
        stream.reconfigure(line_buffering=True, write_through=False)
    # On a full disk h5py fails again as it lets go of its file, in places that no handler reaches.
    sys.excepthook = _unless_refused(sys.__excepthook__, lambda kind, error, trace: error)
    sys.unraisablehook = _unless_refused(sys.__unraisablehook__, lambda unraisable: unraisable.exc_value)
    # Last of all: without it the interpreter looks through the 100,000 to 200,000 objects of imported libraries for
    # cycles, for 0.2 to 0.5 seconds. What ends with its last reference still does.
    atexit.register(gc.freeze)
    try:
        get_command(app)()  # calling `app` would set typer's own hook
    except BrokenPipeError:  # `scfm … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        refused = refusal(error)
        if not refused and not isinstance(error, ScfmError):
            raise
        print(f"scfm: error: {error if isinstance(error, ScfmError) else refused}", file=sys.stderr)
        if refused:
            _leave()
    else:
        return
    sys.exit(1)


def _leave() -> None:
    """End at once: HDF5 and others crash when they close, at the interpreter's end, what they could not write."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _unless_refused(hook, error_of):
    """The hook, called only with errors that are no disk's refusal."""

    def call(*arguments) -> None:
        if not refusal(error_of(*arguments)):
            hook(*arguments)

    return call
