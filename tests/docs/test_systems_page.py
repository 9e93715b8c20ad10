"""The examples of docs/systems.md run as they stand, and its table of properties lacks none."""

import doctest

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

DONORS = np.array([f"donor{i % 12:02d}" for i in range(240)])
TRAINING = {"epochs": 1, "batch_cells": 24, "accumulate": 1, "precision": "32-true", "workers": 0}
CELLPLM = {
    "encoder": {"layers": 1, "hidden": 16, "heads": 2, "ffn": 16, "gene_std": 0.3},
    "latent": {"width": 8, "components": 4},
    "decoder": {"hidden": 16, "bottleneck": 8},
    "sets": {"by": ["dataset", "donor"], "cells": 6},
}
PULSAR = {
    "cells": {"run": "wced", "pooling": "mean"},
    "width": 16,
    "sampling": {"cells": 12, "replacement": False},
    "transformer": {"hidden": 16, "heads": 2, "ffn": 16, "encoder_layers": 1, "decoder_layers": 1},
    "masking": {"hidden": 8, "programs": 3},
}


@pytest.fixture
def names(write_toy_shards, toy_model, tmp_path):
    """What the page's examples begin with: cells of twelve donors and three models."""
    import scfm
    from scfm.corpus import Shards
    from scfm.pretrain.settings import parse_run
    from scfm.pretrain.train import train
    from scfm.pretrain.vectors import write_vectors

    shards = write_toy_shards(tmp_path / "shards", donor_id=DONORS)
    corpus, vectors = Shards.open(shards), tmp_path / "vectors.npy"
    write_vectors(scfm.load(toy_model, "cpu"), "mean", corpus, vectors)
    for system, model, path in (("cellplm", CELLPLM, None), ("pulsar", PULSAR, vectors)):
        run = parse_run({"system": system, "model": model, "training": TRAINING}, system)
        work, out = tmp_path / f"{system}-work", tmp_path / system
        train(run, f"{system}/0", 0, shards, None, work, out, 0, vectors_path=path)
    rows = corpus.rows("validation")
    gene, count, lengths = next(iter(corpus.stream([rows])))
    matrix = csr_matrix((count.astype(float), gene, np.concatenate([[0], lengths.cumsum()])), (len(rows), 40))
    obs = corpus.cells.iloc[rows][["donor_id"]].set_index(pd.Index([f"c{row}" for row in rows]))
    adata = AnnData(matrix, obs, pd.DataFrame(index=corpus.genes["gene"]))
    return {"adata": adata, "encoder": toy_model, "cellplm": tmp_path / "cellplm", "pulsar": tmp_path / "pulsar"}


def test_examples_of_the_page_of_systems(pytestconfig, names):
    page = (pytestconfig.rootpath / "docs/systems.md").read_text()
    examples = doctest.DocTestParser().get_doctest(page, names, "systems", "docs/systems.md", 0)
    assert len(examples.examples) > 8
    runner, printed = doctest.DocTestRunner(), []
    runner.run(examples, out=printed.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(printed)


def test_every_property_of_a_system_is_explained(pytestconfig):
    from scfm.models.system import SystemSettings

    page = (pytestconfig.rootpath / "docs/systems.md").read_text()
    own = {name for name in vars(SystemSettings) if not name.startswith(("_", "model_"))}
    assert own >= {"poolings", "embeds", "must_fit"}
    for name in own:
        assert f"| `{name}" in page, name
