import numpy as np
import pandas as pd
import pytest

from scfm.corpus.pieces import read_pieces, write_pieces


@pytest.fixture
def table():
    return pd.DataFrame({"row": np.arange(10), "name": [f"cell {i}" for i in range(10)], "x": [np.nan, 0.5] * 5})


@pytest.fixture
def path(table, tmp_path):
    with write_pieces(tmp_path / "t.parquet") as add:
        for start, stop in [(0, 4), (4, 4), (4, 5), (5, 10)]:
            add(table.iloc[start:stop])
    return tmp_path / "t.parquet"


def test_pieces_make_one_table(path, table):
    pd.testing.assert_frame_equal(pd.read_parquet(path), table)


def test_later_pieces_have_the_types_of_the_first(tmp_path):
    with write_pieces(tmp_path / "t.parquet") as add:
        add(pd.DataFrame({"n": np.array([1], dtype=np.int64)}))
        add(pd.DataFrame({"n": np.array([2], dtype=np.int8)}))
    assert pd.read_parquet(tmp_path / "t.parquet")["n"].dtype == np.int64


def test_no_piece_no_file(tmp_path):
    with write_pieces(tmp_path / "t.parquet"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sizes", [[10], [3, 3, 4], [1] * 10, [0, 7, 0, 3], [2, 2], []])
def test_read_in_other_pieces_than_written(path, table, sizes):
    pieces = list(read_pieces(path, sizes))
    assert [len(piece) for piece in pieces] == sizes
    if pieces:
        whole = pd.concat(pieces, ignore_index=True)
        pd.testing.assert_frame_equal(whole, table.iloc[: sum(sizes)])


def test_a_table_that_ends_early(path):
    assert [len(piece) for piece in read_pieces(path, [8, 8, 8])] == [8, 2, 0]
