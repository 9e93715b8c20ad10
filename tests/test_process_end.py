import os
import signal
import subprocess
import sys
import time

import pytest

COMMAND = """
import atexit, builtins, os, sys
sys.argv = ["scfm", *sys.argv[1:]]
from scfm import cli

class Harm:
    def __del__(self):
        os.abort()

{before}
cli.program()
"""
# Kept by a module that the interpreter clears when it takes itself apart.
HARM = "cli.harm = Harm()"


def ends(before, *words):
    """Run the program after some lines of Python."""
    script = COMMAND.format(before=before)
    return subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "code"), [(["--help"], 0), (["embedd"], 2), (["embed", "no", "o", "--model", "no"], 1)]
)
def test_the_interpreters_own_end_cannot_change_the_exit_code(words, code):
    done = ends(HARM, *words)
    assert done.returncode == code, done.stderr
    assert done.stdout + done.stderr


def test_the_planted_harm_kills_a_process_that_ends_in_the_usual_way():
    done = subprocess.run([sys.executable, "-c", COMMAND.format(before=HARM).replace("program", "main"), "--help"])
    assert done.returncode == -signal.SIGABRT


def test_exit_callbacks_run_and_output_arrives():
    done = ends("cli.main = lambda: atexit.register(print, 'called')")
    assert (done.returncode, done.stdout) == (0, "called\n")


@pytest.mark.parametrize(
    ("ending", "code", "error"),
    [
        ("sys.exit()", 0, ""),
        ("sys.exit(7)", 7, ""),
        ("sys.exit('a sentence')", 1, "a sentence\n"),
        ("raise ValueError('a bug')", 1, "ValueError: a bug\n"),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt\n"),
    ],
)
def test_exit_codes_are_those_of_python(ending, code, error):
    done = ends(f"{HARM}\ndef fails():\n    {ending}\ncli.main = fails")
    assert done.returncode == code
    assert done.stderr.endswith(error)


def test_a_terminated_program_says_so_by_its_code():
    waiting = "import time\ncli.get_command = lambda app: lambda: (print('ready', flush=True), time.sleep(60))"
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(before=waiting)], stdout=subprocess.PIPE, env=os.environ, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
