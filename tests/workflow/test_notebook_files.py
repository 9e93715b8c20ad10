"""Committed notebooks hold no results, and say first what can be set."""

import ast
import subprocess
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.ipynb"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
)
NOTEBOOKS = [name for name in LISTED.stdout.split() if (ROOT / name).is_file()]


@pytest.fixture(params=NOTEBOOKS)
def notebook(request):
    return nbformat.read(ROOT / request.param, as_version=4)


@pytest.fixture
def cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert {"notebooks/figure2.ipynb", "notebooks/figure3.ipynb"} <= set(NOTEBOOKS)


def test_notebook_is_valid(notebook):
    nbformat.validate(notebook)


def test_no_outputs(cells):
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


def test_parameters_come_first(cells):
    tagged = [number for number, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == [0]
    # Papermill replaces values; anything else in this cell would be lost on the way.
    assert all(isinstance(node, ast.Assign) for node in ast.parse(cells[0].source).body)


def test_no_traces_of_a_run(notebook, cells):
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert all(set(cell.metadata) <= {"tags"} for cell in cells)
