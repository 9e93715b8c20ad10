"""`scfm corpus ...` from one end to the other."""

import json

import pytest
from typer.testing import CliRunner

from scfm.cli import app
from scfm.corpus import Shards
from scfm.corpus.settings import BuildSettings, Synthetic
from scfm.corpus.synthetic import corpus_names, dataset_row
from scfm.errors import ScfmError
from scfm.settings import as_json

SOURCE = {
    "kind": "synthetic",
    "cells": 120,
    "genes": 200,
    "planted": 20,
    "types": 4,
    "datasets": 2,
    "holdout_cells": 50,
}


def call(*words):
    result = CliRunner().invoke(app, ["corpus", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_from_the_synthetic_census_to_shards(tmp_path):
    scan = json.dumps({"source": SOURCE, "qc": {"min_counts": 50}, "block": 50})
    select = {"qc": {"min_counts": 50}, "exclude_datasets": [], "sampling": [], "layout": {}, "shard_cells": 300}
    lines = [call("synthesize", "--settings", json.dumps(SOURCE), "--out", tmp_path / "s")]
    names = corpus_names(Synthetic(**SOURCE))
    rows = as_json(BuildSettings(datasets=[dataset_row(n).model_dump() for n in names]))
    soma = ("--soma", tmp_path / "soma")
    lines.append(
        call("build", "--settings", rows, "--out", tmp_path / "soma", *(tmp_path / "s" / f"{n}.h5ad" for n in names))
    )
    for k in (0, 1):
        lines.append(
            call("scan", "--settings", scan, *soma, "--part", k, "--parts", 2, "--out", tmp_path / f"scan-{k}")
        )
    hgnc = tmp_path / "s" / "annotation" / "hgnc.tsv"
    select = json.dumps({**select, "split": {"by": "cell"}})
    parts = [tmp_path / "scan-1", tmp_path / "scan-0"]
    lines.append(call("select", "--settings", select, "--hgnc", hgnc, "--out", tmp_path / "selection", *parts))
    scatter = json.dumps({"source": SOURCE, "block": 50})
    for k in (0, 1):
        where = ("--selection", tmp_path / "selection", "--out", tmp_path / f"scatter-{k}")
        lines.append(call("scatter", "--settings", scatter, *soma, *where, "--part", k, "--parts", 2))
    parts = [tmp_path / "scatter-0", tmp_path / "scatter-1"]
    lines.append(call("gather", "--selection", tmp_path / "selection", "--out", tmp_path / "shards", *parts))
    pair = ("--selection", tmp_path / "selection", "--shards", tmp_path / "shards")
    lines.append(call("check", *pair, "--out", tmp_path / "crossing.csv"))
    assert lines[-1] == "corpus check: no crossing of cells in the selection and the shards\n"
    images = ("--out-sampling", tmp_path / "sampling", "--out-qc", tmp_path / "qc", "--dpi", 40)
    lines.append(call("figures", "--selection", tmp_path / "selection", *images))
    assert all(line.startswith("corpus ") and line.count("\n") == 1 for line in lines)
    assert (tmp_path / "crossing.csv").is_file()
    assert (tmp_path / "qc" / "page-1.png").is_file()
    assert 100 < len(Shards.open(tmp_path / "shards")) <= 120


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": {"kind": "census", "release": "latest"}, "qc": {}, "block": 9}, "long-term Census release"),
        ({"source": {"kind": "census", "relase": "2025-01-30"}, "qc": {}, "block": 9}, "did you mean 'release'"),
        ({"source": {"kind": "synthetic", "cells": "many"}, "qc": {}, "block": 9}, "cells"),
        ({"source": {"kind": "atlas"}, "qc": {}, "block": 9}, "atlas"),
        ({"source": SOURCE, "qc": {}}, "'block' is missing"),
        ({"source": SOURCE, "qc": {"max_mito_fraction": 1.5}, "block": 9}, "max_mito_fraction"),
    ],
)
def test_wrong_settings_are_one_sentence(tmp_path, settings, message):
    with pytest.raises(ScfmError, match=message):
        call("scan", "--settings", json.dumps(settings), "--out", tmp_path / "x")


def test_a_part_that_does_not_exist(tmp_path, local_soma):
    settings = json.dumps({"source": SOURCE, "qc": {}, "block": 9})
    with pytest.raises(ScfmError, match="--part"):
        call("scan", "--settings", settings, "--soma", local_soma, "--part", 2, "--parts", 2, "--out", tmp_path / "x")
    assert not (tmp_path / "x").exists()
