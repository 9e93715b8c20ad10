"""What a run has seen of the benchmark datasets, computed from its training cells."""

import json

import anndata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scfm.benchmarks.contamination import contamination
from scfm.benchmarks.embed import embed
from scfm.benchmarks.seen import COLUMNS, mark_seen, read_contamination, seen_by
from scfm.cli import app
from scfm.corpus.build import build_soma
from scfm.corpus.settings import Soma, SourceSettings, Synthetic
from scfm.corpus.stored import stored_datasets
from scfm.corpus.synthetic import HOLDOUT, corpus_names, dataset_row, synthesize
from scfm.datasets import Dataset, read_datasets
from scfm.errors import ScfmError
from scfm.pretrain.stage import Choice, Stage

STORED = pd.DataFrame(
    [("u1", "one", "10.1126/science.abf3041"), ("u2", "two", "10.1038/nbt.4042, 10.1/x"), ("u3", "three", "")],
    columns=["dataset_id", "title", "doi"],
)
CELLS = pd.DataFrame(
    {"dataset_id": ["u1"] * 4 + ["u2"] * 3 + ["u3"] * 3, "split": ["train"] * 4 + ["validation"] * 3 + ["train"] * 3}
)


def look(row, cells=CELLS, stored=STORED, share=1.0):
    table = contamination(cells, stored, [Dataset(name="d", **row)], {"mlm": [Stage(corpus_fraction=share)]})
    assert table.columns.tolist() == list(COLUMNS)
    return table.iloc[0][["found", "train_cells", "seen"]].tolist()


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"census_dataset_ids": "u1"}, ["u1", 4, "yes"]),
        ({"census_dataset_ids": "u3, u1"}, ["u1, u3", 7, "yes"]),
        ({"doi": "10.1126/SCIENCE.abf3041"}, ["u1", 4, "yes"]),
        ({"doi": "10.1038/nbt.4042"}, ["", 0, "not found"]),  # in the store, but for validation only
        ({"census_dataset_ids": "u9", "doi": "10.1016/nowhere"}, ["", 0, "not found"]),
        ({}, ["", 0, "unknown"]),
    ],
)
def test_datasets_are_found_by_id_and_by_doi(row, expected):
    assert look(row) == expected


def test_a_store_without_dois_cannot_tell_by_doi():
    assert look({"doi": "10.1126/science.abf3041"}, stored=STORED.assign(doi=""))[2] == "unknown"
    assert look({"census_dataset_ids": "u1"}, stored=STORED.assign(doi=""))[2] == "yes"


def test_it_is_the_run_that_counts():
    # Of 1 and 4,000 cells a run on 1 % of the corpus takes, by the seed of the draw, none and about 40.
    cells = pd.DataFrame({"dataset_id": ["u1"] + ["u2"] * 4000, "split": "train"})
    rows = [Dataset(name="one", census_dataset_ids=("u1",)), Dataset(name="two", census_dataset_ids=("u2",))]
    taken = {"all": [Stage()], "less": [Stage(corpus_fraction=0.01)]}
    table = contamination(cells, STORED, rows, taken).set_index(["run", "dataset"])
    assert table["seen"].tolist() == ["yes", "yes", "not found", "yes"]
    assert table.loc[("all", "two"), "train_cells"] == 4000
    rank = np.random.default_rng(0).random(4001)
    assert table.loc[("less", "two"), "train_cells"] == (rank[1:] < 0.01).sum()


def test_a_run_has_seen_the_cells_of_the_run_that_it_begins_with():
    cells = CELLS.assign(tissue=["blood", "blood", "lung", "lung"] + ["lung"] * 6)
    rows = [Dataset(name="one", census_dataset_ids=("u1",)), Dataset(name="three", census_dataset_ids=("u3",))]
    blood = Stage(cells=Choice(column="tissue", values=("blood",)))
    table = contamination(cells, STORED, rows, {"blood": [blood], "both": [Stage(), blood]})
    assert table.set_index(["run", "dataset"])["train_cells"].to_dict() == {
        ("blood", "one"): 2,
        ("blood", "three"): 0,
        ("both", "one"): 4,
        ("both", "three"): 3,
    }
    assert table["seen"].tolist() == ["yes", "not found", "yes", "yes"]


