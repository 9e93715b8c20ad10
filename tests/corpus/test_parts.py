"""Tables of cells of many parts: texts in categories inside, plain outside."""

import pandas as pd

from scfm.corpus import parts
from scfm.corpus.common import TEXT


def table(joinids, **texts):
    return pd.DataFrame({"soma_joinid": joinids, **{name: texts.get(name, "unknown") for name in TEXT}, "x": 0.5})


def test_cells_of_parts_come_back_plain_and_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "ROWS", 2)
    first, second = table([0, 1], tissue=["lung", "blood"]), table([2, 3, 4], tissue=["blood", "eye", "lung"])
    none = table([]).astype(dict.fromkeys(TEXT, object))
    for name, cells in {"a": first, "none": none, "b": second}.items():
        cells.to_parquet(tmp_path / name, index=False)
    read = parts.read_cells([tmp_path / name for name in ("a", "none", "b")])
    assert read["soma_joinid"].tolist() == [0, 1, 2, 3, 4]
    assert read["tissue"].tolist() == ["lung", "blood", "blood", "eye", "lung"]
    assert read["tissue"].cat.categories.tolist() == ["blood", "eye", "lung"]
    for chosen in (read, read.iloc[:0]):
        parts.write_cells(chosen, tmp_path / "out")
        back = pd.read_parquet(tmp_path / "out")
        assert back.columns.tolist() == first.columns.tolist()
        assert back["tissue"].tolist() == chosen["tissue"].tolist()
    parts.write_cells(read, tmp_path / "out")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out"), pd.concat([first, second], ignore_index=True))
