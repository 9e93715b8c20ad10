"""Rules and code are in the form that the tools of the field ask for."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = ["Snakefile", *(str(path.relative_to(ROOT)) for path in (ROOT / "workflow/rules").glob("*.smk"))]
TOOLS = {
    "snakefmt": ["snakefmt", "--check", *RULES],
    "ruff check": ["ruff", "check", "--no-cache", "."],
    "ruff format": ["ruff", "format", "--no-cache", "--check", "."],
}


@pytest.mark.parametrize("name", TOOLS)
def test_tool_finds_nothing(name):
    program, *arguments = TOOLS[name]
    done = subprocess.run([sys.executable, "-m", program, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_snakemake_lint_finds_nothing(fresh):
    done = fresh.run("--lint")
    assert done.returncode == 0, done.stdout
    assert "Congratulations" in done.stdout


def test_snakemake_lint_would_find_something(fresh):
    path = "workflow/rules/paper.smk"
    (fresh.folder / path).write_text((fresh.folder / path).read_text() + "\n\ndef unused():\n    return 1\n")
    assert "Mixed rules and functions" in fresh.run("--lint").stdout


def test_captions_of_the_report_exist():
    import re

    named = {
        match for path in RULES for match in re.findall(r'caption="\.\./report/(\w+)\.rst"', (ROOT / path).read_text())
    }
    assert named <= {path.stem for path in (ROOT / "workflow/report").glob("*.rst")}


def test_files_stay_small():
    long = {
        str(path.relative_to(ROOT)): lines
        for folder, pattern in (("src", "*.py"), ("workflow", "*.smk"))
        for path in (ROOT / folder).rglob(pattern)
        if (lines := len(path.read_text().splitlines())) > 300
    }
    assert long == {}
