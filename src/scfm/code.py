"""A digest of the code behind a job, so that an edit reruns exactly what it changes."""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


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
    content = {module: _source(module) for module in modules_of(*names)}
    content |= {name: ast.dump(_function(name)).encode() for name in names if ":" in name}
    return hashlib.sha256(b"\0".join(f"{key}\0".encode() + content[key] for key in sorted(content))).hexdigest()[:16]


@cache
def modules_of(*names: str) -> frozenset[str]:
    """Modules called `names`, and those that they or the functions called `names` import, directly or not.

    Raises:
        ValueError: there is no such module or function.
    """
    own = set().union(*(_imports(_function(name)) if ":" in name else {name} for name in names))
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
def _tree(module: str) -> ast.Module:
    """Syntax tree of a module without docstrings and help texts."""
    tree = ast.parse(_path(module).read_text())
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


@cache
def _source(module: str) -> bytes:
    """A module's syntax tree, and the data files of its folder or below that it names."""
    tree = _tree(module)
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    files = sorted(p for p in _path(module).parent.rglob("*") if p.suffix not in (".py", ".pyc") and p.name in texts)
    return ast.dump(tree).encode() + b"".join(p.read_bytes() for p in files if p.is_file())


@cache
def _function(name: str) -> ast.Module:
    """The module of a function, with it and those that it uses as its only functions; other statements stay."""
    module, _, function = name.partition(":")
    if module not in _graph().modules:
        raise ValueError(f"{module}: no module of scfm")
    tree = _tree(module)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if function not in functions:
        raise ValueError(f"{name}: no such function; there are {', '.join(functions)}")
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


def _imports(tree: ast.Module) -> set[str]:
    """Modules of scfm that a syntax tree imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & _graph().modules
