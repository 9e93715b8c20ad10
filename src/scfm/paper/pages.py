"""Tables as HTML pages of their own and, for those that the paper numbers, as LaTeX, with the report's captions."""

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from scfm.files import must_exist, whole
from scfm.paper.latex import latex_table
from scfm.paper.render import caption, cell
from scfm.paper.tidy import read_table

NUMBERED = re.compile(r"table\d+")
"""Names of the paper's own tables."""


def write_pages(tables: Mapping[str, Path], captions: Path, out: Path) -> dict[str, int]:
    """Write `<out>/<name>.html` for every table and `<out>/<name>.tex` for the paper's own.

    Args:
        tables: name to CSV.
        captions: folder of `<name>.rst`.

    Returns:
        Numbers of HTML pages and of LaTeX files.

    Raises:
        ScfmError: a table cannot be read, or it has no caption.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("scfm.paper", "."), autoescape=True, undefined=StrictUndefined)
    template = environment.get_template("table.html.j2")
    written = {"HTML": 0, "LaTeX": 0}
    for name, path in tables.items():
        values = read_table(path, [], f"the table {name}")
        numeric = [pd.api.types.is_numeric_dtype(values[column]) for column in values]
        texts = pd.DataFrame({column: [cell(value) for value in values[column].tolist()] for column in values})
        page = template.render(name=name, caption=caption(captions, name), table=texts, numeric=numeric)
        _write(out / f"{name}.html", page)
        written["HTML"] += 1
        if NUMBERED.fullmatch(name):
            text = must_exist(Path(captions) / f"{name}.rst", "a caption").read_text()
            _write(out / f"{name}.tex", latex_table(texts, numeric, text, name))
            written["LaTeX"] += 1
    return written


def _write(path: Path, text: str) -> None:
    with whole(path) as temporary:
        temporary.write_text(text)
