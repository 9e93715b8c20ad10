"""A perturbed atlas: what is written block by block, what it says of effects, and cells that it cannot be made of."""

import tracemalloc

import anndata
import numpy as np
import pandas as pd
import pytest
import tiledbsoma
import tiledbsoma.io
from scipy.sparse import csr_matrix

from scfm.errors import ScfmError
from scfm.perturbation import CONTROL, Atlas, growing_soma
from scfm.perturbation.atlas import build
from scfm.perturbation.stored import stored

RAISED = {"G1": 1, "G2": 2}
"""Perturbation to the gene that it raises, in the screen and by the stand-in of a model."""
SETTINGS = Atlas(cells=30, min_cells=10, prompt=25)


def oracle(query, prompt, seed):
    """Stands for a model: adds counts to the gene that the prompt raises, with noise of its own."""
    (name,) = set(prompt.obs["perturbation"])
    rng, counts = np.random.default_rng(seed), query.X.toarray()
    counts += rng.poisson(0.2, counts.shape)
    if name != CONTROL:
        counts[:, RAISED[name]] += 6 + rng.poisson(3, len(counts))
    obs = pd.DataFrame({"confidence": np.where(np.arange(len(counts)) % 4, 3.0, -1.0)}, index=query.obs_names)
    return anndata.AnnData(csr_matrix(counts.astype(np.float32)), obs=obs, var=query.var)


@pytest.fixture
def parts(screened, tmp_path):
    """Function: on disk the screen, of types a and b, and the reference, of b, c and a rare d."""

    def make(change=None, genes=None, types=("b", "c", "d")):
        pairs = {(kind, name): 40 for kind in "ab" for name in (CONTROL, *RAISED)} | {("a", "rare"): 5}
        ratios = {name: {gene: 3.0} for name, gene in RAISED.items()} | {"rare": {}}
        cells = {
            "screen": screened(pairs, ratios),
            "reference": screened({(kind, CONTROL): 5 if kind == "d" else 50 for kind in types}, seed=1),
        }
        # A reference has an order and genes of its own.
        cells["reference"] = cells["reference"][:, ::-1].copy()
        cells["reference"].var_names = cells["reference"].var_names.str.replace("G0", "other")
        if change:
            change(cells)
        out = []
        for what, adata in cells.items():
            adata.X.eliminate_zeros()
            adata.write_h5ad(tmp_path / f"{what}.h5ad")
            backed = anndata.read_h5ad(tmp_path / f"{what}.h5ad", backed="r")
            out.append(stored(backed, backed.obs.astype(str), genes or cells["screen"].var_names, 0.5, what))
        return out

    return make


def test_cells_are_read_in_the_genes_of_the_model(parts):
    _, reference = parts()
    rows = np.array([3, 7, 60])
    read, whole = reference.read(rows), reference.cells.to_memory()
    assert read.var_names.tolist() == [f"G{i}" for i in range(20)]
    assert reference.missing == 1
    assert not read.X[:, 0].toarray().any(), "G0 is not there"
    assert (read.X[:, 1:].toarray() == whole[rows, list(read.var_names[1:])].X.toarray()).all()
    assert read.X.has_sorted_indices


def test_each_block_is_written_with_its_confidence(parts, tmp_path):
    screen, reference = parts()
    table = build(oracle, screen, reference, SETTINGS, tmp_path / "atlas.h5ad")
    atlas = anndata.read_h5ad(tmp_path / "atlas.h5ad")
    assert atlas.n_obs == table["cells"].sum() == 2 * 3 * 30
    assert atlas.obs_names.tolist() == [str(i) for i in range(180)]
    assert atlas.var_names.tolist() == list(screen.genes)
    assert atlas.obs.groupby(["cell_type", "perturbation"], observed=True).size().eq(30).all()
    assert list(atlas.obs["perturbation"].cat.categories) == ["G1", "G2", CONTROL]
    assert atlas.obs["confidence"].dtype == np.float32
    assert (atlas.X.data == np.rint(atlas.X.data)).all()
    assert atlas.uns["atlas"]["cell_types_left_out"] == atlas.uns["atlas"]["perturbations_left_out"] == 1
    assert atlas.uns["atlas"]["reference_genes_missing"] == 1
    source = reference.obs["background"].to_numpy()[atlas.obs["reference_row"]]
    assert (source == atlas.obs["cell_type"]).all()
    per_type = atlas.obs.groupby("cell_type", observed=True)["reference_row"].nunique()
    assert per_type.eq(30).all(), "the same cells under every perturbation"
    backed = anndata.read_h5ad(tmp_path / "atlas.h5ad", backed="r")
    assert (backed.X[50:60].toarray() == atlas.X[50:60].toarray()).all()


