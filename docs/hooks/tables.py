"""The page that says how to read each table and figure, from the captions of the report."""

import sys
from pathlib import Path

from mkdocs.structure.files import File

INTRODUCTION = """# How to read each table

The captions of the report, by the name of the table or figure. Where each file lies and what it is made from:
[results, table by table](../results.md).
"""


def on_files(files, config):
    """Add reference/tables.md."""
    root = Path(config.config_file_path).parent
    if str(root / "src") not in sys.path:
        sys.path.insert(0, str(root / "src"))
    from scfm.paper.render import caption

    text = INTRODUCTION
    folder = root / "workflow" / "report"
    for path in sorted(folder.glob("*.rst"), key=_order):
        text += f"\n## {path.stem} {{#{path.stem}}}\n\n{caption(folder, path.stem)}\n"
    files.append(File.generated(config, "reference/tables.md", content=text))
    return files


def _order(path: Path) -> tuple:
    """Numbered tables and figures first, by their number."""
    digits = "".join(filter(str.isdigit, path.stem))
    kind = path.stem.rstrip("0123456789")
    numbered = kind in ("table", "figure") and digits
    return (0, kind == "figure", int(digits), "") if numbered else (1, False, 0, path.stem)
