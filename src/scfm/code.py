"""A digest of the code behind a job, so that an edit reruns exactly what it changes.

Reading the syntax of the whole package takes longer than all else at the start of a workflow: what was found in a text
is kept with Snakemake's own records, by the text itself and that of this module, so that it can't be out of date.
"""

import ast
import hashlib
import json
import os
import re
from contextlib import suppress
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
KEPT = Path(".snakemake/scfm/syntax.json")
FILE_NAME = re.compile(r"[\w.-]+\.\w+")

_used: dict[str, dict] = {}


@cache
def _how() -> str:
    """Says how texts are read: another way finds something else in them."""
    return Path(__file__).read_text()


@cache
def _kept() -> dict[str, dict]:
    """What `remember` wrote in this working folder, if it did."""
    return json.loads(KEPT.read_text()) if KEPT.is_file() else {}


def remember() -> None:
    """Keep what is found in every module of the package, and in functions so far, unless nothing of it is new."""
    for module in _graph().modules:
        _facts(module)
    if not _used.keys() - _kept().keys():
        return
    temporary = KEPT.with_suffix(f".{os.getpid()}")  # others may write at the same time, and the same
    with suppress(OSError):  # where nothing can be kept, the next start reads the package again
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(json.dumps(_used))
            temporary.replace(KEPT)
        finally:
            temporary.unlink(missing_ok=True)
    _kept.cache_clear()


@cache
def digest(*names: str) -> str:
    """Sixteen hexadecimal digits over the code called `names` and everything of scfm that it imports, directly or not.

    Args:
        names: modules (`scfm.model`), or functions with what they use of their module (`scfm.corpus.commands:scan`).

    Comments, docstrings, help texts and layout do not count; imports inside functions do, and so do the data files
    of the package that a module names.

    Raises:
        ValueError: there is no such module or function.
    """
    content = {name: _content(name) for name in {*modules_of(*names), *(name for name in names if ":" in name)}}
    return hashlib.sha256("".join(f"{name} {content[name]}\n" for name in sorted(content)).encode()).hexdigest()[:16]


@cache
def modules_of(*names: str) -> frozenset[str]:
    """Modules called `names`, and those that they or the functions called `names` import, directly or not.

    Raises:
        ValueError: there is no such module or function.
    """
    own = set().union(*(set(_facts(name)["imports"]) & _graph().modules if ":" in name else {name} for name in names))
    for module in own - _graph().modules:
        raise ValueError(f"{module}: no module of scfm")
    return frozenset(own.union(*(_graph().find_upstream_modules(module) for module in own)))


@cache
def _graph():
    import grimp

    return grimp.build_graph("scfm", cache_dir=None)


def _path(module: str) -> Path:
    path = PACKAGE.parent / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _content(name: str) -> str:
    """Digest of a module or function, and of the data files of the module's folder or below that a module names."""
    facts = _facts(name)
    if ":" in name:
        return facts["digest"]
    named, folder = set(facts["files"]), _path(name).parent
    files = [path for path in _data_files() if path.name in named and path.is_relative_to(folder)]
    return " ".join([facts["digest"], *(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)])


@cache
def _data_files() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*") if p.suffix not in (".py", ".pyc") and p.is_file())


@cache
def _facts(name: str) -> dict:
    """Of a module or function: the digest of its syntax, and all that it imports and that may name a file."""
    module, _, function = name.partition(":")
    if module not in _graph().modules:
        raise ValueError(f"{module}: no module of scfm")
    source = _path(module).read_text()
    key = f"{hashlib.sha256(f'{_how()}{source}'.encode()).hexdigest()}:{function}"
    _used[key] = _kept().get(key) or _found(_function(_tree(source), module, function) if function else _tree(source))
    return _used[key]


def _found(tree: ast.Module) -> dict:
    nodes = list(ast.walk(tree))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {
        "digest": hashlib.sha256(ast.dump(tree).encode()).hexdigest(),
        "imports": sorted(_imports(nodes)),
        "files": sorted(filter(FILE_NAME.fullmatch, texts)),
    }


def _tree(source: str) -> ast.Module:
    """Syntax tree without docstrings and help texts."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_text(statement)]
        elif isinstance(node, ast.Call):
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "help"]
    return tree


def _is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a bare string: a docstring, also that of a field."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _function(tree: ast.Module, module: str, function: str) -> ast.Module:
    """A module with a function and those that it uses as its only functions; other statements stay."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if function not in functions:
        raise ValueError(f"{module}:{function}: no such function; there are {', '.join(functions)}")
    used, new = set(), {function}
    while new:
        used |= new
        new = set().union(*(_free(functions[name]) for name in new)) & set(functions) - used
    kept = [node for node in tree.body if not isinstance(node, ast.FunctionDef) or node.name in used]
    return ast.Module(body=kept, type_ignores=[])


def _free(function: ast.FunctionDef) -> set[str]:
    """Names that a function reads and does not bind itself."""
    nodes = list(ast.walk(function))
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {alias.asname or alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return {node.id for node in names} - bound


def _imports(nodes: list[ast.AST]) -> set[str]:
    """Names that syntax nodes import, modules or what is in them."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name and name.split(".")[0] == "scfm"}
