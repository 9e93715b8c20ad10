"""A row in the sheet of embeddings, or a concatenation in the study file, is one more model of every table."""

import anndata
import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow

STUDY = "config/studies/tiny.yaml"
BLOCK = "\nconcatenations:\n  both: [{ run: wced_hce, pooling: concat_cls }, { run: mlm, pooling: mean }]\n"
PREPARED = "results/tiny/benchmarks/datasets/synthetic_holdout.h5ad"
TABLES = ("table5", "macro_f1", "controls")


@pytest.fixture
def extended(edited):
    """The finished study with a concatenation, and with vectors of another model: PCA's, in another order."""
    with (edited.folder / STUDY).open("a") as file:
        file.write(BLOCK)
    pca = anndata.read_h5ad(edited.folder / "results/tiny/benchmarks/embed/pca/0.h5ad")
    rows = np.random.default_rng(0).permutation(pca.n_obs)
    obs = pd.DataFrame(index=pca.obs_names[rows].str.removeprefix("synthetic_holdout/"))
    vectors = {"X_scgpt": pca.obsm["pca"][rows], "X_umap": np.zeros((pca.n_obs, 2))}
    anndata.AnnData(obs=obs, obsm=vectors).write_h5ad(edited.folder / "scgpt.h5ad")
    sheet = edited.folder / "config" / "embeddings.tsv"
    lines = sheet.read_text().splitlines()
    fields = {"name": "scgpt", "resource": "file:scgpt.h5ad", "vectors": "X_scgpt", "studies": "tiny"}
    row = "\t".join(fields.get(column, "") for column in lines[0].split("\t"))
    sheet.write_text("\n".join([row if line.startswith("scgpt\t") else line for line in lines]) + "\n")
    return edited


def test_other_models_stand_in_every_table(extended, tiny):
    targets = [f"results/tiny/tables/{name}.csv" for name in TABLES]
    names = extended.names(*targets, *tiny[1:])
    scored = {f"{rule} {model}/0" for rule in ("integration", "probe") for model in ("scgpt", "both")}
    assert scored | {"embed scgpt/0", "concatenate both/0", "contamination"} <= names
    assert not {name for name in names if name.startswith(("train", "prepare", "learn"))}
    done = extended.run(*targets, "--cores", "2", *tiny[1:])
    assert done.returncode == 0, done.stdout

    results = extended.folder / "results" / "tiny"
    for task, columns in (("integration", ["metric", "value", "n"]), ("probe", ["metric", "fold", "value", "n"])):
        ours, theirs = (pd.read_csv(results / f"benchmarks/{task}/{model}/0.csv") for model in ("scgpt", "pca"))
        pd.testing.assert_frame_equal(ours[columns], theirs[columns])
        assert set(ours["contaminated"]) == {"unknown"}
    seen = pd.read_csv(results / "benchmarks/contamination.csv").set_index("run").loc["scgpt"]
    assert seen["seen"] == "training data unknown"
    assert pd.isna(seen["train_cells"])
    table5, macro_f1, controls = (pd.read_csv(results / f"tables/{name}.csv") for name in TABLES)
    for table in (table5, macro_f1):
        table = table.set_index(["run", "pooling"])["synthetic_holdout"]
        assert table["scgpt", "X_scgpt"] == f"{table['pca', 'pca']} §"
        assert "§" not in table["both", "concat_cls+mean"]
    assert "both" in set(controls["run"])
    assert "scgpt" not in set(controls["run"])
    width = anndata.read_h5ad(results / "benchmarks/embed/both/0.h5ad").obsm["concat_cls+mean"].shape[1]
    assert width == 3 * 16


def test_a_new_file_of_vectors_is_scored_again(extended, tiny):
    done = extended.run("results/tiny/benchmarks/probe/scgpt/0.csv", "--cores", "2", *tiny[1:])
    assert done.returncode == 0, done.stdout
    assert "probe scgpt/0" not in extended.names("results/tiny/benchmarks/probe/scgpt/0.csv", *tiny[1:])
    adata = anndata.read_h5ad(extended.folder / "scgpt.h5ad")
    adata.obsm["X_scgpt"] *= 2
    adata.write_h5ad(extended.folder / "scgpt.h5ad")
    names = extended.names("results/tiny/benchmarks/probe/scgpt/0.csv", *tiny[1:])
    assert {"embed scgpt/0", "probe scgpt/0"} <= names


def test_a_file_that_lacks_cells_is_one_sentence(extended, tiny):
    adata = anndata.read_h5ad(extended.folder / "scgpt.h5ad")
    adata[:-7].write_h5ad(extended.folder / "scgpt.h5ad")
    done = extended.run("results/tiny/benchmarks/probe/scgpt/0.csv", "--cores", "1", *tiny[1:])
    assert done.returncode == 1
    assert f"scfm: error: scgpt.h5ad: no vector for 7 of {adata.n_obs} cells" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (extended.folder / "results/tiny/benchmarks/embed/scgpt/0.h5ad").exists()


def test_scvi_reads_the_datasets_of_counts_alone(fresh):
    fresh.edit("config/studies/demo.yaml", "benchmarks:\n", "benchmarks:\n  scvi: { epochs: 20 }\n")
    jobs = {job.name: job for job in fresh.jobs("all", "--config", "study=demo")}
    read = {path for path in jobs["embed scvi/0"].input if "datasets" in path}
    counts = ("synthetic_holdout", "synthetic_perturbation", "synthetic_disease")  # not pbmc68k_reduced
    assert read == {f"results/demo/benchmarks/datasets/{name}.h5ad" for name in counts}
    assert {"integration scvi/0", "probe scvi/0"} <= set(jobs)
    assert "clustering scvi/0" not in jobs  # asked of a dataset without counts only
