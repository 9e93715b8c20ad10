"""A page for each notebook of docs/tutorials, from its cells; the notebook itself lies beside the page."""

import json
import re

from mkdocs.structure.files import File

FOLDER, ENDING = "tutorials/", ".ipynb"
LINK = re.compile(rf"(\]\((?:[\w./-]*/)?{FOLDER}[\w-]+)\{ENDING}")
FENCE = "`" * 5


def on_files(files, config):
    """Add a page for each notebook of the folder."""
    for notebook in [file for file in files if file.src_uri.startswith(FOLDER) and file.src_uri.endswith(ENDING)]:
        address = notebook.src_uri.removesuffix(ENDING) + ".md"
        files.append(File.generated(config, address, content=_page(notebook.content_string, notebook.name + ENDING)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Point links to a notebook to its page; in the repository they lead to the notebook."""
    return LINK.sub(r"\1.md", markdown)


def _page(notebook: str, name: str) -> str:
    """The cells one after another, and where to find the notebook after the first, which holds the title."""
    first, *others = map(_cell, json.loads(notebook)["cells"])
    how = f"This page is the notebook [{name}]({name}), shown without what it prints and draws. Run it to see that."
    return "\n\n".join([first, how, *others]) + "\n"


def _cell(cell: dict) -> str:
    text = "".join(cell["source"])
    return text if cell["cell_type"] == "markdown" else f"{FENCE}python\n{text}\n{FENCE}"
