"""Vectors made elsewhere: found by name in any order, and one sentence for each thing that may be wrong with them."""

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scfm.benchmarks.contamination import contamination
from scfm.benchmarks.embed import embed
from scfm.benchmarks.embedders import open_embedder
from scfm.benchmarks.integration import integration
from scfm.benchmarks.precomputed import PARQUET_POOLING, Precomputed
from scfm.benchmarks.probe import probe
from scfm.benchmarks.read import read_prepared
from scfm.benchmarks.seen import UNTOLD, mark_seen, read_contamination
from scfm.benchmarks.task_settings import Integration, Probe
from scfm.datasets import Dataset
from scfm.embeddings import Vectors, read_embedding_files
from scfm.errors import ScfmError
from scfm.pretrain.stage import Stage

Write = Callable[..., Path]
SHEET = Path(__file__).parents[2] / "config" / "embeddings.tsv"


def h5ad(path: Path, names: list[str], **obsm: object) -> Path:
    anndata.AnnData(obs=pd.DataFrame(index=names), obsm=obsm).write_h5ad(path)
    return path


def names(count: int, prefix: str = "") -> list[str]:
    return [f"{prefix}c{i}" for i in range(count)]


def numbered(count: int, width: int = 2) -> np.ndarray:
    return np.arange(count * width, dtype=np.float32).reshape(count, width)


def vectors(path: Path, prepared: Path, **settings: object) -> dict[str, np.ndarray]:
    return Precomputed.read(path, Vectors(**settings)).embed(read_prepared(prepared), values="counts")


def test_vectors_are_found_by_name(prepared: Write, tmp_path: Path) -> None:
    path = h5ad(tmp_path / "p.h5ad", ["c2", "c0", "c9", "c1"], X_other=numbered(4))
    embedder = open_embedder(str(path))
    assert isinstance(embedder, Precomputed)
    assert embedder.poolings == ("X_other",)
    found = embedder.embed(read_prepared(prepared("d", cells=3)), values="counts")
    assert found["X_other"].tolist() == [[2, 3], [6, 7], [0, 1]]


def test_names_with_the_dataset_before_them_tell_datasets_apart(prepared: Write, tmp_path: Path) -> None:
    path = h5ad(tmp_path / "p.h5ad", [*names(3, "b/"), *names(3, "a/")], X=numbered(6))
    for name, first in (("a", 6), ("b", 0)):
        assert vectors(path, prepared(name, cells=3))["X"][0, 0] == first


def test_a_bare_name_is_never_given_to_cells_of_two_datasets(prepared: Write, tmp_path: Path) -> None:
    embedder = Precomputed.read(h5ad(tmp_path / "p.h5ad", names(5), X=numbered(5)), Vectors())
    with pytest.raises(ScfmError, match="the name 'c0' is that of a cell of 'a' and of one of 'b'"):
        embed(embedder, [prepared("a", cells=3), prepared("b", cells=5)], "scgpt", 0)


def test_keys_of_obsm_are_chosen(prepared: Write, tmp_path: Path) -> None:
    path = h5ad(tmp_path / "p.h5ad", names(3), X_a=numbered(3), X_umap=numbered(3), X_b=csr_matrix(numbered(3)))
    found = vectors(path, prepared("d", cells=3), vectors=["X_b", "X_a"])
    assert list(found) == ["X_b", "X_a"]
    assert np.array_equal(found["X_b"], numbered(3))


@pytest.mark.parametrize("cell_column", ["cell", ""])
def test_parquet_columns(prepared: Write, tmp_path: Path, cell_column: str) -> None:
    table = pd.DataFrame({"cell": names(3), "emb_0": [0, 2, 4], "emb_1": [1.0, 3.0, 5.0], "label": list("TBT")})
    table = table.iloc[[2, 0, 1]]
    (table if cell_column else table.set_index("cell")).to_parquet(tmp_path / "p.parquet")
    path, dataset = tmp_path / "p.parquet", prepared("d", cells=3)
    found = vectors(path, dataset, cell_column=cell_column, vectors=["emb_*"])
    assert found[PARQUET_POOLING].dtype == np.float32
    assert np.array_equal(found[PARQUET_POOLING], numbered(3))
    with pytest.raises(ScfmError, match="column 'label' of 'embedding' is not numeric"):
        vectors(path, dataset, cell_column=cell_column)
    with pytest.raises(ScfmError, match=r"no column is named 'X_\*'"):
        vectors(path, dataset, cell_column=cell_column, vectors=["X_*"])


