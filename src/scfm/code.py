"""A digest of the code behind a module, so that an edit reruns exactly what it changes."""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


@cache
def _graph():
    import grimp

    return grimp.build_graph("scfm", cache_dir=None)


@cache
def _source(module: str) -> bytes:
    """Syntax tree of a module without docstrings and comments, and the data files of its folder."""
    path = PACKAGE.parent / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_text(statement)]
    data = sorted(p for pattern in ("*.j2", "data/*") for p in path.parent.glob(pattern))
    return ast.dump(tree).encode() + b"".join(p.read_bytes() for p in data)


def _is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a bare string: a docstring, also that of a field."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


@cache
def digest(*modules: str) -> str:
    """Sixteen hexadecimal digits over `modules` and everything of scfm that they import, directly or not.

    Comments, docstrings and layout do not count; imports inside functions do.
    """
    closure = set(modules).union(*(_graph().find_upstream_modules(module) for module in modules))
    content = b"\0".join(name.encode() + b"\0" + _source(name) for name in sorted(closure))
    return hashlib.sha256(content).hexdigest()[:16]
