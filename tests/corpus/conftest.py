"""A small synthetic census, built and read once for all tests of the stage."""

import numpy as np
import pytest

from scfm.corpus.build import build_soma
from scfm.corpus.gather import gather
from scfm.corpus.scan import scan
from scfm.corpus.scatter import scatter
from scfm.corpus.select import select
from scfm.corpus.settings import Corpus, ScanSettings, ScatterSettings, SelectSettings, Synthetic
from scfm.corpus.synthetic import corpus_names, dataset_row, synthesize

SMALL = {"kind": "synthetic", "cells": 500, "genes": 240, "planted": 30, "types": 8, "datasets": 4, "holdout_cells": 60}


@pytest.fixture(scope="session")
def small():
    """Settings of a small synthetic census."""
    return Synthetic(**SMALL)


@pytest.fixture(scope="session")
def census(tmp_path_factory):
    """Folder of a small synthetic census."""
    folder = tmp_path_factory.mktemp("census") / "synthetic"
    synthesize(Synthetic(**SMALL), folder)
    return folder


@pytest.fixture(scope="session")
def local_soma(census):
    """SOMA built from it."""
    names = corpus_names(Synthetic(**SMALL))
    build_soma([census / f"{n}.h5ad" for n in names], [dataset_row(n) for n in names], census.parent / "soma")
    return census.parent / "soma"


@pytest.fixture(scope="session")
def prepare(census, local_soma):
    """Function that runs scan, select, scatter and gather into a folder, with settings of the stage."""

    def run(folder, parts=1, steps=("scan", "select", "scatter", "gather"), **changes):
        corpus = Corpus.model_validate({"source": SMALL, "block": 64, **changes})
        names = [f"part-{k}" for k in range(parts)]
        part = {model: model(**{name: getattr(corpus, name) for name in model.model_fields}) for model in SLICES}
        for k, name in enumerate(names):
            scan(part[ScanSettings], k, parts, folder / "scan" / name, local_soma)
        hgnc = census / "annotation" / "hgnc.tsv"
        select(part[SelectSettings], [folder / "scan" / n for n in names], hgnc, folder / "selection")
        if "scatter" in steps:
            for k, name in enumerate(names):
                target = folder / "scatter" / name
                scatter(part[ScatterSettings], folder / "selection", k, parts, target, local_soma)
            gather(folder / "selection", [folder / "scatter" / n for n in names], folder / "shards")
        return folder

    return run


SLICES = (ScanSettings, SelectSettings, ScatterSettings)


@pytest.fixture(scope="session")
def built(prepare, tmp_path_factory):
    """The stage run on one part with default settings and two shards."""
    return prepare(tmp_path_factory.mktemp("built"), shard_cells=300)


@pytest.fixture(scope="session")
def densify():
    """Function that turns what `Shards.read` returns into a dense table."""

    def run(read, genes):
        gene, count, lengths = read
        out = np.zeros((len(lengths), genes), dtype=np.int64)
        out[np.repeat(np.arange(len(lengths)), lengths), gene] = count
        return out

    return run
