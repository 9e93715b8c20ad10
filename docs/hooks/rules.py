"""The page of every rule of the workflow, from the rules files."""

import re
import sys
import textwrap
from pathlib import Path

from mkdocs.structure.files import File

RULE = re.compile(
    r"(?P<comment>(?:^#[^\n]*\n)*)(?:^for \w+ in [^\n]+:\n\n)?"
    r"^(?P<indent> *)rule ?(?P<name>\w*):\n(?P<body>(?:(?P=indent) +[^\n]*\n|\n)+)",
    re.M,
)
DIRECTIVE = re.compile(r"^    (\w+):\n((?:        [^\n]*\n|\n)+)", re.M)
COMMAND = re.compile(r"(?:-m scfm|\{params\.launch\}) ((?:[a-z][\w-]* )+)")
INTRODUCTION = """# Every rule

Rules by the file that they stand in, which has the name of their stage; what a rule takes and makes is shown as it is
written there. `RESULTS` is `results/<study>`, `CORPUS` and `BENCHMARKS` are folders in it. `snakemake all -n` lists the
jobs of a study with their files.
"""


def on_files(files, config):
    """Add reference/rules.md."""
    root = Path(config.config_file_path).parent
    if str(root / "src") not in sys.path:
        sys.path.insert(0, str(root / "src"))
    parts = [INTRODUCTION]
    for path in [root / "Snakefile", *sorted((root / "workflow" / "rules").glob("*.smk"))]:
        rules = [_rule(match) for match in RULE.finditer(path.read_text())]
        parts += [f"\n## {path.relative_to(root)}\n", *rules] if rules else []
    files.append(File.generated(config, "reference/rules.md", content="".join(parts)))
    return files


def _rule(match: re.Match) -> str:
    """One section: what the rule is for, by its comment and its command, and what it takes and makes."""
    body = re.sub(rf"^{match['indent']}", "", match["body"], flags=re.M)
    directives = {name: textwrap.dedent(text).strip("\n") for name, text in DIRECTIVE.findall(body)}
    name = match["name"] or f"one for each {directives['name']}"
    comment = " ".join(line.lstrip("# ") for line in match["comment"].splitlines())
    found = COMMAND.search(directives.get("shell", ""))
    command = _command(found[1].split()) if found else ""
    blocks = [
        f"\n{title}\n\n```python\n{directives[key]}\n```\n"
        for key, title in (("input", "Takes"), ("output", "Makes"))
        if key in directives
    ]
    return f"\n### {name}\n\n{comment}\n\n{command}{''.join(blocks)}"


def _command(words: list[str]) -> str:
    """A link to a command, with the first sentence of its help; words after its name are arguments."""
    from typer.main import get_command

    from scfm.cli import app

    command, known = get_command(app), []
    for word in words:
        own = command.get_command(None, word) if hasattr(command, "get_command") else None
        if own is None:
            break
        command, known = own, [*known, word]
    help_text = " ".join((command.help or "").split()).split(". ")[0].rstrip(".")
    return f"Runs [`scfm {' '.join(known)}`](commands.md#scfm-{'-'.join(known)}): {help_text}.\n"
