"""Files of the repository that pages link to become pages of the site, so that no link leads out of it."""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

LINK = re.compile(r"\]\((\.\./[^)#\s]+)")
INNER = re.compile(r"\[([^\]]+)\]\((?!https?:|#)[^)]*\)")
ALWAYS = {"benchmarks/README.md"}
FENCE = "`" * 5


def on_files(files, config):
    """Add a page for each file outside the documentation that one of its pages links to."""
    root = Path(config.config_file_path).parent
    pages = [file for file in files if file.is_documentation_page()]
    linked = {_target(page.src_uri, link) for page in pages for link in LINK.findall(page.content_string)}
    for path in sorted(filter(None, linked | ALWAYS)):
        files.append(File.generated(config, _page(path), content=_content(root / path, path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Point links to files of the repository to their pages."""
    uri = page.file.src_uri

    def to_page(link: re.Match) -> str:
        path = _target(uri, link[1])
        return f"]({posixpath.relpath(_page(path), posixpath.dirname(uri) or '.')}" if path else link[0]

    return LINK.sub(to_page, markdown)


def _target(uri: str, link: str) -> str:
    """Path in the repository of what a page of docs/ links to; empty if that stands in docs/ itself."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(uri), link))
    return "" if path.startswith("docs/") else path


def _page(path: str) -> str:
    return f"files/{path.removesuffix('.md')}.md"


def _content(path: Path, name: str) -> str:
    """A text as a listing; a page of Markdown as it is, its links to files left out."""
    text = path.read_text()
    if path.suffix == ".md":
        return INNER.sub(r"\1", text)
    return f"# {name}\n\n{FENCE}text\n{text.rstrip()}\n{FENCE}\n"
