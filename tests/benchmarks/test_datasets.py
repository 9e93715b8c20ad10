from importlib.metadata import distribution
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scfm.datasets import OBS, Dataset, read_datasets
from scfm.deposit import read_deposit
from scfm.errors import ScfmError
from scfm.resources import read_resources

SHEET = Path(__file__).parents[2] / "config" / "datasets.tsv"
HEADER = "name\tvalues\ttasks\n"


def deposit(path: Path, matrix: np.ndarray | None = None, **obs: list) -> Path:
    """An h5ad of three cells and two genes unless `matrix` says otherwise."""
    matrix = np.array([[1, 0], [2, 3], [0, 5]]) if matrix is None else matrix
    table = {"type": ["T", "B", "T"], "donor": ["a", "a", "b"]} | obs
    index = [f"c{i}" for i in range(len(matrix))]
    frame = pd.DataFrame({key: values[: len(matrix)] for key, values in table.items()}, index=index)
    adata = anndata.AnnData(csr_matrix(matrix.astype(np.float32)), obs=frame)
    adata.var_names = ["CD3E", "MS4A1"]
    adata.write_h5ad(path)
    return path


def dataset(**fields: object) -> Dataset:
    return Dataset(**{"name": "d", "values": "counts", "label_column": "type", **fields})


def test_common_form(tmp_path: Path) -> None:
    path = deposit(tmp_path / "d.h5ad", tissue=["blood"] * 3)
    adata = read_deposit(path, dataset(donor_column="donor"))
    assert list(adata.obs.columns) == list(OBS)
    assert adata.obs["cell_type"].tolist() == ["T", "B", "T"]
    assert adata.obs["donor_id"].tolist() == ["a", "a", "b"]
    assert set(adata.obs["tissue"]) == {"blood"}
    assert set(adata.obs["dataset_id"]) == {"d"}
    assert set(adata.obs["split"]) == {""}
    for absent in ("batch", "disease", "sex", "cell_type_ontology_term_id"):
        assert set(adata.obs[absent]) == {"unknown"}
    assert adata.X.dtype == np.float32
    assert adata.X.format == "csr"
    assert adata.X.toarray().tolist() == [[1, 0], [2, 3], [0, 5]]


def test_keep_leaves_matching_cells_only(tmp_path: Path) -> None:
    path = deposit(tmp_path / "d.h5ad")
    adata = read_deposit(path, dataset(keep="donor == a"))
    assert adata.obs_names.tolist() == ["c0", "c1"]
    assert adata.X.toarray().tolist() == [[1, 0], [2, 3]]


def test_keep_also_leaves_bad_values_of_other_cells_out(tmp_path: Path) -> None:
    path = deposit(tmp_path / "d.h5ad", np.array([[1, 0], [2, 3], [0.5, 5]]))
    assert read_deposit(path, dataset(keep="donor == a")).n_obs == 2


def test_map_of_labels_to_ontology_ids(tmp_path: Path) -> None:
    path = deposit(tmp_path / "d.h5ad", type=["CD8+/CD45RA+", "B", "other"])
    adata = read_deposit(path, dataset(ontology_column="CD8+/CD45RA+=CL:0000900; B=CL:0000236"))
    assert adata.obs["cell_type_ontology_term_id"].tolist() == ["CL:0000900", "CL:0000236", "unknown"]


def test_missing_labels_are_unknown(tmp_path: Path) -> None:
    path = deposit(tmp_path / "d.h5ad", type=pd.Categorical(["T", None, "T"]))
    assert read_deposit(path, dataset()).obs["cell_type"].tolist() == ["T", "unknown", "T"]


def test_ensembl_ids_and_coordinates_are_kept(tmp_path: Path) -> None:
    adata = anndata.read_h5ad(deposit(tmp_path / "d.h5ad"))
    adata.var["ensembl_id"] = ["ENSG00000198851", "nonsense"]
    adata.obsm["spatial"] = np.arange(6.0).reshape(3, 2)
    adata.write_h5ad(tmp_path / "e.h5ad")
    common = read_deposit(tmp_path / "e.h5ad", dataset())
    assert common.var["ensembl"].tolist() == ["ENSG00000198851", ""]
    assert common.obsm["spatial"].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_tpm_and_lognorm_may_be_fractions(tmp_path: Path) -> None:
    path = deposit(tmp_path / "d.h5ad", np.array([[0.5, 0], [2, 3.5], [0, 5]]))
    for values in ("tpm", "lognorm"):
        assert read_deposit(path, dataset(values=values)).X[0, 0] == np.float32(0.5)


