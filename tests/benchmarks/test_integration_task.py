from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.benchmarks.commands import app
from scfm.benchmarks.integration import integration
from scfm.benchmarks.results import COLUMNS
from scfm.benchmarks.subsample import stratified
from scfm.benchmarks.task_settings import Integration
from scfm.errors import ScfmError
from scfm.settings import parse

Write = Callable[..., Path]
QUICK = Integration(resolutions=(0.2, 1.0))


def cells(count: int = 60) -> tuple[np.ndarray, list[str], list[str]]:
    vectors = np.random.default_rng(0).normal(size=(count, 4))
    vectors[::2] += 8
    return vectors, ["a", "b"] * (count // 2), ["x", "x", "y", "y"] * (count // 4)


def test_tidy_rows(embeddings: Write) -> None:
    table = integration(embeddings(*cells()), QUICK, "s")
    assert tuple(table.columns) == COLUMNS
    assert set(table["metric"]) == {
        *("nmi", "ari", "resolution", "asw_label", "asw_batch", "graph_connectivity", "avg_bio", "avg_batch", "score")
    }
    first = table.iloc[0]
    assert first[["study", "run", "pooling", "dataset", "task"]].tolist() == ["s", "r", "cls", "d", "integration"]
    assert (first["seed"], first["n"], first["split"], first["fold"], first["contaminated"]) == (3, 60, "", "", "false")


def test_cells_of_unknown_type_are_left_out(embeddings: Write) -> None:
    vectors, labels, batches = cells()
    known = integration(embeddings(vectors, labels, batches), QUICK, "s")
    more = np.concatenate([vectors, np.full((5, 4), 4.0)])
    table = integration(embeddings(more, [*labels, *["unknown"] * 5], [*batches, *["z"] * 5]), QUICK, "s")
    pd.testing.assert_frame_equal(table, known)


@pytest.mark.parametrize("labels", ["a", "unknown"])
def test_fewer_than_two_types(embeddings: Write, labels: str) -> None:
    with pytest.raises(ScfmError, match=r"dataset 'd': [01] known cell type where integration needs two"):
        integration(embeddings(cells()[0], labels), QUICK, "s")


def test_no_dataset_asked_for_the_task(embeddings: Write) -> None:
    with pytest.raises(ScfmError, match="no dataset is asked for integration"):
        integration(embeddings(*cells(), tasks="probe"), QUICK, "s")


def test_a_type_of_one_cell_counts(embeddings: Write) -> None:
    vectors, labels, batches = cells()
    more = embeddings(np.concatenate([vectors, [[30.0] * 4]]), [*labels, "lonely"], [*batches, "x"])
    table = integration(more, QUICK, "s").set_index("metric")
    known = integration(embeddings(*cells()), QUICK, "s").set_index("metric")
    assert set(table["n"]) == {61}
    # The labels with two batches are the same; one cell hangs together with itself.
    assert table.loc["asw_batch", "value"] == pytest.approx(known.loc["asw_batch", "value"])
    assert table.loc["graph_connectivity", "value"] == 1
    assert table["value"].notna().all()


def test_embedding_with_nan(embeddings: Write) -> None:
    vectors, labels, batches = cells()
    vectors[3, 1] = np.nan
    with pytest.raises(ScfmError, match="run 'r', pooling 'cls', dataset 'd': the embedding holds NaN"):
        integration(embeddings(vectors, labels, batches), QUICK, "s")


def test_silhouettes_of_a_subsample_say_so(embeddings: Write) -> None:
    settings = Integration(resolutions=(0.2,), max_silhouette_cells=100)
    table = integration(embeddings(*cells(400)), settings, "s").set_index("metric")
    whole = integration(embeddings(*cells(400)), Integration(resolutions=(0.2,)), "s").set_index("metric")
    named = table.index[table["split"] != ""]
    assert set(named) == {"asw_label", "asw_batch", "avg_bio", "avg_batch", "score"}
    assert set(table.loc[named, "split"]) == {"silhouettes of a stratified subsample of 100 cells"}
    assert table.loc["asw_label", "value"] == pytest.approx(whole.loc["asw_label", "value"], abs=0.02)
    assert table.loc["nmi", "value"] == whole.loc["nmi", "value"]


def test_stratified_subsample_has_every_stratum_in_proportion() -> None:
    strata = np.repeat([0, 1, 2], [700, 250, 50])
    rows = stratified(strata, 100, 0)
    assert len(set(rows)) == 100
    assert (np.abs(np.bincount(strata[rows]) - [70, 25, 5]) <= 1).all()
    assert np.array_equal(rows, stratified(strata, 100, 0))
    assert not np.array_equal(rows, stratified(strata, 100, 1))


def test_command_writes_the_same_bytes_twice(embeddings: Write, tmp_path: Path) -> None:
    path, contents = embeddings(*cells()), []
    for name in ("one.csv", "two.csv"):
        arguments = ["integration", "--embeddings", path, "--study", "s", "--out", tmp_path / name]
        result = CliRunner().invoke(app, [str(a) for a in [*arguments, "--settings", '{"resolutions": [0.5]}']])
        assert result.exit_code == 0, result.output
        assert result.output.count("\n") == 1
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


def test_undefined_values_are_empty_fields(embeddings: Write, tmp_path: Path) -> None:
    vectors, labels, _ = cells()
    arguments = [
        "integration",
        "--embeddings",
        embeddings(vectors, labels),
        "--study",
        "s",
        "--out",
        tmp_path / "t.csv",
    ]
    assert CliRunner().invoke(app, [str(a) for a in arguments]).exit_code == 0
    table = pd.read_csv(tmp_path / "t.csv").set_index("metric")
    assert table.loc[["asw_batch", "avg_batch", "score"], "value"].isna().all()
    assert table.drop(["asw_batch", "avg_batch", "score"])["value"].notna().all()


@pytest.mark.parametrize(
    "text", ['{"neighbours": 15}', '{"neighbors": 1}', '{"resolutions": []}', '{"resolutions": [0]}', '{"seed": "x"}']
)
def test_bad_settings(text: str) -> None:
    with pytest.raises(ScfmError, match="--settings"):
        parse(Integration, text, "--settings")
