import json
import os
import subprocess
import sys

import anndata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm import cli
from scfm.settings import as_json


@pytest.fixture
def run(monkeypatch, capsys):
    """Function that calls the command line as a process would: exit code, output and error."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["scfm", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def source(toy_adata, tmp_path):
    toy_adata.write_h5ad(tmp_path / "in.h5ad")
    return tmp_path / "in.h5ad"


def is_a_sentence(result, *words):
    code, out, err = result
    assert code == 1
    assert out == ""
    assert err.startswith("scfm: error: ")
    assert err.count("\n") == 1
    assert all(word in err for word in words), err


def test_embed(run, source, toy_model, tmp_path):
    out = tmp_path / "out.h5ad"
    code, line, _ = run("embed", source, out, "--model", toy_model, "--pooling", "mean", "--key-added", "X_m")
    assert (code, line.count("\n")) == (0, 1)
    assert "40 cells" in line
    assert "40 of 40 genes" in line
    written = anndata.read_h5ad(out)
    assert written.obsm["X_m"].shape == (40, 16)
    assert np.isfinite(written.obsm["X_m"]).all()


def test_annotate(run, source, toy_model, tmp_path):
    out = tmp_path / "out.h5ad"
    code, line, _ = run("annotate", source, out, "--model", toy_model, "--decode", "greedy")
    assert (code, line.count("\n")) == (0, 1)
    obs = anndata.read_h5ad(out).obs
    counts = obs["scfm_name"].value_counts()
    assert f"{counts['alpha']:,} alpha" in line
    assert (obs["scfm_name"].astype(str) == obs["type"].astype(str)).mean() > 0.95


def test_explain_and_finetune(run, source, toy_model, tmp_path):
    table, folder, out = tmp_path / "genes.csv", tmp_path / "tuned", tmp_path / "out.h5ad"
    where = ("--target", "alpha", "--cells", "type=alpha")
    code, lines, _ = run("explain", source, table, "--model", toy_model, *where)
    assert code == 0
    assert "log-odds of alpha" in lines
    assert pd.read_csv(table)["gene"][0] in {f"G{i}" for i in range(10)}
    assert run("finetune", source, folder, "--model", toy_model, "--column", "type", "--epochs", 2)[0] == 0
    assert run("annotate", source, out, "--model", folder)[0] == 0
    assert set(anndata.read_h5ad(out).obs["scfm_name"]) <= {"alpha", "beta"}
    is_a_sentence(run("explain", source, table, "--model", toy_model, *where[:3], "type=x"), "no cell has type 'x'")


def test_numbers_are_learnt_and_predicted(run, toy_adata, toy_model, tmp_path):
    toy_adata.obs["age"] = np.arange(40) % 4
    source, folder, out = (tmp_path / name for name in ("in.h5ad", "tuned", "out.h5ad"))
    toy_adata.write_h5ad(source)
    words = ("finetune", source, folder, "--model", toy_model, "--column", "age", "--epochs", 1)
    is_a_sentence(run(*words), "4 whole numbers may be codes of labels or amounts")
    code, line, _ = run(*words, "--task", "regression")
    assert code == 0
    assert "regression on age" in line
    code, line, _ = run("predict", source, out, "--model", folder)
    assert (code, line.count("\n")) == (0, 1)
    assert "obs['scfm_age']" in line
    assert np.isfinite(anndata.read_h5ad(out).obs["scfm_age"]).all()
    is_a_sentence(run("predict", source, out, "--model", toy_model), "it predicts no number")


def test_what_was_in_the_file_stays(run, toy_adata, toy_model, tmp_path):
    toy_adata.layers["again"] = toy_adata.X * 2
    toy_adata.obsp["near"] = toy_adata.X[:, :1] @ toy_adata.X[:, :1].T
    toy_adata.raw, toy_adata.uns["about"] = toy_adata.copy(), {"one": 1}
    toy_adata.obsm["X_pca"] = np.ones((40, 2))
    toy_adata.write_h5ad(tmp_path / "in.h5ad", compression="gzip")
    assert run("embed", tmp_path / "in.h5ad", tmp_path / "in.h5ad", "--model", toy_model)[0] == 0  # in its own place
    written = anndata.read_h5ad(tmp_path / "in.h5ad")
    assert (written.X != toy_adata.X).nnz == 0
    assert (written.raw.X != toy_adata.X).nnz == 0
    assert (written.layers["again"] != toy_adata.X * 2).nnz == 0
    assert set(written.obsm) == {"X_pca", "X_scfm"}
    assert set(written.obsp) == {"near"}
    assert written.uns["about"] == {"one": 1}
    pd.testing.assert_frame_equal(written.obs.astype(str), toy_adata.obs.astype(str))


def test_bad_input_is_one_sentence_and_exit_code_1(run, source, toy_model, toy_plain_model, tmp_path):
    out = tmp_path / "out.h5ad"
    is_a_sentence(run("embed", tmp_path / "no.h5ad", out, "--model", toy_model), "no.h5ad", "not found")
    is_a_sentence(run("embed", source, out, "--model", tmp_path / "no"), "no/model.safetensors", "not found")
    is_a_sentence(run("embed", source, out, "--model", toy_model, "--pooling", "x"), "pooling: 'x'")
    is_a_sentence(run("embed", source, out, "--model", toy_model, "--values", "x"), "values: 'x'")
    is_a_sentence(run("embed", source, out, "--model", toy_model, "--precision", "x"), "precision: 'x'")
    is_a_sentence(run("annotate", source, out, "--model", toy_plain_model), "no label head")
    text = tmp_path / "text.h5ad"
    text.write_text("gene\tcell\n")
    is_a_sentence(run("embed", text, out, "--model", toy_model), "text.h5ad", "not a readable h5ad")
    assert not out.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.h5ad", "text.h5ad"]


@pytest.fixture
def bad_input(run, toy_adata, toy_model, toy_run, write_toy_shards, toy_obo, tmp_path):
    """Function that gives a command one kind of bad input; what it writes is to be called `out`."""
    out = ("--out", tmp_path / "out")

    def embed():
        toy_adata.write_h5ad(tmp_path / "in.h5ad")
        return run("embed", tmp_path / "in.h5ad", tmp_path / "out", "--model", toy_model)

    def wrong_digest():
        (tmp_path / "file.tsv").touch()
        entry = {"title": "t", "reader": "tsv", "licence": "CC0", "mirror": "file.tsv", "mirror_sha256": "0" * 64}
        where = ("--mirror", tmp_path, "--partial", tmp_path / "part", "--record", tmp_path / "record.json")
        return run("resources", "fetch", "thing", "--settings", json.dumps(entry), *where, *out)

    def no_cell_after_quality_control():
        toy_adata.write_h5ad(tmp_path / "in.h5ad")
        columns = ("symbol", "ensembl_gene_id", "entrez_id", "uniprot_ids", "alias_symbol", "prev_symbol")
        hgnc = ["\t".join((*columns, "locus_group")), "G0" + "\t" * len(columns) + "protein-coding gene"]
        (tmp_path / "hgnc.tsv").write_text("\n".join(hgnc))
        qc, soma = {"min_counts": 1_000_000}, tmp_path / "soma"
        rows = {"datasets": [{"name": "toy", "values": "counts", "organism": "Homo sapiens"}]}
        scan = {"source": {"kind": "files", "datasets": ["toy"]}, "qc": qc, "block": 50}
        select = {
            "qc": qc,
            "exclude_datasets": [],
            "sampling": [],
            "split": {"by": "cell"},
            "layout": {},
            "shard_cells": 100,
        }
        assert not run("corpus", "build", tmp_path / "in.h5ad", "--settings", json.dumps(rows), "--out", soma)[0]
        assert not run("corpus", "scan", "--settings", json.dumps(scan), "--soma", soma, "--out", tmp_path / "scan")[0]
        where = ("--hgnc", tmp_path / "hgnc.tsv", *out)
        return run("corpus", "select", tmp_path / "scan", "--settings", json.dumps(select), *where)

    def no_known_gene():
        toy_adata.var_names = [f"Gnai{i}" for i in range(toy_adata.n_vars)]
        return embed()

    def duplicate_genes():
        toy_adata.var_names = ["G1", *toy_adata.var_names[1:]]
        return embed()

    def no_matrix():
        toy_adata.X = None
        return embed()

    def negative_counts():
        toy_adata.X = toy_adata.X.toarray() - 1
        return embed()

    def no_label_for_a_label_head():
        shards = write_toy_shards(tmp_path / "shards", cell_type_ontology_term_id="unknown")
        where = ("--shards", shards, "--ontology", toy_obo, "--work", tmp_path / "work", *out)
        return run("pretrain", "train", "--settings", as_json(toy_run(heads=True)), "--run", "r", "--seed", 0, *where)

    calls = (wrong_digest, no_cell_after_quality_control, no_known_gene, duplicate_genes, no_matrix, negative_counts)
    named = {call.__name__: call for call in (*calls, no_label_for_a_label_head)}
    return lambda kind: named[kind]()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("wrong_digest", "sha256"),
        ("no_cell_after_quality_control", "no cell passes"),
        ("no_known_gene", "written as mouse genes"),
        ("duplicate_genes", "'G1' and 'G1' are both gene 'G1'"),
        ("no_matrix", "no expression matrix"),
        ("negative_counts", "negative"),
        ("no_label_for_a_label_head", "holds no label"),
    ],
)
def test_bad_input_leaves_no_output(bad_input, tmp_path, kind, expected):
    code, _, err = bad_input(kind)
    is_a_sentence((code, "", err), expected)
    assert not (tmp_path / "out").exists()


def test_an_hdf5_file_of_something_else_is_a_sentence(run, toy_model, tmp_path):
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["matrix"] = np.eye(3)
    is_a_sentence(run("embed", tmp_path / "other.h5", tmp_path / "o.h5ad", "--model", toy_model), "other.h5")


def test_a_folder_as_output_is_left_alone(run, source, toy_model, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").touch()
    is_a_sentence(run("embed", source, tmp_path / "home", "--model", toy_model), "home: is a folder")
    assert (tmp_path / "home" / "thesis.txt").exists()


def test_help_lists_verbs_and_stages():
    result = CliRunner().invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    for word in (*cli.VERBS, *cli.STAGES):
        assert word in result.output
    for stage in cli.STAGES:
        assert CliRunner().invoke(cli.app, [stage, "--help"]).exit_code == 0


def test_help_of_the_program_imports_no_heavy_library():
    script = (
        "import sys; sys.argv = ['scfm', '--help']\n"
        "from scfm.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'anndata', 'scanpy', 'sklearn', 'lightning_fabric', 'tiledbsoma'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_training_imports_no_library_that_it_does_not_use():
    script = (
        "import sys, scfm.pretrain.train\n"
        "print(sorted({'torchmetrics', 'transformers', 'matplotlib', 'anndata', 'scanpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [("doctor", "--study", "tiny"), ("embed", "none", "out", "--model", "none")])
def test_a_line_is_one_write(words, unbuffered, tmp_path):
    read, write = os.pipe2(os.O_DIRECT)  # each read returns what one write wrote
    command = [sys.executable, "-m", "scfm", *words]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=write, stderr=write)
    os.close(write)
    writes = list(iter(lambda: os.read(read, 1 << 16), b""))
    os.close(read)
    process.wait()
    assert writes
    assert [text for text in writes if not text.endswith(b"\n")] == []


def test_unknown_commands_end_with_usage(run):
    code, _, err = run("embedd")
    assert code == 2
    assert "embedd" in err


def test_train(run, toy_run, toy_shards, toy_obo, tmp_path):
    settings = toy_run(heads=True, epochs=1)
    where = ("--shards", toy_shards, "--work", tmp_path / "work", "--out", tmp_path / "model", "--device", "cpu")
    words = ("pretrain", "train", "--run", "toy", "--seed", 4, *where)
    code, out, _ = run(*words, "--settings", as_json(settings), "--ontology", toy_obo)
    assert code == 0
    assert "pretrain toy/4: 6 updates on 192 cells" in out.splitlines()[-1]
    assert (tmp_path / "model" / "model.safetensors").is_file()
    is_a_sentence(run(*words, "--settings", as_json(settings)), "toy/4", "--ontology")
    is_a_sentence(run(*words, "--settings", "{}"), "--settings: key")
    is_a_sentence(run(*words[:-1], "tpu", "--settings", as_json(settings)), "device: 'tpu'")


def test_a_run_that_needs_a_gpu_says_so(run, toy_run, toy_shards, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    where = ("--shards", toy_shards, "--work", tmp_path / "work", "--out", tmp_path / "model")
    words = ("pretrain", "train", "--settings", as_json(toy_run()), "--run", "toy", "--seed", 0, *where)
    is_a_sentence(run(*words, "--need-gpu"), "needs a GPU", "device: cpu")
    is_a_sentence(run(*words, "--device", "gpu"), "needs a GPU")
    assert not (tmp_path / "work").exists()