@pytest.fixture
def table():
    rows = [Dataset(name="d", census_dataset_ids=("u1",)), Dataset(name="e", doi=("10.1016/nowhere",))]
    return contamination(CELLS, STORED, rows, {"r": [Stage()]})


def test_what_the_run_has_seen_is_marked(prepared, table):
    seen, unseen = anndata.read_h5ad(prepared("d")), anndata.read_h5ad(prepared("e"))
    for adata in (seen, unseen):
        mark_seen(adata, table, "r")
    assert seen.uns["scfm"]["contaminated"] == "true"
    assert seen.uns["scfm"]["contaminated_reason"] == "trained on 4 cells of u1"
    assert seen.obs["contaminated"].all()
    assert unseen.uns["scfm"]["contaminated"] == "false"
    assert not unseen.obs["contaminated"].any()


def test_what_several_runs_have_seen_is_told_without_a_mark(prepared, table):
    both = pd.concat([table, table.assign(run="s", seen="not found")])
    adata = anndata.read_h5ad(prepared("d"))
    assert seen_by(adata, both, ["r", "s"]) == {"r": "true", "s": "false"}
    assert adata.uns["scfm"]["contaminated"] == "false"


def test_what_the_study_file_says_of_single_cells_stands(prepared, table):
    said = np.arange(60) < 10
    adata = anndata.read_h5ad(prepared("d", contaminated=said, uns_contaminated="partly"))
    mark_seen(adata, table, "r")
    assert adata.uns["scfm"]["contaminated"] == "partly"
    assert adata.obs["contaminated"].tolist() == said.tolist()


def test_a_table_of_other_runs_or_datasets_is_refused(prepared, table, tmp_path):
    adata = anndata.read_h5ad(prepared("f"))
    for run in ("r", "other"):
        with pytest.raises(ScfmError, match=f"0 rows for run '{run}' and dataset 'f'"):
            mark_seen(adata, table, run)
    table.drop(columns="seen").to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ScfmError, match="not a table of contamination"):
        read_contamination(tmp_path / "t.csv")


def test_embeddings_carry_the_mark(prepared, table):
    class Zeros:
        def embed(self, adata, *, values):
            return {"cls": np.zeros((adata.n_obs, 2))}

    paths = [prepared("d"), prepared("e")]
    marked = embed(Zeros(), paths, "r", 0, table)
    assert [marked.uns["datasets"][name]["contaminated"] for name in ("d", "e")] == ["true", "false"]
    assert marked.obs.groupby("dataset")["contaminated"].mean().to_dict() == {"d": 1.0, "e": 0.0}
    assert embed(Zeros(), paths, "r", 0).uns["datasets"]["d"]["contaminated"] == "false"


SOURCE = {
    "kind": "synthetic",
    "cells": 150,
    "genes": 200,
    "planted": 20,
    "types": 4,
    "datasets": 3,
    "holdout_cells": 50,
}
DOIS = {"corpus_00": "10.1234/first", "corpus_01": "10.1234/Second", "corpus_02": ""}


