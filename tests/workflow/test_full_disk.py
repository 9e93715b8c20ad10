"""Disks that are full or read-only: one sentence, nothing half-written under a final name, and the next run goes on."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from clone import ROOT, clone
from compare import differences

pytestmark = pytest.mark.long

PAGE = 4096
REASON = r"(?:No space left on device|the disk took only a part of it)"
REFUSED = re.compile(
    rf"^scfm: error: (.+): (?:cannot be written|cell \d+ of \S+ failed) \((?:OSError: \[Errno 28\] )?{REASON}\); .+$",
    re.M,
)

RECORD = re.compile(r"^\s*OSError: \[Errno 28\] No space left on device", re.M)
"""What Snakemake says of a file of its own."""


@pytest.fixture
def mounted(need, tmp_path):
    """Function: a file system in memory of a size over a folder, or its new size or state; unmounted at the end."""
    need(os.geteuid() == 0, "only root can mount")
    (tmp_path / "try").mkdir()
    need(_mount("-t", "tmpfs", "none", tmp_path / "try") == 0, "this machine refuses to mount")
    folders = [tmp_path / "try"]

    def mount(folder, options):
        folder.mkdir(parents=True, exist_ok=True)
        if folder in folders:
            assert _mount("-o", f"remount,{options}", folder) == 0
        else:
            assert _mount("-t", "tmpfs", "-o", options, "none", folder) == 0
            folders.append(folder)

    yield mount
    for folder in folders:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _mount(*words) -> int:
    return subprocess.run(["mount", *words], capture_output=True).returncode


def space(folder):
    """Bytes that the files below a folder take."""
    return sum(-(-path.stat().st_size // PAGE) * PAGE for path in folder.rglob("*") if path.is_file())


def relative_files(folder):
    """Files below a folder that stay and have names of ours: not those of SOMA, nor the scattered parts."""
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {path for path in files if not {"soma", "scatter"} & set(path.parts)}


def read(path):
    """Read a file whole by the library of its kind; whatever the kind, it holds something."""
    assert path.stat().st_size > 0, path
    if path.suffix in (".csv", ".tsv"):
        return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix in (".json", ".ipynb"):
        return json.loads(path.read_text())
    if path.suffix in (".npy", ".npz"):
        loaded = np.load(path)
        return {name: loaded[name] for name in loaded.files} if path.suffix == ".npz" else loaded
    if path.suffix == ".h5ad":
        import anndata

        return anndata.read_h5ad(path)
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return load_file(path)
    if path.suffix == ".png":
        from matplotlib.image import imread

        return imread(path)
    if path.suffix == ".pdf":
        assert path.read_bytes().rstrip().endswith(b"%%EOF"), path
    if path.suffix == ".html":
        assert path.read_text().rstrip().endswith("</html>"), path
    if path.suffix == ".ckpt":
        import torch

        return torch.load(path, weights_only=True)
    return None


def check_whole(folder, full=False):
    """Nothing temporary is left below a folder, and whatever stands there can be read.

    On a full disk Snakemake's own record of a job may be empty: it fails the job, which is run again.
    """
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).parts
        if "soma" in inside or not path.is_file() or path.name in ("lock", "README.md"):
            continue
        assert path.name == ".snakemake_timestamp" or not any(part.startswith(".") for part in inside), path
        unwritten = full and "benchmark" in inside and path.stat().st_size == 0
        if not path.name.startswith(".") and not unwritten:
            read(path)


def assert_refused(done, *folders):
    """Snakemake failed, each sentence names a file below these folders, and no traceback is ours.

    There is none where a job has done its part and Snakemake cannot write its record of it.
    """
    assert done.returncode != 0, done.stdout
    named = set(REFUSED.findall(done.stdout))
    assert named or RECORD.search(done.stdout), done.stdout
    assert all(any(name.startswith(folder) for folder in folders) for name in named), named
    assert not re.search(r'File ".*(/src/scfm/|h5py/)', done.stdout), done.stdout
    assert "Segmentation fault" not in done.stdout


def test_a_chain_of_runs_on_disks_that_fill(finished, mounted, tiny, tmp_path):
    """Each run meets a full disk at another stage; what it finished stays, and the last one ends with the tables."""
    copy, whole = clone(tmp_path / "clone"), finished.folder / "results" / "tiny"
    results, work, needed = copy.folder / "results", copy.folder / "work", space(whole)
    finished_files = set()
    for share, work_size, named in (
        (0.3, "64m", "results/tiny/"),
        (0.6, "72k", "work/tiny/"),  # room to begin, but not for a checkpoint
        (0.8, "64m", "results/tiny/"),
    ):
        mounted(results, f"size={int(share * needed)}")
        mounted(work, f"size={work_size}")
        done = copy.run(*tiny, "--cores", "2")
        assert_refused(done, "results/tiny/", "work/tiny/")
        refused = [name for name in REFUSED.findall(done.stdout) if name.startswith(named)]
        assert refused or (named == "results/tiny/" and RECORD.search(done.stdout)), done.stdout
        check_whole(results, full=True)
        check_whole(work)
        assert relative_files(results) >= finished_files
        finished_files = relative_files(results)
    mounted(results, "size=64m")
    done = copy.run(*tiny, "--cores", "2")
    assert done.returncode == 0, done.stdout
    check_whole(results)
    assert differences(whole, results / "tiny") == []

    mounted(results, "ro,size=64m")
    done = copy.run(*tiny, "--cores", "2", "--forceall")
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1] == (
        "scfm: error: results: 'results' cannot be written; name another folder or fix the rights of results"
    )
    assert "rule " not in done.stdout


def test_a_temporary_folder_that_is_full(fresh, mounted, tiny, tmp_path):
    folder = tmp_path / "temporary"
    mounted(folder, "size=72k")
    (folder / "other").write_bytes(bytes(40_000))
    done = fresh.run(*tiny, "--cores", "1", TMPDIR=str(folder))
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1] == (
        f"scfm: error: temporary folder (TMPDIR): '{folder}' has no space left; free some or name another folder"
    )
    assert "rule " not in done.stdout

    # The same, met by a notebook: the folder filled after Snakemake had begun.
    out = tmp_path / "out.ipynb"
    words = ("paper", "notebook", ROOT / "notebooks" / "figure2.ipynb", "--out", out, "--log", tmp_path / "log.ipynb")
    done = scfm(*words, TMPDIR=str(folder))
    assert done.returncode == 1
    assert REFUSED.fullmatch(done.stderr.strip())[1].startswith(str(folder))
    assert not out.exists()


def test_a_home_folder_that_is_full_does_not_matter_to_a_notebook(mounted, tmp_path):
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print('ran')")])
    nbformat.write(notebook, tmp_path / "in.ipynb")
    mounted(tmp_path / "home", "size=8k")
    (tmp_path / "home" / "other").write_bytes(bytes(8192))
    out = tmp_path / "out.ipynb"
    done = scfm(
        "paper", "notebook", tmp_path / "in.ipynb", "--out", out, "--log", tmp_path / "log", HOME=str(tmp_path / "home")
    )
    assert done.returncode == 0, done.stderr
    assert nbformat.read(out, as_version=4).cells[0].outputs[0].text == "ran\n"


def scfm(*words, **variables):
    """One command of this repository's library."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"} | variables
    command = [sys.executable, "-m", "scfm", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


WRITERS = """
import sys
from pathlib import Path
import numpy as np
from scfm.cli import app, main
from scfm.files import whole

values = np.random.default_rng(0).random((3000, 100))

def table(path, how):
    import pandas as pd
    getattr(pd.DataFrame(values).rename(columns=str), how)(path)

def h5ad(path, **options):
    import anndata
    anndata.AnnData(values).write_h5ad(path, **options)

def soma(path):
    import pyarrow as pa
    import tiledbsoma
    with tiledbsoma.Collection.create(str(path)) as top:
        array = top.add_new_sparse_ndarray("raw", type=pa.float64(), shape=values.shape)
        places = [x.ravel() for x in np.indices(values.shape)]
        array.write(pa.table({"soma_dim_0": places[0], "soma_dim_1": places[1], "soma_data": values.ravel()}))

def tensors(path):
    import torch
    from safetensors.torch import save_file
    save_file({"x": torch.from_numpy(values)}, path)

def checkpoint(path):
    import torch
    torch.save(torch.from_numpy(values), path)

def image(path):
    from matplotlib.image import imsave
    imsave(path, values, format="png")

def array(path):
    with path.open("wb") as file:
        np.save(file, values)

def copy(path):
    import shutil
    source = path.parents[1] / "source"
    source.write_bytes(values.tobytes())
    shutil.copyfile(source, path)

KINDS = {
    "csv": lambda path: table(path, "to_csv"),
    "parquet": lambda path: table(path, "to_parquet"),
    "h5ad": h5ad,
    "gzip": lambda path: h5ad(path, compression="gzip"),
    "soma": soma,
    "tensors": tensors,
    "checkpoint": checkpoint,
    "image": image,
    "array": array,
    "npz": lambda path: np.savez(path, values),
    "text": lambda path: path.write_text("x" * values.nbytes),
    "copy": copy,
}

@app.command()
def write(kind: str, out: Path):
    with whole(out) as temporary:
        KINDS[kind](temporary)

main()
"""


@pytest.mark.parametrize(
    "kind",
    ["csv", "parquet", "h5ad", "gzip", "soma", "tensors", "checkpoint", "image", "array", "npz", "text", "copy"],
)
def test_every_library_ends_with_the_same_sentence(mounted, tmp_path, kind):
    mounted(tmp_path / "small", "size=72k")
    out = tmp_path / "small" / f"out.{kind}"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", WRITERS, "write", kind, str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    reason = "the disk took only a part of it" if kind in ("checkpoint", "array") else "No space left on device"
    assert done.stderr == (
        f"scfm: error: {out}: cannot be written ({reason}); free some space or choose another folder\n"
    )
    assert list((tmp_path / "small").iterdir()) == []
    assert shutil.disk_usage(tmp_path / "small").used == 0