@pytest.mark.parametrize(
    ("matrix", "fields", "words"),
    [
        (None, {"label_column": "celltype"}, ["obs column 'celltype'", "type, donor"]),
        (None, {"batch_column": "plate"}, ["obs column 'plate' (batch)"]),
        (None, {"keep": "species == human"}, ["obs column 'species'"]),
        (None, {"keep": "donor == z"}, ["no cell is left by 'donor == z'"]),
        (None, {"keep": "donor = a"}, ["'donor = a' is not a filter"]),
        (None, {"values": None}, ["'values' is empty"]),
        (None, {"matrix": "raw"}, ["no matrix in raw"]),
        (None, {"ontology_column": "donor"}, ["'a'", "is not a Cell Ontology id"]),
        (np.array([[1.0, 0], [-2, 3], [0, 5]]), {}, ["negative values (-2)", "counts"]),
        (np.array([[1.0, 0], [-2, 3], [0, 5]]), {"values": "lognorm"}, ["negative values", "lognorm"]),
        (np.array([[1.0, 0], [2.5, 3], [0, 5]]), {}, ["non-integer values (2.5)", "counts are promised"]),
        (np.array([[1.0, 0], [np.nan, 3], [0, 5]]), {}, ["NaN"]),
        (np.zeros((0, 2)), {}, ["no cell;"]),
    ],
)
def test_bad_deposits_are_one_sentence(tmp_path: Path, matrix: np.ndarray, fields: dict, words: list[str]) -> None:
    path = deposit(tmp_path / "d.h5ad", matrix)
    with pytest.raises(ScfmError) as error:
        read_deposit(path, dataset(**fields))
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


def test_duplicate_genes(tmp_path: Path) -> None:
    adata = anndata.read_h5ad(deposit(tmp_path / "d.h5ad"))
    adata.var_names = ["CD3E", "CD3E"]
    adata.write_h5ad(tmp_path / "e.h5ad")
    with pytest.raises(ScfmError, match="gene 'CD3E' occurs more than once"):
        read_deposit(tmp_path / "e.h5ad", dataset())


def test_missing_and_truncated_files(tmp_path: Path) -> None:
    with pytest.raises(ScfmError, match="not found"):
        read_deposit(tmp_path / "none.h5ad", dataset())
    whole = deposit(tmp_path / "d.h5ad").read_bytes()
    (tmp_path / "half.h5ad").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ScfmError, match="not a readable h5ad") as error:
        read_deposit(tmp_path / "half.h5ad", dataset())
    assert "\n" not in str(error.value)


def test_the_sheet_of_the_repository_is_valid() -> None:
    sheet = read_datasets(SHEET)
    assert sheet["pbmc_zheng_facs"].batch_column == ""
    assert "integration" not in sheet["pbmc_zheng_facs"].tasks
    assert sheet["pancreas_baron_human_mouse"].keep == "organism == Homo sapiens"
    assert sheet["brain_oligodendroglioma_tpm"].values == "tpm"
    assert sheet["dc"].table14
    assert sheet["zheng68k"].table14 is None
    for row in sheet.values():
        assert not row.tasks or row.values, row.name
        assert "integration" not in row.tasks or row.label_column, row.name
        assert "ontology" not in row.tasks or row.ontology_column, row.name
    ours = ("", "file")  # not at hand: named alone, or to be put where the row says
    papers = [row.name for row in sheet.values() if row.resource.split(":")[0] in ours and row.table14 is not False]
    assert len(papers) >= 23
    assert all(sheet[name].title and sheet[name].url for name in papers)


def test_the_bundled_dataset_has_an_id_for_every_cell() -> None:
    row = read_datasets(SHEET)["pbmc68k_reduced"]
    resource = read_resources(SHEET.parent / "resources.yaml")[row.resource]
    adata = read_deposit(Path(str(distribution("scanpy").locate_file(resource.package))), row)
    assert adata.shape == (700, 765)
    assert "unknown" not in set(adata.obs["cell_type_ontology_term_id"])
    assert adata.X.min() >= 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["no dataset found"]),
        (HEADER, ["no dataset found"]),
        (HEADER + "a\tcounts\tprobe\na\tcounts\t\n", ["line 3", "'a' occurs twice"]),
        (HEADER + "a\tcount\tprobe\n", ["line 2", "'values'", "'count'"]),
        (HEADER + "a\tcounts\tprobing\n", ["line 2", "tasks.0", "'probing'"]),
        (HEADER + "a\tcounts\n", ["line 2", "number of fields"]),
        (HEADER + "a\tcounts\tprobe\tmore\n", ["line 2", "number of fields"]),
        ("name\tbatch_colum\na\tb\n", ["unknown key 'batch_colum'", "'batch_column'"]),
        ("values\ncounts\n", ["key 'name' is missing"]),
        ("name\tstand_in\na\tb\n", ["'b'", "stands in for 'a'"]),
        ("name\tstand_in\na\tb\nb\t\n", ["'b'", "with a file"]),
    ],
)
def test_bad_sheets_are_one_sentence(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "datasets.tsv"
    path.write_text(text)
    with pytest.raises(ScfmError) as error:
        read_datasets(path)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)
