"""Run a notebook from its parameters to its last cell, and keep what it said if it fails."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import papermill

from scfm.errors import REFUSALS, ScfmError
from scfm.files import ROOM, must_exist, whole, writing

ANSI = re.compile(r"\x1b\[[\d;]*m")
PAPERMILL = {"kernel_name": "python3", "progress_bar": False, "extra_arguments": ["--log-level=ERROR"]}


def run_notebook(source: Path, out: Path, log: Path, parameters: dict) -> int:
    """Execute `source` with papermill and write it with its outputs.

    Args:
        out: the executed notebook; only of a run to its end.
        log: the same, written cell by cell; after a failure it holds the traceback.

    Returns:
        Number of code cells that ran.

    Raises:
        ScfmError: the notebook is missing, a cell fails, or its kernel ends.
    """
    must_exist(source, "notebook")
    with writing(log), own_runtime():
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            done = papermill.execute_notebook(source, log, parameters, **PAPERMILL)
        except papermill.PapermillExecutionError as error:
            raise ScfmError(f"{out}: cell {error.exec_count} of {source} failed ({_said(error)}); see {log}") from error
        except RuntimeError as error:  # as nbclient calls it
            said = " ".join(str(error).split())
            raise ScfmError(f"{out}: the kernel of {source} ended ({said}); see above for why") from error
    with whole(out) as temporary:
        shutil.copyfile(log, temporary)
    return sum(cell.cell_type == "code" for cell in done.cells)


def _said(error: papermill.PapermillExecutionError) -> str:
    """What the cell said last, or which of its errors came of a disk that refuses, as others often follow from it."""
    lines = [ANSI.sub("", line) for part in error.traceback for line in part.splitlines()]
    errors = [line for line in lines if re.match(r"[\w.]+: ", line)]
    refused = [line for line in errors if any(os.strerror(code) in line for code in REFUSALS)]
    return " ".join((refused[-1] if refused else f"{error.ename}: {error.evalue}").split())


@contextmanager
def own_runtime() -> Iterator[None]:
    """A temporary folder for what Jupyter and IPython write into the home folder, whose quota may be full."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # A kernel without room would end with a long traceback of its own.
        with writing(Path(folder) / "kernel"):
            (Path(folder) / "kernel").write_bytes(bytes(ROOM))
        (Path(folder) / "kernel").unlink()
        before = dict(os.environ)
        os.environ |= {"JUPYTER_RUNTIME_DIR": folder, "IPYTHONDIR": folder}
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
