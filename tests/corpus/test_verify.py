"""`scfm corpus verify`: sound shards pass, and every fault is one sentence about the file that has it."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from typer.testing import CliRunner

from scfm.cli import app
from scfm.corpus import write_shards
from scfm.corpus.common import TEXT
from scfm.corpus.csr import as_counts
from scfm.corpus.verify import verify
from scfm.corpus.write import file_digests
from scfm.errors import ScfmError


@pytest.fixture
def shards(built, tmp_path):
    """A copy of shards that the stage wrote."""
    return shutil.copytree(built / "shards", tmp_path / "shards")


def edit_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def replace(shards, name, write):
    """Replace a file and its digest, so that only the content is wrong."""
    write(shards / name)
    files = json.loads((shards / "manifest.json").read_text())["files"]
    edit_manifest(shards, files=files | file_digests(shards, [name]))


def change_array(shards, name, change):
    array = np.load(shards / name)
    change(array)
    replace(shards, name, lambda path: np.save(path, array))


def change_cells(shards, change):
    cells = pd.read_parquet(shards / "cells.parquet")
    replace(shards, "cells.parquet", lambda path: change(cells).to_parquet(path, index=False))


def fault(shards):
    with pytest.raises(ScfmError) as raised:
        verify(shards)
    assert "\n" not in str(raised.value)
    return str(raised.value).removeprefix(f"{shards}/")


def test_what_the_stage_writes_passes(shards):
    (shards / ".snakemake_timestamp").touch()
    manifest = json.loads((shards / "manifest.json").read_text())
    done = verify(shards)
    assert (done["cells"], done["genes"], done["shards"]) == (manifest["cells"], manifest["genes"], 2)
    assert done["bytes"] == sum(p.stat().st_size for p in shards.rglob("*.np[yz]")) + sum(
        p.stat().st_size for p in shards.glob("*.parquet")
    )
    result = CliRunner().invoke(app, ["corpus", "verify", str(shards)], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.output.startswith("corpus verify: ")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("name", ["shard-00000/genes.npy", "shard-00001/counts.npy", "genes.parquet", "measured.npz"])
def test_a_flipped_byte_is_found(shards, name):
    content = bytearray((shards / name).read_bytes())
    content[len(content) // 2] ^= 1
    (shards / name).write_bytes(content)
    assert fault(shards).startswith(f"{name}: its sha256 is not that of the manifest")


def test_a_flipped_byte_of_the_cells_is_found(shards):
    content = bytearray((shards / "cells.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (shards / "cells.parquet").write_bytes(content)
    assert fault(shards).startswith("cells.parquet: ")


def test_a_truncated_file_is_found(shards):
    content = (shards / "shard-00001" / "counts.npy").read_bytes()
    (shards / "shard-00001" / "counts.npy").write_bytes(content[:-2])
    assert f"has {len(content) - 2:,} bytes where the manifest says {len(content):,}" in fault(shards)


def test_a_missing_shard_and_a_strange_file_are_found(shards):
    (shards / "more.npy").touch()
    assert fault(shards).startswith("more.npy: is not in the manifest")
    (shards / "more.npy").unlink()
    (shards / "shard-00001" / "counts.npy").unlink()
    assert fault(shards).startswith("shard-00001/counts.npy: is missing")
    shutil.rmtree(shards / "shard-00001")
    assert fault(shards).startswith("manifest.json: lists shards, but shard-00001 is not there")


def test_a_shard_that_the_manifest_has_forgotten(shards):
    first, _ = json.loads((shards / "manifest.json").read_text())["shards"]
    edit_manifest(shards, shards=[first])
    assert fault(shards).startswith("manifest.json: 'shard-00001/")


def test_a_manifest_of_another_selection_or_release(shards, prepare, tmp_path):
    other = prepare(tmp_path / "other", shard_cells=300, exclude_datasets=["corpus_03"], split={"by": "cell"})
    shutil.copy(other / "shards" / "manifest.json", shards)
    assert "the manifest says" in fault(shards)
    # The same sizes by chance: only the cells tell.
    files = {
        str(p.relative_to(shards)): {"bytes": p.stat().st_size, "sha256": ""} for p in shards.rglob("*") if p.is_file()
    }
    edit_manifest(shards, files={name: about for name, about in files.items() if name != "manifest.json"})
    assert "another selection or release" in fault(shards)


def test_a_manifest_without_digests(shards):
    content = json.loads((shards / "manifest.json").read_text())
    del content["files"]
    (shards / "manifest.json").write_text(json.dumps(content))
    assert fault(shards).startswith("manifest.json: key 'files' is missing")


def swap_first_two(genes):
    genes[:2] = genes[1::-1]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("shard-00000/genes.npy", lambda a: a.__setitem__(7, 60_000), "gene id 60000 lies outside"),
        ("shard-00000/genes.npy", swap_first_two, "gene ids of cell 0 do not ascend"),
        ("shard-00001/counts.npy", lambda a: a.__setitem__(0, 0), "a count below 1"),
        ("shard-00001/counts.npy", lambda a: a.__setitem__(0, a[0] + 1), "cell 0 has n_counts"),
        ("shard-00001/counts.npy", lambda a: a.__setitem__(0, 65_535), "overflow.npy lacks a count"),
        ("shard-00000/indptr.npy", lambda a: a.__setitem__(0, 1), "does not divide"),
        ("shard-00000/indptr.npy", lambda a: a.__setitem__(1, a[1] + 1), "of cell 0 do not ascend"),
    ],
)
def test_wrong_content_under_a_right_digest(shards, name, change, message):
    change_array(shards, name, change)
    assert message in fault(shards)


def test_an_overflow_table_with_a_surplus_count(shards):
    replace(shards, "shard-00000/overflow.npy", lambda path: np.save(path, np.array([[0, 70_000]])))
    assert "does not hold the 0 counts" in fault(shards)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cells: cells.drop(columns="cell_type_ontology_term_id"), "'cell_type_ontology_term_id' is absent"),
        (lambda cells: pd.concat([cells[:-1], cells[:1]]), "stands there twice"),
        (lambda cells: cells.assign(split="test"), "'split' holds 'test'"),
        (lambda cells: cells.assign(tissue=None), "'tissue' is empty"),
        (lambda cells: cells.assign(n_genes=cells["n_genes"] + 1), "n_genes"),
        (lambda cells: cells.assign(dataset_id="elsewhere"), "'elsewhere' of cells.parquet is missing"),
    ],
)
def test_wrong_cells(shards, change, message):
    change_cells(shards, change)
    assert message in fault(shards)


def test_measured_genes_of_another_shape(shards):
    def write(path):
        with np.load(path) as stored:
            content = dict(stored)
        np.savez(path, datasets=content["datasets"], measured=content["measured"][:, 1:])

    replace(shards, "measured.npz", write)
    assert fault(shards).startswith("measured.npz: has the shape")


def test_counts_above_16_bits_are_checked_too(tmp_path):
    counts = np.array([[65_534, 0, 65_535], [70_000, 1, 3_000_000_000]])
    cells = pd.DataFrame(dict.fromkeys((*TEXT, "split"), "unknown"), index=[0, 1])
    cells = cells.assign(soma_joinid=[5, 3], dataset_id="d", split="train")
    genes = pd.DataFrame({"gene": ["A", "B", "C"]})
    write_shards(tmp_path / "s", [(as_counts(csr_matrix(counts)), cells)], genes, ["d"], np.ones((1, 3)))
    assert verify(tmp_path / "s")["cells"] == 2
    change_array(tmp_path / "s", "shard-00000/overflow.npy", lambda table: table.__setitem__((1, 1), 70_001))
    assert "cell 1 has n_counts" in fault(tmp_path / "s")
