"""`scfm paper notebook`: parameters, and what is left of a notebook that fails."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from scfm.errors import ScfmError
from scfm.paper.notebook import run_notebook

pytestmark = pytest.mark.slow


@pytest.fixture
def notebook(tmp_path):
    """Function: a notebook with a cell of parameters, x = 1, and one more."""

    def write(source):
        cells = [nbformat.v4.new_code_cell(text) for text in ("x = 1", source)]
        cells[0].metadata.tags = ["parameters"]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), tmp_path / "in.ipynb")
        return tmp_path / "in.ipynb"

    return write


def output(path):
    """What the last cell printed."""
    return nbformat.read(path, as_version=4).cells[-1].outputs[0].text


@pytest.mark.parametrize("value", [7, 0.5, "a b", "it's", True, None])
def test_parameters_keep_their_type(notebook, tmp_path, value):
    out, log = tmp_path / "folder" / "out.ipynb", tmp_path / "logs" / "log.ipynb"
    assert run_notebook(notebook("print(repr(x))"), out, log, {"x": value}) == 3  # papermill adds a cell
    assert output(out) == f"{value!r}\n"
    assert log.read_bytes() == out.read_bytes()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f():\n    1 / 0\nf()", r"cell 2 of .*in.ipynb failed \(ZeroDivisionError: division by zero\); see .*log"),
        (
            "with open('/dev/full', 'w') as file:\n    file.write('x')",
            r"cell 2 of .* failed \(OSError: \[Errno 28\] No space left on device\)",
        ),
        (
            "try:\n    raise OSError(28, 'No space left on device')\nfinally:\n    None.position",
            r"cell 2 of .* failed \(OSError: \[Errno 28\] No space left on device\)",
        ),
        ("import os; os._exit(3)", r"the kernel of .*in.ipynb ended \(Kernel died\); see above"),
    ],
)
def test_a_failure_is_a_sentence_and_its_traceback_is_in_the_log(notebook, tmp_path, source, said):
    out, log = tmp_path / "out.ipynb", tmp_path / "log.ipynb"
    with pytest.raises(ScfmError, match=said) as caught:
        run_notebook(notebook(source), out, log, {})
    assert str(caught.value).startswith(f"{out}: ")
    assert "\n" not in str(caught.value)
    assert not out.exists()
    if "kernel" not in said:
        assert "Traceback" in log.read_text()
        errors = [o for cell in nbformat.read(log, as_version=4).cells for o in cell.get("outputs", [])]
        assert errors[-1].output_type == "error"


def test_a_missing_notebook(tmp_path):
    with pytest.raises(ScfmError, match=r"none.ipynb: notebook not found"):
        run_notebook(tmp_path / "none.ipynb", tmp_path / "out.ipynb", tmp_path / "log.ipynb", {})


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_kernel_ends_with_the_command(notebook, tmp_path, how):
    pid = tmp_path / "pid"
    source = notebook("import os, time\nopen(x, 'w').write(f'{os.getpid()}\\n')\ntime.sleep(300)")
    words = (
        "--out",
        tmp_path / "out.ipynb",
        "--log",
        tmp_path / "log.ipynb",
        "--parameters",
        json.dumps({"x": str(pid)}),
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    command = [sys.executable, "-m", "scfm", "paper", "notebook", str(source), *map(str, words)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: process.poll() is None and pid.exists() and pid.read_text().endswith("\n"))
        kernel = Path("/proc") / pid.read_text().strip()
        assert kernel.exists()
        process.send_signal(how)
    assert process.returncode != 0
    wait_until(lambda: not kernel.exists() or "\nState:\tZ" in (kernel / "status").read_text())
    assert not (tmp_path / "out.ipynb").exists()


def wait_until(true):
    """Wait a minute at most."""
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within a minute")