@pytest.mark.parametrize("piece", [1, 1000, 1 << 22])
def test_a_soma_holds_the_same_as_an_h5ad(parts, tmp_path, monkeypatch, piece):
    monkeypatch.setattr(growing_soma, "PIECE", piece)
    tables = [build(oracle, *parts(), SETTINGS, tmp_path / f"atlas.{ending}") for ending in ("h5ad", "soma")]
    pd.testing.assert_frame_equal(*tables)
    file = anndata.read_h5ad(tmp_path / "atlas.h5ad")
    with tiledbsoma.open(str(tmp_path / "atlas.soma")) as experiment:
        read = tiledbsoma.io.to_anndata(experiment, "RNA")
        fragments = len(list((tmp_path / "atlas.soma/ms/RNA/X/data/__fragments").iterdir()))
        b = experiment.obs.read(value_filter="cell_type == 'b'").concat().to_pandas()
    assert fragments == {1: 6, 1000: 3, 1 << 22: 1}[piece], "two blocks of 30 cells hold 1,000 nonzeros"
    assert (read.X != file.X).nnz == 0
    assert read.X.dtype == file.X.dtype
    pd.testing.assert_frame_equal(read.obs, file.obs)
    pd.testing.assert_frame_equal(read.var, file.var)
    assert read.uns == file.uns
    assert b["soma_joinid"].tolist() == list(range(90)), "the first type"


@pytest.mark.parametrize("ending", ["h5ad", "soma"])
def test_nothing_half_written_is_left(parts, tmp_path, ending):
    done = []

    def fails_at_the_third(*asked):
        done.append(asked)
        if len(done) == 3:
            raise ScfmError("the third")
        return oracle(*asked)

    screen, reference = parts()
    build(oracle, screen, reference, SETTINGS.model_copy(update={"types": ("c",)}), tmp_path / f"atlas.{ending}")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(ScfmError, match="the third"):
        build(fails_at_the_third, screen, reference, SETTINGS, tmp_path / f"atlas.{ending}")
    assert sorted(path.name for path in tmp_path.rglob("*")) == before, "the atlas before it stays as it was"


def test_cells_without_a_count_in_the_models_genes_are_left_out_and_counted(parts, tmp_path):
    genes = [f"G{i}" for i in range(1, 20)]

    def some_empty(cells):
        for adata, rows in ((cells["screen"], [0, 41, 42]), (cells["reference"], [*range(45), 60])):
            matrix = adata.X.tolil()
            matrix[np.ix_(rows, adata.var_names.isin(genes))] = 0
            adata.X = matrix.tocsr()

    screen, reference = parts(some_empty, genes)
    assert (screen.empty, reference.empty) == (3, 46), "counts of G0, which is no gene of the model, are none"
    asked = SETTINGS.model_copy(update={"cells": 100, "prompt": 1000})
    table = build(oracle, screen, reference, asked, tmp_path / "atlas.h5ad")
    atlas = anndata.read_h5ad(tmp_path / "atlas.h5ad")
    facts = atlas.uns["atlas"]
    assert (facts["screen_cells_empty"], facts["reference_cells_empty"]) == (3, 46)
    assert facts["cell_types_left_out"] == 2, "type b has 5 cells left, as d"
    assert table["cell_type"].unique().tolist() == ["c"]
    assert table["cells"].eq(49).all()
    assert not set(atlas.obs["reference_row"]) & {*range(45), 60}
    with pytest.raises(ScfmError, match="5 cells of cell type 'b' where 10 are needed"):
        build(oracle, screen, reference, asked.model_copy(update={"types": ("b",)}), tmp_path / "atlas.h5ad")


