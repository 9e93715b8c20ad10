import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scfm import code

SOURCE = Path(code.__file__).parent
MODULES = {
    ".".join(("scfm", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package that the digests are taken over."""
    copy = tmp_path / "scfm"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "PACKAGE", copy)
    forget()
    yield copy
    forget()


def forget():
    for function in vars(code).values():
        if hasattr(function, "cache_clear") and function is not code._graph:
            function.cache_clear()


def digests():
    forget()
    return {module: code.digest(module) for module in MODULES}


def edit(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} in {path}"
    path.write_text(text.replace(old, new))


def imported(module):
    """Modules of scfm that a module's file names in an import anywhere."""
    path = SOURCE.parent.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def depends_on(target):
    """Modules from which the target is reached by following imports."""
    names, reached = {module: set(imported(module)) for module in MODULES}, {target}
    while True:
        more = {module for module in MODULES if reached & names[module]} | reached
        if more == reached:
            return reached
        reached = more


def test_comments_docstrings_and_layout_do_not_count(package):
    before = digests()
    edit(package / "ontology.py", '"""The Cell Ontology, and', '"""Words of another kind, and')
    edit(package / "ontology.py", '"""Term id to name."""', '"""Id of a term to its name."""')
    edit(package / "ontology.py", 'UNKNOWN = "unknown"', '# A comment.\nUNKNOWN = (\n    "unknown"\n)')
    edit(
        package / "models" / "bmfm" / "hce.py", "    labelled = nodes >= 0\n", "    labelled = (nodes >= 0)  # bool\n\n"
    )
    assert digests() == before


EVERY = {"scfm.pretrain.train", "scfm.model", "scfm.api", "scfm.models.cellplm.system"}
"""What the parts of all systems are imported by; api imports model."""
ONE = {"scfm.models.bmfm.system"}
"""A system is loaded by its name, so that an edit of it changes no other's digest."""


@pytest.mark.parametrize(
    ("file", "module", "old", "new", "among"),
    [
        ("ontology.py", "scfm.ontology", 'UNKNOWN = "unknown"', 'UNKNOWN = "none"', EVERY),
        ("models/bmfm/hce.py", "scfm.models.bmfm.hce", "labelled = nodes >= 0", "labelled = nodes > -1", ONE),
        ("errors.py", "scfm.errors", "class ScfmError(Exception)", "class ScfmError(ValueError)", EVERY),
    ],
)
def test_an_edit_changes_exactly_the_digests_of_what_imports_it(package, file, module, old, new, among):
    before = digests()
    edit(package / file, old, new)
    after = digests()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == depends_on(module)
    assert among <= changed
    assert not changed & {"scfm", *(EVERY - {"scfm.api"} if among is ONE else ())}


def test_a_data_file_counts_for_the_module_that_names_it(package):
    before = digests()
    path = package / "corpus" / "synthetic" / "data" / "cell_types.tsv"
    path.write_text(path.read_text() + "\n")
    after = digests()
    changed = {name for name in before if before[name] != after[name]}
    assert "scfm.corpus.synthetic" in changed
    assert not any(name.startswith(("scfm.models", "scfm.learnability", "scfm.paper")) for name in changed)
    before = after
    template = package / "paper" / "report.html.j2"
    template.write_text(template.read_text() + "<!-- -->")
    after = digests()
    assert "scfm.paper.report" in {name for name in before if before[name] != after[name]}
    assert before["scfm.corpus.synthetic"] == after["scfm.corpus.synthetic"]


def test_a_command_counts_what_it_uses_and_not_its_neighbours(package):
    def digest(name):
        forget()
        return code.digest(f"scfm.corpus.commands:{name}")

    path = package / "corpus" / "commands.py"
    tree = ast.parse(path.read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    before = {name: digest(name) for name in ("scan", "gather")}
    lines = path.read_text().splitlines()
    lines.insert(functions["scan"].end_lineno, "    print()")
    path.write_text("\n".join(lines))
    assert digest("gather") == before["gather"]
    assert digest("scan") != before["scan"]
    edit(package / "corpus" / "csr.py", "SENTINEL = 65_535", "SENTINEL = 65_534")
    assert digest("gather") != before["gather"]


def test_an_import_inside_a_function_counts(tmp_path):
    def digest():
        script = "from scfm.code import digest; print(digest('scfm.files'), digest('scfm.errors'))"
        return subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()

    shutil.copytree(SOURCE, tmp_path / "scfm", ignore=shutil.ignore_patterns("__pycache__"))
    edit(
        tmp_path / "scfm" / "files.py",
        "    path = Path(path)\n    if not path.exists():",
        "    import scfm.reading\n\n    path = Path(path)\n    if not path.exists():",
    )
    files, errors = digest()
    edit(tmp_path / "scfm" / "reading.py", "DAMAGED = (", "DAMAGED = (KeyError, ")
    after_files, after_errors = digest()
    assert after_files != files
    assert after_errors == errors


def test_what_was_found_is_kept_and_found_again_by_the_text_alone(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(code, "_used", {})
    before = digests()
    code.remember()
    kept = json.loads((tmp_path / code.KEPT).read_text())
    assert {path.name for path in (tmp_path / code.KEPT).parent.iterdir()} == {code.KEPT.name}
    monkeypatch.setattr(code, "_tree", None)  # nothing is read anew
    assert digests() == before
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(code, "PACKAGE", package)
    edit(package / "errors.py", "class ScfmError(Exception)", "class ScfmError(ValueError)")
    assert digests()["scfm.errors"] != before["scfm.errors"]
    code.remember()
    assert kept.keys() < json.loads((tmp_path / code.KEPT).read_text()).keys()


def test_a_folder_that_cannot_be_written_does_not_matter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").write_text("no folder")
    monkeypatch.setattr(code, "_used", {})
    forget()
    code.remember()
    assert code.digest("scfm.errors")


def test_digests_are_short_and_depend_on_the_set_of_names():
    one = code.digest("scfm.model", "scfm.ontology")
    assert len(one) == 16
    assert int(one, 16) >= 0
    assert one == code.digest("scfm.ontology", "scfm.model")
    assert one == code.digest("scfm.model")  # model imports ontology anyway
    with pytest.raises(ValueError, match="no module"):
        code.digest("scfm.nothing")
    with pytest.raises(ValueError, match="no such function"):
        code.digest("scfm.corpus.commands:nothing")
