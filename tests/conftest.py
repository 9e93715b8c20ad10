"""A toy corpus with planted truth, and a model trained on it once for all tests that need one."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

GENES, UNEXPRESSED, UNMEASURED = 40, 39, (37, 38)
ALPHA, BETA = range(10), range(10, 20)
OBO = """format-version: 1.2
ontology: toy

[Term]
id: CL:0000001
name: cell

[Term]
id: CL:0000002
name: blood cell
is_a: CL:0000001 ! cell

[Term]
id: CL:0000003
name: alpha
is_a: CL:0000002 ! blood cell

[Term]
id: CL:0000004
name: beta
is_a: CL:0000002 ! blood cell

[Term]
id: CL:0000005
name: cell of no corpus
is_a: CL:0000001 ! cell
"""


def pytest_collection_modifyitems(items):
    """Long tests first, so that no process is left with one while the others have nothing to do."""
    items.sort(key=lambda item: not any(map(item.get_closest_marker, ("long", "toy"))))


def toy_counts(cells: int, seed: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Counts int64 [cells, 40] and obs: type alpha expresses genes 0 to 9, beta 10 to 19, both 20 to 38.

    Dataset d1 has not measured genes 37 and 38; gene 39 is never expressed. Every fifth cell is labelled at the
    parent of both types, every seventh not at all.
    """
    rng = np.random.default_rng(seed)
    alpha = np.arange(cells) % 2 == 0
    mean = np.full((cells, GENES), 0.2)
    mean[:, 20:] = rng.uniform(0.3, 2.0, GENES - 20)
    mean[np.ix_(alpha, ALPHA)] = 4.0
    mean[np.ix_(~alpha, BETA)] = 4.0
    mean *= rng.uniform(0.6, 1.6, (cells, 1))
    dataset = np.where(np.arange(cells) % 3 == 0, "d1", "d0")
    mean[:, UNEXPRESSED] = 0
    mean[np.ix_(dataset == "d1", UNMEASURED)] = 0
    label = np.where(alpha, "CL:0000003", "CL:0000004").astype(object)
    label[np.arange(cells) % 5 == 4] = "CL:0000002"
    label[np.arange(cells) % 7 == 6] = "unknown"
    obs = pd.DataFrame({"dataset_id": dataset, "type": np.where(alpha, "alpha", "beta")})
    return rng.poisson(mean), obs.assign(cell_type_ontology_term_id=label)


def write_toy(folder: Path, train: int = 192, validation: int = 48, **columns) -> Path:
    """Shards of the toy corpus in two folders; `columns` replace columns of cells.parquet."""
    from scipy.sparse import csr_matrix

    from scfm.corpus import write_shards
    from scfm.corpus.csr import as_counts

    counts, cells = toy_counts(train + validation, seed=0)
    cells["split"] = ["train"] * train + ["validation"] * validation
    cells = cells.assign(**columns)
    genes = pd.DataFrame({"gene": [f"G{i}" for i in range(GENES)], "ensembl": [f"ENSG{i:011d}" for i in range(GENES)]})
    measured = np.ones((2, GENES), bool)
    measured[1, list(UNMEASURED)] = False
    half = len(cells) // 2
    parts = [(as_counts(csr_matrix(counts[i:j])), cells.iloc[i:j]) for i, j in ((0, half), (half, len(cells)))]
    write_shards(folder, parts, genes, ["d0", "d1"], measured)
    return folder


def run_settings(objective="wced", heads=False, fraction=1.0, trained=True, inputs=None, head_dropout=0.1, **training):
    """Settings of a tiny run; further keywords are keys of `training`."""
    from scfm.pretrain.settings import parse_run

    model = {
        "encoder": {"layers": 1, "hidden": 16, "heads": 2, "ffn": 24, "init_std": 0.1},
        "input": {"tokens": 64, "inference_tokens": 64, "value_encoder": {"frequencies": 6, "octaves": 6}},
        "objective": {"kind": objective},
        "heads": [{"label": "cell_type", "dropout": head_dropout}] if heads else [],
    }
    model["input"] |= inputs or {}
    small = {"epochs": 2, "batch_cells": 16, "accumulate": 2, "learning_rate": 3e-3, "warmup_steps": 2}
    small |= {"precision": "32-true", "validation_cells": 32, "workers": 0}
    data = {"system": "bmfm", "description": "toy", "trained": trained, "corpus_fraction": fraction, "model": model}
    return parse_run(data | {"training": small | training}, "toy")


@pytest.fixture(scope="session")
def mirror_folder(need):
    """Folder of the real external files, of the environment variable SCFM_MIRROR; a wrong one is a failure."""
    need("SCFM_MIRROR" in os.environ, "set SCFM_MIRROR to the mirror folder to run this test")
    folder = Path(os.environ["SCFM_MIRROR"])
    assert folder.is_dir(), f"SCFM_MIRROR: no folder at {folder}"
    return folder


@pytest.fixture(scope="session")
def toy_run():
    return run_settings


@pytest.fixture(scope="session")
def write_toy_shards():
    return write_toy


@pytest.fixture(scope="session")
def toy_obo(tmp_path_factory):
    path = tmp_path_factory.mktemp("ontology") / "toy.obo"
    path.write_text(OBO)
    return path


@pytest.fixture(scope="session")
def toy_shards(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy") / "shards")


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory, toy_shards, toy_obo):
    """Directory of a WCED + HCE model, trained until it tells the two types apart."""
    from scfm.pretrain.train import train

    folder = tmp_path_factory.mktemp("model")
    run = run_settings(heads=True, epochs=10, accumulate=1, learning_rate=1e-2, validate_every=5)
    train(run, "toy_hce/0", 0, toy_shards, toy_obo, folder / "work", folder / "model", 0)
    return folder / "model"


@pytest.fixture(scope="session")
def toy_plain_model(tmp_path_factory, toy_shards):
    """Directory of an untrained MLM model without label head."""
    from scfm.pretrain.train import train

    folder = tmp_path_factory.mktemp("plain")
    run = run_settings("mlm", trained=False)
    train(run, "toy_plain/3", 3, toy_shards, None, folder / "work", folder / "model", 0)
    return folder / "model"


@pytest.fixture
def toy_adata():
    """Forty new cells of the toy corpus, genes by symbol."""
    import anndata
    from scipy.sparse import csr_matrix

    counts, obs = toy_counts(40, seed=1)
    obs.index = [f"cell{i}" for i in range(len(obs))]
    var = pd.DataFrame(index=[f"G{i}" for i in range(GENES)])
    return anndata.AnnData(csr_matrix(counts.astype(np.float32)), obs, var)


@pytest.fixture(scope="session")
def need():
    """Function: skip, with the reason, what this machine cannot run; in CI that is a failure."""

    def check(there: object, reason: str) -> None:
        if not there:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)

    return check
