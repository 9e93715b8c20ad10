"""Cells and stores that a corpus must survive or refuse: from deposits through the whole stage."""

import json

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scfm.corpus import Shards, build
from scfm.corpus.build import build_soma
from scfm.corpus.gather import gather
from scfm.corpus.scan import scan
from scfm.corpus.scatter import scatter
from scfm.corpus.select import select
from scfm.corpus.settings import Corpus, ScanSettings, ScatterSettings, SelectSettings, Soma
from scfm.corpus.source import open_source
from scfm.corpus.verify import verify
from scfm.datasets import Dataset
from scfm.errors import ScfmError

NAMES = {"obs": ["dataset_id"]}
GENES = ["CD4", "MS4A1", "GNLY", "no gene"]
# The third cell is empty, the fourth has counts of no gene only.
COUNTS = np.array([[65_534, 65_535, 0, 1], [0, 65_536, 3_000_000_000, 0], [0, 0, 0, 0], [0, 0, 0, 9], [1, 2, 3, 4]])


def run(folder, counts=COUNTS, genes=GENES, source=None, **corpus):
    """The stage on one deposit of counts, read in place."""
    path, row = folder / "d.h5ad", Dataset(name="d", organism="Homo sapiens", values="counts")
    obs = pd.DataFrame(index=[f"c{i}" for i in range(len(counts))])
    anndata.AnnData(csr_matrix(counts.astype(np.int64)), obs=obs, var=pd.DataFrame(index=genes)).write_h5ad(path)
    (folder / "hgnc.tsv").write_text(
        "symbol\tlocus_group\talias_symbol\tprev_symbol\tentrez_id\tensembl_gene_id\tuniprot_ids\n"
        + "".join(f"{gene}\tprotein-coding gene\t\t\t\t\t\n" for gene in GENES[:3])
    )
    qc = {"min_counts": 0, "min_genes": 0, "min_cells": 0}
    given = {"source": source or {"kind": "files", "datasets": ["d"]}, "qc": qc, "split": {"by": "cell"}, **corpus}
    settings = Corpus.model_validate(given)
    one, two, three = (
        model(**{name: getattr(settings, name) for name in model.model_fields})
        for model in (ScanSettings, SelectSettings, ScatterSettings)
    )
    scan(one, 0, 1, folder / "scan", None, [(path, row)])
    select(two, [folder / "scan"], folder / "hgnc.tsv", folder / "selection")
    scatter(three, folder / "selection", 0, 1, folder / "scatter", None, [(path, row)])
    gather(folder / "selection", [folder / "scatter"], folder / "shards")
    return Shards.open(folder / "shards")


def test_large_counts_survive_and_empty_cells_are_counted(tmp_path, densify):
    shards = run(tmp_path)
    assert shards.genes["gene"].tolist() == ["CD4", "GNLY", "MS4A1"]
    joinids = shards.cells["soma_joinid"].to_numpy()
    assert sorted(joinids) == [0, 1, 4]
    found = densify(shards.read(np.arange(3)), 3)
    np.testing.assert_array_equal(found, COUNTS[joinids][:, [0, 2, 1]])
    np.testing.assert_array_equal(shards.cells["n_counts"], COUNTS[joinids][:, :3].sum(1))
    assert shards.manifest["cells_without_kept_gene"] == 2
    assert verify(tmp_path / "shards")["cells"] == 3


def test_a_file_without_any_known_gene(tmp_path):
    with pytest.raises(ScfmError, match=r"none of 4 \(A, B, C, ...\) is a protein-coding gene of HGNC"):
        run(tmp_path, genes=["A", "B", "C", "D"])
    assert not (tmp_path / "selection").exists()


def test_a_filter_that_passes_no_cell(tmp_path):
    source = {"kind": "files", "datasets": ["d"], "value_filter": "tissue == 'moon'"}
    with pytest.raises(ScfmError, match="no cell of the store passes"):
        run(tmp_path, source=source)


def test_a_selection_of_another_source_is_refused(tmp_path):
    run(tmp_path)
    manifest = json.loads((tmp_path / "selection" / "manifest.json").read_text())
    manifest["source"]["value_filter"] = "tissue == 'blood'"
    (tmp_path / "selection" / "manifest.json").write_text(json.dumps(manifest))
    row = Dataset(name="d", organism="Homo sapiens", values="counts")
    settings = ScatterSettings.model_validate({"source": {"kind": "files", "datasets": ["d"]}, "block": 9})
    with pytest.raises(ScfmError, match="selected from another store"):
        scatter(settings, tmp_path / "selection", 0, 1, tmp_path / "x", None, [(tmp_path / "d.h5ad", row)])
    assert not (tmp_path / "x").exists()


def test_a_store_whose_cells_name_no_dataset(tmp_path, monkeypatch):
    run(tmp_path, np.minimum(COUNTS, 9))
    table = build._table
    monkeypatch.setattr(build, "_table", lambda at, name, obs: table(at, name, obs.drop(columns=NAMES.get(name, []))))
    build_soma([tmp_path / "d.h5ad"], [Dataset(name="d", organism="Homo sapiens", values="counts")], tmp_path / "soma")
    with (
        open_source(Soma(kind="soma", uri=str(tmp_path / "soma"))) as store,
        pytest.raises(ScfmError, match="obs has no column 'dataset_id'"),
    ):
        store.obs(0, 2)