def test_effects_are_read_against_rewritten_controls(parts, tmp_path):
    table = build(oracle, *parts(), SETTINGS, tmp_path / "atlas.h5ad").set_index(["cell_type", "perturbation"])
    assert table["confident"].eq(22 / 30).all()
    perturbed = table.drop(index=CONTROL, level=1)
    assert perturbed["genes_changed"].eq(1).all(), "the planted gene alone"
    assert table.xs(CONTROL, level=1)[["effect", "genes_changed", "pearson_delta"]].isna().all(axis=None)
    measured = perturbed.xs("b", level=0)
    assert measured["measured_cells"].eq(40).all()
    assert (measured["pearson_delta"] > 0.7).all()
    assert perturbed.xs("c", level=0)["pearson_delta"].isna().all(), "the screen has no such type"
    assert perturbed["effect"].between(0.01, 0.2).all()


def test_a_block_is_the_same_in_a_smaller_atlas(parts, tmp_path):
    screen, reference = parts()
    build(oracle, screen, reference, SETTINGS, tmp_path / "all.h5ad")
    few = SETTINGS.model_copy(update={"types": ("c",), "perturbations": ("G2",)})
    table = build(oracle, screen, reference, few, tmp_path / "few.h5ad")
    assert table[["cell_type", "perturbation"]].to_numpy().tolist() == [["c", CONTROL], ["c", "G2"]]
    every, own = (anndata.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("all", "few"))
    same = (every.obs["cell_type"] == "c") & every.obs["perturbation"].isin([CONTROL, "G2"])
    assert (every[same].X.toarray() == own.X.toarray()).all()


@pytest.mark.parametrize("ending", ["h5ad", "soma"])
def test_memory_does_not_grow_with_the_atlas(parts, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(growing_soma, "PIECE", 1)

    def peak(types):
        screen, reference = parts(types=types)
        tracemalloc.start()
        build(oracle, screen, reference, SETTINGS, tmp_path / f"atlas.{ending}")
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak("bc")  # imports
    assert peak("abcefghijk") < 1.3 * peak("bc")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"types": ("z",)}, "cell type 'z' has no cell in the reference, which holds b, c, d"),
        ({"types": ("d",)}, "5 cells of cell type 'd' where 10 are needed"),
        ({"perturbations": ("G9",)}, "perturbation 'G9' is unknown; the data has G1, G2, rare"),
        ({"perturbations": ("rare",)}, "5 cells of perturbation 'rare' where 10 are needed"),
        ({"min_cells": 60}, "no cell type with 60 cells"),
    ],
)
def test_what_cannot_be_asked_for_is_told_in_a_sentence(parts, tmp_path, changes, fault):
    settings = SETTINGS.model_copy(update=changes)
    with pytest.raises(ScfmError, match=fault):
        build(oracle, *parts(), settings, tmp_path / "atlas.h5ad")
    assert not (tmp_path / "atlas.h5ad").exists()


def normalised(cells):
    cells["reference"].X = cells["reference"].X / 3


def normalised_screen(cells):
    cells["screen"].X = cells["screen"].X.log1p()


def without_controls(cells):
    cells["screen"].obs["perturbation"] = cells["screen"].obs["perturbation"].replace(CONTROL, "G1")


def twice(cells):
    cells["reference"].var_names = ["G1", "G1", *cells["reference"].var_names[2:]]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (normalised, "cell type 'b': query: raw counts are needed"),
        (normalised_screen, "cell type 'b': prompt: raw counts are needed"),
        (without_controls, "screen: no control cell"),
        (twice, "reference: gene 'G1' occurs more than once"),
    ],
)
def test_cells_that_no_atlas_is_made_of_are_found_before_the_first_is_rewritten(parts, tmp_path, change, fault):
    def never(*_):
        raise AssertionError("nothing is to be rewritten")

    with pytest.raises(ScfmError, match=fault):
        build(never, *parts(change), SETTINGS, tmp_path / "atlas.h5ad")
    assert not list(tmp_path.glob("*atlas.h5ad"))


def test_an_ending_says_the_format(parts, tmp_path):
    with pytest.raises(ScfmError, match=r"atlas.zarr: the ending '.zarr' is none of .h5ad, .soma"):
        build(oracle, *parts(), SETTINGS, tmp_path / "atlas.zarr")


def test_genes_of_another_vocabulary(parts):
    with pytest.raises(ScfmError, match="screen: 2 of the model's 6 genes are there, where 50% are needed"):
        parts(genes=["G1", "G2", "A", "B", "C", "D"])
