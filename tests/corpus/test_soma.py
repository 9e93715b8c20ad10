import anndata
import numpy as np
import pandas as pd
import pytest
import tiledbsoma
from scipy.sparse import csr_matrix

from scfm.corpus.build import build_soma
from scfm.corpus.common import common_cells
from scfm.corpus.settings import Census, Files, Soma, Synthetic
from scfm.corpus.source import open_source
from scfm.corpus.synthetic import dataset_row
from scfm.errors import ScfmError


def deposit(path, counts, genes, **obs):
    columns = {"cell_type": "B cell", "cell_type_ontology_term_id": "CL:0000236", "batch": "b", "donor_id": "d", **obs}
    table = pd.DataFrame(columns, index=[f"c{i}" for i in range(len(counts))])
    var = pd.DataFrame(index=genes)
    anndata.AnnData(csr_matrix(np.asarray(counts, dtype=np.float32)), obs=table, var=var).write_h5ad(path)
    return path


@pytest.fixture
def two(tmp_path):
    """Two deposits with one gene in common, one that is all zero, a large count and an empty cell."""
    a = deposit(tmp_path / "a.h5ad", [[1, 0, 70_000], [0, 0, 0]], ["CD4", "CD8A", "MS4A1"])
    b = deposit(tmp_path / "b.h5ad", [[3, 4]], ["MS4A1", "GNLY"], tissue="blood")
    build_soma([a, b], [dataset_row("a"), dataset_row("b")], tmp_path / "soma")
    return tmp_path / "soma"


def test_counts_genes_and_presence_come_back(two):
    with open_source(Files(kind="files", datasets=("a", "b")), two) as store:
        obs = store.obs(0, 3)
        assert store.cells == 3
        assert store.features["feature_name"].tolist() == ["CD4", "CD8A", "MS4A1", "GNLY"]
        assert store.measured.astype(int).to_dict("split")["data"] == [[1, 1, 1, 0], [0, 0, 1, 1]]
        assert obs["dataset_id"].tolist() == ["a", "a", "b"]
        assert obs["tissue"].tolist() == ["unknown", "unknown", "blood"]
        counts = store.counts(0, 3, obs["soma_joinid"].to_numpy())
        assert counts.toarray().tolist() == [[1, 0, 70_000, 0], [0, 0, 0, 0], [0, 0, 3, 4]]
        assert store.counts(1, 3, np.array([2])).toarray().tolist() == [[0, 0, 3, 4]]
        assert store.counts(1, 3, np.array([], dtype=int)).shape == (0, 4)


def test_what_was_read_is_put_together_without_the_store(two):
    with open_source(Files(kind="files", datasets=("a", "b")), two) as store:
        assemble, nothing = store.read(0, 3, np.array([0, 2])), store.read(0, 3, np.array([], dtype=int))
    assert assemble().toarray().tolist() == [[1, 0, 70_000, 0], [0, 0, 3, 4]]
    assert nothing().shape == (0, 4)


def test_every_deposited_count_is_in_the_store(census, local_soma):
    with open_source(Soma(kind="soma", uri=str(local_soma))) as store:
        obs = store.obs(0, store.cells)
        counts = store.counts(0, store.cells, obs["soma_joinid"].to_numpy())
        for dataset, rows in obs.groupby("dataset_id").indices.items():
            adata = anndata.read_h5ad(census / f"{dataset}.h5ad")
            columns = pd.Index(store.features["feature_name"]).get_indexer(adata.var_names)
            assert (counts[rows][:, columns] != adata.X).nnz == 0
            assert counts[rows].sum() == adata.X.sum(dtype=np.float64)
            np.testing.assert_array_equal(store.measured.loc[dataset].to_numpy().nonzero()[0], np.sort(columns))


def test_the_value_filter_is_applied(local_soma):
    with open_source(Soma(kind="soma", uri=str(local_soma), value_filter="tissue == 'blood'")) as store:
        assert set(store.obs(0, store.cells)["tissue"]) == {"blood"}
    with (
        open_source(Soma(kind="soma", uri=str(local_soma), value_filter="tisue == 'blood'")) as store,
        pytest.raises(ScfmError, match="value_filter"),
    ):
        store.obs(0, 10)


def test_a_store_without_batch_column_gets_dataset_and_assay():
    table = common_cells(pd.DataFrame({"soma_joinid": [0], "dataset_id": ["a"], "assay": ["10x"]}))
    assert table.loc[0, ["batch", "donor_id"]].tolist() == ["a:10x", "unknown"]
    assert np.isnan(table.loc[0, "x"])


def test_what_is_no_such_store_is_refused(tmp_path, two):
    with pytest.raises(ScfmError, match="cannot open"), open_source(Soma(kind="soma", uri=str(tmp_path / "none"))):
        pass
    with (
        pytest.raises(ScfmError, match="mus_musculus"),
        open_source(Soma(kind="soma", uri=str(two), organism="mus_musculus")),
    ):
        pass
    with pytest.raises(ScfmError, match="--soma"), open_source(Synthetic(kind="synthetic")):
        pass


def test_a_store_of_normalised_values_is_refused(tmp_path, two):
    uri = str(two / "census_data" / "homo_sapiens" / "ms" / "RNA" / "X" / "raw")
    with tiledbsoma.open(uri, "w") as x:
        import pyarrow as pa

        x.write(pa.table({"soma_dim_0": [0], "soma_dim_1": [0], "soma_data": pa.array([-1], pa.int32())}))
    with open_source(Soma(kind="soma", uri=str(two))) as store, pytest.raises(ScfmError, match="raw counts"):
        store.counts(0, 2, np.array([0, 1]))


def test_rows_and_files_must_fit_each_other(tmp_path):
    a = deposit(tmp_path / "a.h5ad", [[1]], ["CD4"])
    row = dataset_row("a")
    for files, rows, message in (
        ([a], [], "0 datasets for 1 files"),
        ([a, a], [row, row], "occurs twice"),
        ([a], [row.model_copy(update={"values": "tpm"})], "raw counts"),
        ([a], [row.model_copy(update={"organism": "Mus musculus"})], "human"),
    ):
        with pytest.raises(ScfmError, match=message):
            build_soma(files, rows, tmp_path / "soma")
    assert not (tmp_path / "soma").exists()


@pytest.mark.parametrize(
    ("counts", "genes", "obs", "message"),
    [
        ([[1.5]], ["CD4"], {}, "non-integer"),
        ([[-1]], ["CD4"], {}, "negative"),
        ([[1, 2]], ["CD4", "CD4"], {}, "CD4"),
        (np.zeros((0, 1)), ["CD4"], {}, "no cell"),
        ([[1]], ["CD4"], {"cell_type_ontology_term_id": "B"}, "not a Cell Ontology id"),
    ],
)
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_a_bad_deposit_leaves_no_store(tmp_path, counts, genes, obs, message):
    path = deposit(tmp_path / "a.h5ad", counts, genes, **obs)
    with pytest.raises(ScfmError, match=message):
        build_soma([path], [dataset_row("a")], tmp_path / "soma")
    assert not (tmp_path / "soma").exists()


def test_a_moving_census_release_is_refused():
    assert Census(kind="census").release == "2025-01-30"
    for release in ("latest", "stable", "2025-01-31", "2025-1-30"):
        with pytest.raises(ValueError, match="long-term"):
            Census(kind="census", release=release)


def test_tiles_are_not_merged_before_they_are_read(two):
    with open_source(Soma(kind="soma", uri=str(two))) as store:
        config = store.experiment.obs.context.tiledb_config
    assert config["sm.query.sparse_global_order.preprocess_tile_merge"] == "0"
