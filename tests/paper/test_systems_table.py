"""The table of other systems: each published figure once beside each of ours, and what is not measured here."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.benchmarks.results import Measurement, tidy
from scfm.errors import ScfmError
from scfm.paper.commands import app
from scfm.paper.tables.systems import MATCHED, PRINTED, systems_table
from scfm.paper.tidy import read_results

PUBLISHED = Path(__file__).parents[2] / "config/published"
FILES = [PUBLISHED / f"{system}.csv" for system in ("cellplm", "pulsar", "stack", "lingshu")]


@pytest.fixture
def results(tmp_path):
    """ARI of CellPLM by two seeds and of PCA, and Pearson's r of PULSAR by age and by another target."""
    tables = []
    for run, pooling, seed, value in (
        ("cellplm", "latent", 0, 0.2),
        ("cellplm", "latent", 1, 0.4),
        ("pca", "pca", 0, 0.9),
    ):
        whose = {"study": "s", "run": run, "pooling": pooling, "dataset": "blood", "task": "clustering", "seed": seed}
        tables.append(
            tidy([Measurement("ari", value, 50)], **whose, contaminated="partly" if run == "cellplm" else "false")
        )
    whose = {"study": "s", "run": "pulsar", "pooling": "donor", "dataset": "cohort", "task": "donor", "seed": 0}
    rows = [Measurement("pearson", 0.6, 9, "age"), Measurement("pearson", 0.1, 9, "height")]
    tables.append(tidy(rows, **whose, contaminated="false"))
    pd.concat(tables).to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def test_ours_stand_beside_the_figure_of_the_same_quantity(results):
    table = systems_table(read_results([results]), FILES)
    ours = table[table["ours"].notna()]
    assert ours[["model", "metric", "run", "dataset", "seeds", "ours", "published"]].to_numpy().tolist() == [
        ["CellPLM", "ARI", "cellplm", "blood", 2, "0.300 ± 0.141 †", 0.867],
        ["PCA", "ARI", "pca", "blood", 1, "0.900", 0.843],
        ["PULSAR", "Pearson", "pulsar", "cohort", 1, "0.600", 0.791],
    ]
    assert set(ours["note"]) == {"another dataset, other cells"}
    others = table[table["ours"].isna()]
    assert set(others["note"]) == {"not measured here"}
    assert len(table) == sum(len(pd.read_csv(path)) for path in FILES)  # none twice, none lost


def test_published_files_name_tasks_and_models_as_results_do(results):
    for path in FILES:
        printed = pd.read_csv(path)
        assert list(printed) == ["model", "quantity", "published_dataset", "metric", "published", "source", *MATCHED]
        matched = printed[printed["run"].notna()]
        assert set(matched["task"]) <= {
            "clustering",
            "donor",
            "denoise",
            "imputation",
            "finetune",
            "generation",
            "perturbation",
        }
        assert printed.loc[printed["run"].isna(), list(MATCHED)].isna().all(axis=None)
        assert not printed.duplicated(["model", "quantity", "published_dataset", "metric"]).any()
    assert set(PRINTED) <= set(printed)


def test_without_results_every_figure_stands_alone_and_bad_files_are_refused(results, tmp_path):
    assert set(systems_table(read_results([]), FILES)["note"]) == {"not measured here"}
    with pytest.raises(ScfmError, match="no file given"):
        systems_table(read_results([results]), [])
    (tmp_path / "bad.csv").write_text("model,published\nPULSAR,1\n")
    with pytest.raises(ScfmError, match="column 'quantity' is missing"):
        systems_table(read_results([results]), [tmp_path / "bad.csv"])


def test_the_command_of_the_table_of_systems(results, tmp_path):
    options = [part for path in FILES for part in ("--published", str(path))]
    done = CliRunner().invoke(
        app, ["table", "systems", "--tidy", str(results), *options, "--out", str(tmp_path / "o.csv")]
    )
    assert done.exit_code == 0, done.output
    assert pd.read_csv(tmp_path / "o.csv")["ours"].notna().sum() == 3
