"""`scfm`: one command group per stage, imported only when it is called."""

import sys
from importlib import import_module

import click
from typer.main import get_command

from scfm.errors import ScfmError

STAGES = {
    "resources": "fetch, verify and record the external files",
    "corpus": "from a SOMA store to training shards",
    "pretrain": "train one run",
    "annotation": "gene families and expression programs",
    "learnability": "which genes a model learns",
    "benchmarks": "embed, integrate, probe, annotate",
    "paper": "tables, figures, claims, report",
}


class Stages(click.Group):
    """A group that imports `scfm.<stage>.commands` only for the stage that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*STAGES, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in STAGES:
            command = get_command(import_module(f"scfm.{name}.commands").app)
            command.name, command.help = name, STAGES[name]
            return command
        return super().get_command(ctx, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [*STAGES.items(), *((name, command.get_short_help_str()) for name, command in self.commands.items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=Stages, help=__doc__)
def scfm() -> None:
    pass


def main() -> None:
    """Run the command line; a ScfmError ends it with one sentence on stderr and exit code 1."""
    try:
        scfm(standalone_mode=True)
    except ScfmError as error:
        print(f"scfm: error: {error}", file=sys.stderr)
        sys.exit(1)
