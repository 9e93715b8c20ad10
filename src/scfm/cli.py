"""`scfm`: one command group per stage, imported only when it is called, the verbs of a biologist, and the doctor."""

import atexit
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
    "generation": "cells drawn by trained models, beside real ones",
    "paper": "tables, figures, claims, report",
    "archive": "results with all that they stem from, in one file",
}


VERBS = ("embed", "annotate", "calibrate", "explain", "finetune", "predict", "card", "push")
"""What a biologist calls; in `scfm.verbs`."""


class Stages(TyperGroup):
    """A group that imports `scfm.<stage>.commands` only for the stage that is called."""

    def list_commands(self, ctx) -> list[str]:
        return [*VERBS, *super().list_commands(ctx), *STAGES]

    def get_command(self, ctx, name: str):
        if name in VERBS:
            return get_command(import_module("scfm.verbs").app).commands[name]
        if name not in STAGES:
            return super().get_command(ctx, name)
        command = get_command(import_module(f"scfm.{name}.commands").app)
        command.name, command.help, command.short_help = name, STAGES[name], STAGES[name]
        return command


app = typer.Typer(cls=Stages, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

Source = Annotated[Path, typer.Argument(metavar="IN.h5ad")]
Values = Annotated[str, typer.Option(help="what X holds: counts, tpm or lognorm")]


@app.command()
def bench(
    source: Source,
    task: Annotated[list[str] | None, typer.Option(help="integration, clustering, probe, …; repeat; or all")] = None,
    obsm: Annotated[list[str] | None, typer.Option(help="key of obsm; repeat; the only one if left out")] = None,
    label: Annotated[str, typer.Option(help="obs column of cell types")] = "cell_type",
    batch: Annotated[str, typer.Option(help="obs column of batches")] = "",
    donor: Annotated[str, typer.Option(help="obs column of donors")] = "",
    split: Annotated[str, typer.Option(help="obs column of train, dev and test cells")] = "",
    against: Annotated[
        str | None,
        typer.Option(help="pca, scvi, a file of vectors of the same cells, or a model directory, shown beside"),
    ] = None,
    values: Values = "counts",
    settings: Annotated[str, typer.Option(help="JSON, as under `benchmarks` of a study file")] = "{}",
    out: Annotated[Path | None, typer.Option(help="CSV of every measurement")] = None,
) -> None:
    """Score an embedding in obsm of an h5ad by the tasks of the study."""
    from scfm.benchmarks.bench import bench as run
    from scfm.benchmarks.bench import side_by_side
    from scfm.benchmarks.results import write_tidy
    from scfm.deposit import read_h5ad

    columns = {"label": label, "batch": batch, "donor": donor, "split": split}
    about = {"against": against, "values": values, "settings": settings, "name": source.stem}
    tidy = run(read_h5ad(source, "h5ad"), task or "all", obsm or (), **columns, **about)
    print(side_by_side(tidy).to_string(float_format="{:.3f}".format, na_rep="–"))
    for name, reason in tidy.attrs["left_out"].items():
        print(f"left out: {name}: {reason}")
    if out:
        write_tidy(out, tidy)
    where = f"; every measurement in {out}" if out else ""
    print(f"bench {source.stem}: {tidy['n'].max():,} cells, {', '.join(tidy['task'].unique())}{where}")


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


def main() -> None:
    """Run the command line; bad input or a disk that refuses ends it with one sentence on stderr and exit code 1."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that `finally` blocks run
    for stream in (sys.stdout, sys.stderr):
        # A line is one write, under PYTHONUNBUFFERED too: jobs that share a terminal do not mix their lines.
        stream.reconfigure(line_buffering=True, write_through=False)
    # On a full disk h5py fails again as it lets go of its file, in places that no handler reaches.
    sys.excepthook = _unless_refused(sys.__excepthook__, lambda kind, error, trace: error)
    sys.unraisablehook = _unless_refused(sys.__unraisablehook__, lambda unraisable: unraisable.exc_value)
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
            _leave(1)
    else:
        return
    sys.exit(1)


def program() -> None:
    """`main` as a process of its own: it ends after the exit callbacks, before the interpreter takes itself apart.

    By then everything is written, and what could still happen is harm: a thread of Arrow that wants the interpreter
    back aborts a command that has done its work, and the last search for cycles takes 0.2 to 0.5 seconds.
    """
    code = 1  # of an error that nobody caught
    atexit.register(lambda: _leave(code))  # the first to be registered is the last to run
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
        raise


def _leave(code: int) -> None:
    """End at once: HDF5 and others crash when they close, at the interpreter's end, what they could not write."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _unless_refused(hook, error_of):
    """The hook, called only with errors that are no disk's refusal."""

    def call(*arguments) -> None:
        if not refusal(error_of(*arguments)):
            hook(*arguments)

    return call