def test_the_synthetic_census_from_its_store_to_the_table(tmp_path):
    """Store, list of its datasets and table, by the commands; one dataset is only validated, one excluded."""
    source = Synthetic(**SOURCE)
    synthesize(source, tmp_path / "s")
    names = corpus_names(source)
    rows = [dataset_row(name).model_copy(update={"doi": (DOIS[name],) if DOIS[name] else ()}) for name in names]
    build_soma([tmp_path / "s" / f"{name}.h5ad" for name in names], rows, tmp_path / "soma")

    def call(*words):
        done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    settings = json.dumps({"source": SOURCE})
    stored = tmp_path / "datasets.csv"
    line = call("corpus", "datasets", "--settings", settings, "--soma", tmp_path / "soma", "--out", stored)
    assert line == "corpus datasets: 3 datasets, 2 with a DOI\n"
    listed = pd.read_csv(stored, keep_default_na=False)
    assert listed["doi"].tolist() == ["10.1234/first", "10.1234/second", ""]

    hgnc = tmp_path / "s" / "annotation" / "hgnc.tsv"
    tables = {}
    for case, excluded in (("all", []), ("without", ["corpus_00"])):
        shards = tmp_path / case
        make_shards(shards, tmp_path / "soma", hgnc, excluded)
        sheet = [
            Dataset(name="by_doi", doi=("10.1234/first",)),
            Dataset(name="by_id", census_dataset_ids=("corpus_02",)),
            Dataset(name=HOLDOUT),
        ]
        rows = [row.model_dump(mode="json") for row in sheet]
        asked = json.dumps({"datasets": rows, "taken": {"mlm": [{"corpus_fraction": 1.0}], "pca": [{}]}})
        out = tmp_path / f"{case}.csv"
        line = call(
            *("benchmarks", "contamination", "--shards", shards, "--stored", stored, "--settings", asked, "--out", out)
        )
        tables[case] = read_contamination(out).set_index(["run", "dataset"])
        cells = pd.read_parquet(shards / "cells.parquet")
        trained = cells[cells["split"] == "train"]["dataset_id"].value_counts()
        for (_, dataset), row in tables[case].iterrows():
            found = {"by_doi": "corpus_00", "by_id": "corpus_02"}.get(dataset, "")
            assert row["train_cells"] == trained.get(found, 0)
            assert row["seen"] == ("yes" if trained.get(found, 0) else "not found" if found else "unknown")
    assert line == "benchmarks contamination: of 3 datasets 1 seen in training, 1 unknown\n"
    assert tables["all"].loc[("mlm", "by_doi"), "seen"] == "yes"
    assert tables["without"].loc[("mlm", "by_doi"), "seen"] == "not found"


def make_shards(out, soma, hgnc, excluded):
    from scfm.corpus.gather import gather
    from scfm.corpus.scan import scan
    from scfm.corpus.scatter import scatter
    from scfm.corpus.select import select
    from scfm.corpus.settings import Corpus, ScanSettings, ScatterSettings, SelectSettings

    split, qc = {"by": "cell", "fraction": 0.3}, {"min_counts": 20, "min_genes": 5}
    corpus = Corpus(source=SOURCE, exclude_datasets=excluded, split=split, qc=qc)
    part = {
        model: {name: getattr(corpus, name) for name in model.model_fields}
        for model in (ScanSettings, SelectSettings, ScatterSettings)
    }
    scan(ScanSettings(**part[ScanSettings]), 0, 1, out.parent / f"{out.name}-scan", soma)
    selection = out.parent / f"{out.name}-selection"
    select(SelectSettings(**part[SelectSettings]), [out.parent / f"{out.name}-scan"], hgnc, selection)
    scatter(ScatterSettings(**part[ScatterSettings]), selection, 0, 1, out.parent / f"{out.name}-scatter", soma)
    gather(selection, [out.parent / f"{out.name}-scatter"], out)


def test_a_store_that_lists_no_dois(tmp_path):
    import tiledbsoma

    from scfm.corpus.build import _table

    with tiledbsoma.Collection.create(str(tmp_path / "soma")) as top:
        top.add_new_collection("census_data").add_new_collection("homo_sapiens", tiledbsoma.Experiment)
        info = top.add_new_collection("census_info")
        _table(info, "datasets", pd.DataFrame({"dataset_id": ["a", "b"]}))
    table = stored_datasets(SourceSettings(source=Soma(kind="soma", uri=str(tmp_path / "soma"))))
    assert table.to_dict("list") == {"dataset_id": ["a", "b"], "title": ["", ""], "doi": ["", ""]}


def test_dois_of_the_sheet_are_bare():
    from pathlib import Path

    sheet = read_datasets(Path(__file__).parents[2] / "config" / "datasets.tsv")
    assert sheet["kang_ifnb"].doi == ("10.1038/nbt.4042",)
    assert sheet["onek1k_mini"].census_dataset_ids == ("3faad104-2ab8-4434-816d-474d8d2641db",)
    with pytest.raises(ValueError, match="is no DOI"):
        Dataset(name="d", doi="https://doi.org/10.1038/nbt.4042")
