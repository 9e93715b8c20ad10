"""Tables of cells of many parts: texts in categories inside, plain outside."""

import pandas as pd

from scfm.corpus import parts
from scfm.corpus.common import TEXT


def table(joinids, **texts):
    return pd.DataFrame({"soma_joinid": joinids, **{name: texts.get(name, "unknown") for name in TEXT}, "x": 0.5})


def test_cells_of_parts_come_back_plain_and_in_the_order_of_the_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "ROWS", 2)
    first, second = table([0, 1], tissue=["lung", "blood"]), table([2, 3, 4], tissue=["blood", "eye", "lung"])
    none = table([]).astype(dict.fromkeys(TEXT, object))
    for name, cells in {"a": first, "none": none, "b": second}.items():
        cells.to_parquet(tmp_path / name, index=False)
    read = parts.read_cells([tmp_path / name for name in ("a", "none", "b")])
    assert read["soma_joinid"].tolist() == [0, 1, 2, 3, 4]
    assert read["tissue"].tolist() == ["lung", "blood", "blood", "eye", "lung"]
    assert read["tissue"].cat.categories.tolist() == ["blood", "eye", "lung"]
    read["row"] = [4, 0, 3, 1, 2]
    parts.write_cells(read, tmp_path / "out")
    plain = pd.concat([first, second]).assign(row=[4, 0, 3, 1, 2]).sort_values("row", ignore_index=True)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out"), plain)
    parts.write_cells(read.iloc[:0], tmp_path / "out")
    back = pd.read_parquet(tmp_path / "out")
    assert back.columns.tolist() == read.columns.tolist()
    assert back.empty
