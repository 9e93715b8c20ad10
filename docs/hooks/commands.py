"""The page of every command of `scfm`, from the commands themselves."""

import sys
from pathlib import Path

from mkdocs.structure.files import File


def on_files(files, config):
    """Add reference/commands.md."""
    source = str(Path(config.config_file_path).parent / "src")
    if source not in sys.path:
        sys.path.insert(0, source)
    from typer.main import get_command

    from scfm.cli import app

    text = "# Every command\n\n`scfm COMMAND --help` prints the same. Rules of the workflow run these commands.\n"
    files.append(
        File.generated(config, "reference/commands.md", content=text + "".join(_walk(get_command(app), "scfm", 2)))
    )
    return files


def _walk(command, name: str, level: int) -> list[str]:
    """A section for a command, then those of its own commands."""
    import click

    context = click.Context(command, info_name=name)
    heading = f"\n{'#' * min(level, 4)} {name} {{#{name.replace(' ', '-')}}}\n\n"
    parts = [heading, f"{_safe(' '.join((command.help or '').split()))}\n", _options(command, context)]
    if hasattr(command, "list_commands"):
        for own in command.list_commands(context):
            parts += _walk(command.get_command(context, own), f"{name} {own}", level + 1)
    return parts


def _options(command, context) -> str:
    found = [one for one in command.params if one.name not in ("help", "install_completion", "show_completion")]
    if not found:
        return ""
    return "\n| argument or option | default | meaning |\n|---|---|---|\n" + "".join(map(_row, found))


def _row(one) -> str:
    named = ", ".join(one.opts) if one.param_type_name == "option" else one.metavar or one.name.upper()
    given = None if callable(one.default) else one.default
    default = "must be given" if one.required else "" if given in (None, (), [], False) else f"`{given}`"
    return f"| `{named}` | {_safe(default)} | {_safe(getattr(one, 'help', None) or '')} |\n"


def _safe(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