@pytest.mark.parametrize(
    ("table", "settings", "words"),
    [
        ({"e": [1.0, 2.0]}, {}, "rows have no names; give the cells' column as cell_column: e"),
        ({"e": [1.0, 2.0]}, {"cell_column": "cell"}, r"no column 'cell' \(cell_column\); name one of: e"),
        ({"cell": ["c0", None], "e": [1.0, 2.0]}, {"cell_column": "cell"}, "1 rows have no cell name"),
        ({"cell": ["c0", "c0"], "e": [1.0, 2.0]}, {"cell_column": "cell"}, "cell name 'c0' occurs more than once"),
        ({"cell": ["c0", "c1"]}, {"cell_column": "cell"}, r"expected numbers \[cells, width\]"),
    ],
)
def test_bad_parquet_files(tmp_path: Path, table: dict, settings: dict, words: str) -> None:
    pd.DataFrame(table).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(ScfmError, match=words) as error:
        Precomputed.read(tmp_path / "p.parquet", Vectors(**settings))
    assert "\n" not in str(error.value)


def test_bad_h5ad_files(tmp_path: Path) -> None:
    with pytest.raises(ScfmError, match="no embedding in obsm"):
        Precomputed.read(h5ad(tmp_path / "p.h5ad", names(2)), Vectors())
    path = h5ad(tmp_path / "p.h5ad", names(2), X_a=numbered(2), X_b=numbered(2))
    with pytest.raises(ScfmError, match="no 'X_c' in obsm; name some of: X_a, X_b"):
        Precomputed.read(path, Vectors(vectors=["X_c"]))
    path = h5ad(tmp_path / "p.h5ad", ["c0", "c1", "c1", "c1"], X=numbered(4))
    with pytest.raises(ScfmError, match=r"cell name 'c1' occurs more than once \(2 rows repeat a name\)"):
        Precomputed.read(path, Vectors())
    texts = pd.DataFrame({"x": [1.0, 2.0], "kind": ["a", "b"]}, index=names(2))
    with pytest.raises(ScfmError, match="column 'kind' of 'X' is not numeric"):
        Precomputed.read(h5ad(tmp_path / "p.h5ad", names(2), X=texts), Vectors())
    for name in ("half.parquet", "half.h5ad"):
        (tmp_path / name).write_bytes(path.read_bytes()[:100])
        with pytest.raises(ScfmError, match=name) as error:
            Precomputed.read(tmp_path / name, Vectors())
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("prefix", ["", "d/"])
def test_missing_cells_are_counted_and_the_first_is_named(prepared: Write, tmp_path: Path, prefix: str) -> None:
    path = h5ad(tmp_path / "p.h5ad", names(57, prefix), X=numbered(57))
    with pytest.raises(ScfmError, match=r"no vector for 3 of 60 cells of dataset 'd' \(first: 'c57'\)"):
        vectors(path, prepared("d"))


def test_nan_in_a_vector(prepared: Write, tmp_path: Path) -> None:
    table = numbered(61)
    table[[4, 7], [0, 1]] = np.nan, np.inf
    table[60] = np.nan  # of a cell that nobody asks for
    with pytest.raises(ScfmError, match=r"'X' holds NaN or infinite values for 2 of 60 cells .* \(first: 'c4'\)"):
        vectors(h5ad(tmp_path / "p.h5ad", names(61), X=table), prepared("d"))
    with pytest.raises(ScfmError, match="'X' holds NaN or infinite values for 60 of 60 cells"):
        vectors(h5ad(tmp_path / "p.h5ad", names(60), X=np.full((60, 2), np.nan)), prepared("d"))


