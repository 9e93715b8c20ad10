"""A server that refuses: one sentence and no file; the next run goes on."""

import re
import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from scfm.resources import read_record, read_resources

pytestmark = pytest.mark.long

NAME = "housekeeping"
GENES = "ACTB\tNM_001101\nGAPDH\tNM_002046\n"


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *arguments):
        pass


@pytest.fixture
def port():
    """A port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@pytest.fixture
def target(fresh, port):
    """The fetched file of a study on real cells, whose server is that port."""
    path = fresh.folder / "config" / "resources.yaml"
    entries = yaml.safe_load(path.read_text())
    entries[NAME]["url"] = f"http://127.0.0.1:{port}/genes.txt"
    path.write_text(yaml.safe_dump(entries, sort_keys=False))
    entry = read_resources(path)[NAME]
    return Path("results/mini/resources") / NAME / entry.version(False) / "genes.txt"


def test_refused_connection(fresh, target, port, tmp_path):
    words = (str(target), "--cores", "1", "--config", "study=mini")
    done = fresh.run(*words)
    assert done.returncode != 0
    assert re.search(
        rf"^scfm: error: http://127.0.0.1:{port}/genes.txt: the server cannot be reached; check the connection and run "
        r"again to go on from 0 bytes, or configure a mirror folder$",
        done.stdout,
        re.M,
    ), done.stdout
    assert not re.search(r'File ".*/src/scfm/', done.stdout), done.stdout
    assert [path for path in (fresh.folder / "results").rglob("*") if path.is_file()] == [
        fresh.folder / "results" / "README.md"
    ]

    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "genes.txt").write_text(GENES)
    handler = partial(Quiet, directory=tmp_path / "site")
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = fresh.run(*words)
        server.shutdown()
    assert done.returncode == 0, done.stdout
    assert (fresh.folder / target).read_text() == GENES
    record = read_record(fresh.folder / f"{target}.record.json")
    assert (record.size, record.verified) == (len(GENES), "length")
