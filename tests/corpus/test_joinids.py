"""A corpus is made again from its source and the list of its cells."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from scfm.corpus.joinids import joinids_sha256, read_joinids
from scfm.errors import ScfmError


def test_the_digest_is_of_the_set():
    expected = hashlib.sha256(b"".join(i.to_bytes(8, "little") for i in (2, 3, 500))).hexdigest()
    assert joinids_sha256(np.array([500, 2, 3])) == joinids_sha256(np.array([2, 3, 500], np.int32)) == expected


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_sampled_corpus_is_made_again_from_its_cells(prepare, tmp_path, ending):
    sampling = [{"kind": "cap", "field": "tissue", "cells": 40, "seed": 3}, {"kind": "fraction", "fraction": 0.7}]
    first = prepare(tmp_path / "first", shard_cells=300, sampling=sampling)
    cells = pd.read_parquet(first / "selection" / "cells.parquet")
    listed = tmp_path / f"cells.{ending}"
    chosen = cells[["soma_joinid"]].sample(frac=1, random_state=0)
    (chosen.to_parquet if ending == "parquet" else chosen.to_csv)(listed, index=False)
    again = prepare(tmp_path / "again", shard_cells=300, joinids=str(listed))
    one, two = (json.loads((folder / "shards" / "manifest.json").read_text()) for folder in (first, again))
    assert {key for key in one if one[key] != two[key]} == {"settings", "settings_sha256"}
    assert one["joinids_sha256"] == joinids_sha256(cells["soma_joinid"].to_numpy())
    for name in one["files"]:
        assert (first / "shards" / name).read_bytes() == (again / "shards" / name).read_bytes()


def test_cells_that_are_not_there(prepare, built, tmp_path):
    cells = pd.read_parquet(built / "selection" / "cells.parquet")
    listed = pd.DataFrame({"soma_joinid": [*cells["soma_joinid"][:50], 10**6, 10**6 + 1]})
    listed.to_csv(tmp_path / "cells.csv", index=False)
    with pytest.raises(ScfmError, match="cell 1000000 and 1 others are not in the store"):
        prepare(tmp_path / "x", steps=("select",), joinids=str(tmp_path / "cells.csv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("cell\n1\n", "column soma_joinid"), ("soma_joinid\nA\n", "cannot be read"), ("soma_joinid\n1\n1\n", "twice")],
)
def test_lists_that_are_none(tmp_path, text, message):
    (tmp_path / "cells.csv").write_text(text)
    with pytest.raises(ScfmError, match=message):
        read_joinids(tmp_path / "cells.csv")
    with pytest.raises(ScfmError, match="not found"):
        read_joinids(tmp_path / "none.csv")