def test_columns_that_only_other_datasets_have_are_no_nan(prepared: Write, tmp_path: Path) -> None:
    # As `scfm benchmarks embed` writes narrower datasets, whose file may so be given again.
    table = np.pad(numbered(3), ((0, 0), (0, 1)), constant_values=np.nan)
    found = vectors(h5ad(tmp_path / "p.h5ad", names(3, "d/"), X=table), prepared("d", cells=3))
    assert np.array_equal(found["X"], table, equal_nan=True)


def test_a_shuffled_file_gives_identical_scores(prepared: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kinds, order = np.array(["a", "b", "c"])[np.arange(60) % 3], rng.permutation(60)
    table = rng.normal(size=(60, 4)) + 2 * (np.arange(60) % 3)[:, None]
    dataset = prepared("d", cell_type=kinds, batch=np.array(["x", "y"])[np.arange(60) // 30])
    cells, scores = np.array(names(60)), []
    for name, rows in (("one", np.arange(60)), ("other", order)):
        path = h5ad(tmp_path / f"{name}.h5ad", list(cells[rows]), X=table[rows])
        embed(Precomputed.read(path, Vectors()), [dataset], "scgpt", 0).write_h5ad(tmp_path / "e.h5ad")
        settings = Integration(resolutions=(0.5,)), Probe(classifiers=("lr", "knn"))
        scores.append(
            [task(tmp_path / "e.h5ad", s, "s") for task, s in zip((integration, probe), settings, strict=True)]
        )
    for one, other in zip(*scores, strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_what_a_model_of_others_has_seen_is_unknown(prepared: Write, tmp_path: Path) -> None:
    cells = pd.DataFrame({"dataset_id": ["u1"] * 4, "split": ["train"] * 4})
    stored = pd.DataFrame({"dataset_id": ["u1"], "title": [""], "doi": ["10.1038/nbt.4042"]})
    sheet = [Dataset(name="a", doi=("10.1038/nbt.4042",)), Dataset(name="b")]
    table = contamination(cells, stored, sheet, {"mlm": [Stage()]}, ["scgpt"])
    table.to_csv(tmp_path / "c.csv", index=False)
    table = read_contamination(tmp_path / "c.csv")
    others = table[table["run"] == "scgpt"]
    assert others["dataset"].tolist() == ["a", "b"]
    assert set(others["seen"]) == {UNTOLD}
    assert others["train_cells"].isna().all()
    said = {}
    for run in ("mlm", "scgpt"):
        for name, own in (("a", "false"), ("b", "false"), ("b", "partly")):
            adata = read_prepared(prepared(name, cells=3, uns_contaminated=own))
            mark_seen(adata, table, run)
            said[run, name, own] = adata.uns["scfm"]["contaminated"]
    assert said == {
        ("mlm", "a", "false"): "true",
        ("mlm", "b", "false"): "false",
        ("mlm", "b", "partly"): "partly",
        ("scgpt", "a", "false"): "unknown",
        ("scgpt", "b", "false"): "unknown",
        ("scgpt", "b", "partly"): "partly",
    }


def test_the_sheet_of_the_repository_is_valid() -> None:
    assert all(row.title and row.doi for row in read_embedding_files(SHEET).values())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name\tresource\na\tfile:x\na\tfile:y\n", ["line 3", "embedding 'a' occurs twice"]),
        ("name\tresource\nA b\tfile:x\n", ["line 2", "'name'"]),
        ("name\tvector\na\tX\n", ["unknown key 'vector'", "'vectors'"]),
        ("name\tresource\na\n", ["line 2", "number of fields"]),
        ("", ["no embedding found"]),
    ],
)
def test_bad_sheets_are_one_sentence(tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "embeddings.tsv").write_text(text)
    with pytest.raises(ScfmError) as error:
        read_embedding_files(tmp_path / "embeddings.tsv")
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)
