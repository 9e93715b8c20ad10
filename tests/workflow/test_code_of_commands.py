"""The digest of a command follows what that command runs, and nothing else; on a small package of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from scfm.code import digest, modules_of

SOURCE = Path(digest.__wrapped__.__code__.co_filename)
FILES = {
    "__init__.py": '"""A package."""\n',
    "commands.py": """
from scfm.shared import LIMIT


def one(text: str = option(help="a text")) -> None:
    from scfm.first import work

    helper(work(text))


def two(one: int = 0) -> None:
    from scfm.second import work

    work(LIMIT + one)


def helper(value):
    return value
""",
    "first.py": "def work(x):\n    return x + 1  # more\n",
    "second.py": 'from scfm.third import table\n\n\ndef work(x):\n    """Doc."""\n    return table(x)\n',
    "third.py": 'def table(x):\n    return open("table.tsv"), x\n',
    "shared.py": 'LIMIT = 3\n"""A limit."""\n',
    "data/table.tsv": "a\tb\n",
    "data/other.tsv": "c\td\n",
}


@pytest.fixture
def digests(tmp_path):
    """Function: the digests of commands one and two, after replacing texts in files of the package."""
    (tmp_path / "scfm" / "data").mkdir(parents=True)
    for name, text in FILES.items():
        (tmp_path / "scfm" / name).write_text(text)
    (tmp_path / "scfm" / "code.py").write_text(SOURCE.read_text())

    def run(path=None, old="", new=""):
        if path:
            file = tmp_path / "scfm" / path
            assert old in file.read_text()
            file.write_text(file.read_text().replace(old, new))
        code = "from scfm.code import digest; print(*(digest(f'scfm.commands:{name}') for name in ('one', 'two')))"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.split()

    return run


@pytest.mark.parametrize(
    ("path", "old", "new", "changed"),
    [
        ("first.py", "x + 1", "x + 2", (True, False)),
        ("second.py", "table(x)", "table(-x)", (False, True)),
        ("third.py", ", x", ", -x", (False, True)),
        ("shared.py", "3", "4", (True, True)),
        ("commands.py", "return value", "return -value", (True, False)),
        ("commands.py", "work(LIMIT + one)", "work(LIMIT - one)", (False, True)),
        ("data/table.tsv", "a", "A", (False, True)),
        ("data/other.tsv", "c", "C", (False, False)),
        ("first.py", "# more", "# one more", (False, False)),
        ("second.py", "Doc.", "Documentation.", (False, False)),
        ("shared.py", "A limit.", "The limit.", (False, False)),
        ("commands.py", "a text", "some text", (False, False)),
        ("second.py", "\n\n\ndef", "\n\n\n\ndef", (False, False)),
        ("__init__.py", "A package.", "The package.", (False, False)),
    ],
)
def test_edit_changes_the_digest_of_what_uses_it(digests, path, old, new, changed):
    before = digests()
    after = digests(path, old, new)
    assert tuple(a != b for a, b in zip(before, after, strict=True)) == changed


def test_commands_do_not_count_for_each_other():
    # In learnability, `genes` is a command and an argument of others.
    assert "scfm.learnability.trend" in modules_of("scfm.learnability.commands:genes")
    assert "scfm.learnability.trend" not in modules_of("scfm.learnability.commands:agreement")


def test_every_data_file_of_the_package_is_named_by_a_module_of_its_folder():
    # Else its edit would change no digest.
    package = SOURCE.parent
    for path in package.rglob("*"):
        if path.is_file() and path.suffix != ".py" and path.parent.name != "__pycache__":
            folders = [folder for folder in path.parents if package in (folder, *folder.parents)]
            sources = [source.read_text() for folder in folders for source in folder.glob("*.py")]
            assert any(f'"{path.name}"' in text for text in sources), path.name
