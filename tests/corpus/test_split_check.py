"""Crossings planted in what was written."""

import shutil

import pandas as pd
import pytest

from scfm.corpus.check import check_split, check_written
from scfm.corpus.select import select
from scfm.errors import ScfmError


def cells(*rows):
    return pd.DataFrame(rows, columns=["soma_joinid", "dataset_id", "donor_id", "split"])


T, V = "train", "validation"
DONOR_CROSSES = cells((0, "a", "x", T), (1, "a", "x", V), (2, "b", "x", V))
DATASET_CROSSES = cells((0, "a", "x", T), (1, "a", "y", V), (2, "b", "y", T))


@pytest.mark.parametrize(
    ("table", "by", "message"),
    [
        (DONOR_CROSSES, "donor", "donor 'a:x' stands in train and in validation, as 1 of 2 do"),
        (DONOR_CROSSES, "dataset", "donor 'a:x' stands in train and in validation"),
        (DATASET_CROSSES, "dataset", "dataset 'a' stands in train and in validation, as 1 of 2 do"),
        (cells((0, "a", "x", T), (0, "b", "y", V)), "cell", "cell 0 occurs more than once"),
        (cells((4, "a", "x", T), (4, "a", "x", T), (5, "b", "x", V)), "dataset", "cell 4 occurs more than once"),
        (cells((0, "a", "x", T), (1, "b", "y", "test")), "cell", "side 'test'"),
    ],
)
def test_a_crossing_is_one_sentence(table, by, message):
    with pytest.raises(ScfmError, match=message) as raised:
        check_split(table, by, "here")
    assert str(raised.value).startswith("here: ")
    assert "\n" not in str(raised.value)


def test_what_may_cross_is_counted():
    table = check_split(DONOR_CROSSES, "cell", "").set_index("unit")
    assert table["crossing"].to_dict() == {"cell": 0, "donor": 1, "dataset": 1}
    assert table["must_not_cross"].to_dict() == {"cell": True, "donor": False, "dataset": False}
    assert table.loc["donor", [T, V]].tolist() == [1, 2]
    table = check_split(DATASET_CROSSES, "donor", "").set_index("unit")
    assert table["crossing"].to_dict() == {"cell": 0, "donor": 0, "dataset": 1}
    assert table["must_not_cross"].to_dict() == {"cell": True, "donor": True, "dataset": False}


@pytest.fixture
def written(built, tmp_path):
    """A copy of a selection and its shards, split by dataset; function to change the cells of one of them."""
    for name in ("selection", "shards"):
        shutil.copytree(built / name, tmp_path / name)

    def change(name, edit):
        path = tmp_path / name / "cells.parquet"
        table = pd.read_parquet(path)
        edit(table)
        table.to_parquet(path, index=False)

    return tmp_path, change


def other_side(table):
    """Move one cell."""
    table.loc[0, "split"] = V if table.loc[0, "split"] == T else T


def other_number(table):
    table.loc[0, "soma_joinid"] = 10**9


def run(folder):
    return check_written(folder / "selection", folder / "shards")


def test_what_the_stage_writes_passes(written):
    table = run(written[0])
    assert table["where"].tolist() == ["selection"] * 3 + ["shards"] * 3
    assert table["must_not_cross"].all()
    assert (table["crossing"] == 0).all()
    assert (table[[T, V]] > 0).all().all()


@pytest.mark.parametrize("name", ["selection", "shards"])
def test_a_planted_crossing_is_found(written, name):
    folder, change = written
    change(name, other_side)
    with pytest.raises(ScfmError, match=f"{name}: donor 'corpus_.*' stands in train and in validation"):
        run(folder)


def test_shards_that_do_not_fit_the_selection(written):
    folder, change = written
    change("shards", other_number)
    with pytest.raises(ScfmError, match="cell 1000000000 and 0 others are missing"):
        run(folder)
    shutil.rmtree(folder / "shards")
    with pytest.raises(ScfmError, match="cells of the corpus"):
        run(folder)


def test_shards_of_another_split_by_cell(prepare, tmp_path):
    folder = prepare(tmp_path, split={"by": "cell"})
    path = folder / "shards" / "cells.parquet"
    table = pd.read_parquet(path)
    other_side(table)
    table.to_parquet(path, index=False)
    with pytest.raises(ScfmError, match="stand on its other side"):
        run(folder)


def test_a_selection_that_crosses_is_not_written(prepare, tmp_path, monkeypatch):
    def wrong(cells, settings):
        side = pd.Series([T, V] * len(cells))[: len(cells)].to_numpy(object)
        return side, pd.DataFrame()

    monkeypatch.setattr(f"{select.__module__}.split_cells", wrong)
    with pytest.raises(ScfmError, match="stands in train and in validation"):
        prepare(tmp_path, steps=("select",))
    assert not (tmp_path / "selection").exists()
