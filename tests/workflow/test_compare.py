"""The comparison of results sees what differs, and leaves out what depends on the clock."""

import json

import numpy as np
import pandas as pd
import pytest
from compare import differences


@pytest.fixture
def folders(tmp_path):
    for name in ("one", "other"):
        folder = tmp_path / name
        (folder / "benchmark").mkdir(parents=True)
        pd.DataFrame({"run": ["a", "b"], "value": [1.0, np.nan], "cells_per_s": [1.0, 2.0]}).to_csv(folder / "t.csv")
        (folder / "a.json").write_text(json.dumps({"n": 1, "of": [1.5, None, {"x": "y"}], "seconds": 3}))
        np.savez(folder / "a.npz", codes=np.arange(4), names=np.array(["p", "q"]))
        (folder / "list.txt").write_text("A\n")
        (folder / "report.html").write_text(name)
        (folder / "benchmark" / "job.tsv").write_text(name)
    return tmp_path / "one", tmp_path / "other"


def test_equal_folders(folders):
    assert differences(*folders) == []


def test_times_and_rounding_do_not_count(folders):
    table = pd.read_csv(folders[0] / "t.csv", index_col=0)
    table.assign(cells_per_s=9.0, value=table["value"] + 5e-7).to_csv(folders[0] / "t.csv")
    (folders[0] / "a.json").write_text(json.dumps({"n": 1, "of": [1.5, None, {"x": "y"}], "seconds": 4}))
    assert differences(*folders) == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("t.csv", "1.0", "1.00001"),
        ("t.csv", "b,,", "b,2.0,"),
        ("t.csv", "run", "ran"),
        ("a.json", '"y"', '"z"'),
        ("a.json", "null", "0"),
        ("a.json", "1.5", "1.50001"),
        ("list.txt", "A", "B"),
    ],
)
def test_other_values(folders, name, old, new):
    text = (folders[0] / name).read_text()
    (folders[0] / name).write_text(text.replace(old, new, 1))
    assert next(line.split(":")[0] for line in differences(*folders)) == name


def test_missing_files_and_arrays(folders):
    (folders[0] / "list.txt").unlink()
    np.savez(folders[1] / "a.npz", codes=np.arange(5), names=np.array(["p", "r"]))
    found = differences(*folders)
    assert found[0] == f"list.txt: only in {folders[1]}"
    assert [line.split(": ")[1] for line in found[1:]] == ["codes", "names"]
