import math

import pandas as pd
import pytest

from scfm.benchmarks.results import COLUMNS
from scfm.errors import ScfmError
from scfm.paper.tidy import in_one_column, is_true, read_tidy, summarise


def test_mean_sd_and_range_over_seeds(make):
    table = make(
        [("wced", "cls", "gut", "probe", "macro_f1", seed, value) for seed, value in enumerate([0.2, 0.5, 0.8])]
    )
    row = summarise(table).iloc[0]
    assert row["mean"] == pytest.approx(0.5)
    assert row.sd == pytest.approx(0.3)
    assert (row.low, row.high, row.seeds) == (0.2, 0.8, 3)


def test_one_seed_has_no_sd(make):
    row = summarise(make([("wced", "cls", "gut", "probe", "macro_f1", 0, 0.2)])).iloc[0]
    assert row["mean"] == 0.2
    assert math.isnan(row.sd)


def test_folds_are_averaged_before_seeds(make):
    table = make([("wced", "cls", "gut", "probe", "macro_f1", seed, value) for seed, value in [(0, 0), (0, 1), (1, 1)]])
    table["fold"] = ["0", "1", "0"]
    row = summarise(table).iloc[0]
    assert row["mean"] == pytest.approx(0.75)
    assert row.seeds == 2


def test_undefined_values_stay_undefined(make, tmp_path):
    path = tmp_path / "a.csv"
    make([("wced", "cls", "gut", "integration", "avg_batch", 0, float("nan"))]).to_csv(path, index=False)
    assert summarise(read_tidy([path]))["mean"].isna().all()


def test_files_are_joined_in_order(tidy, tmp_path):
    paths = []
    for run, part in tidy.groupby("run", sort=False):
        paths.append(tmp_path / f"{run}.csv")
        part.to_csv(paths[-1], index=False)
    joined = read_tidy(paths)
    assert list(dict.fromkeys(joined.run)) == ["wced", "mlm", "random", "pca"]
    assert joined.seed.dtype == "int64"
    assert joined.contaminated.dtype == bool
    pd.testing.assert_frame_equal(
        joined.sort_values(list(COLUMNS[:9]), ignore_index=True),
        tidy.sort_values(list(COLUMNS[:9]), ignore_index=True),
    )


def test_what_a_model_of_others_has_seen_is_neither_yes_nor_no(make, tmp_path):
    path = tmp_path / "a.csv"
    rows = [("scgpt", "X", name, "probe", "macro_f1", 0, 0.5) for name in ("gut", "seen")]
    make(rows).assign(contaminated=["unknown", "partly"]).to_csv(path, index=False)
    for table in (read_tidy([path]), summarise(read_tidy([path]))):
        assert table.contaminated.tolist() == [False, True]
        assert table.training_unknown.tolist() == [True, False]
        assert in_one_column(table).contaminated.tolist() == ["unknown", True]
    in_one_column(read_tidy([path])).to_csv(path, index=False)
    assert read_tidy([path]).training_unknown.tolist() == [True, False]


def test_flags_in_every_spelling():
    flags = pd.Series(["true", "partly", "True", True, "false", "False", False, "", None])
    assert list(is_true(flags)) == [True] * 4 + [False] * 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="pooling"), "column 'pooling' is missing"),
        (lambda table: table.assign(value="high"), "column 'value' holds 'high' where a number is expected"),
        (lambda table: table.assign(seed=None), "column 'seed'"),
        (lambda table: pd.concat([table, table]), "occurs twice"),
    ],
)
def test_bad_tables_are_named(tidy, tmp_path, change, message):
    path = tmp_path / "a.csv"
    change(tidy).to_csv(path, index=False)
    with pytest.raises(ScfmError, match=message):
        read_tidy([path])


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(ScfmError, match="not found"):
        read_tidy([tmp_path / "no.csv"])
    with pytest.raises(ScfmError, match="no file given"):
        read_tidy([])
    (tmp_path / "empty.csv").touch()
    with pytest.raises(ScfmError, match="cannot be read"):
        read_tidy([tmp_path / "empty.csv"])
