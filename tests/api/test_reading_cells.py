"""AnnData as users have it: every form of the same cells gives the same vectors, and what is found is said."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csc_matrix, csr_matrix

import scfm
from scfm.api import cells as reading
from scfm.errors import ScfmError


@pytest.fixture(scope="module")
def model(toy_model):
    return scfm.load(toy_model, "cpu")


@pytest.fixture
def expected(model, toy_adata):
    return model.embed(toy_adata, "cls")["cls"]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks, the last one short."""
    monkeypatch.setattr(reading, "BLOCK", 16)


def vectors(adata, model, **more):
    return scfm.embed(adata, model, verbose=False, **more).obsm["X_scfm"]


def same(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-5)


def logs(adata):
    x = adata.X.toarray()
    return np.log1p(1e4 * x / x.sum(1, keepdims=True))


FORMS = {
    "float64": lambda a: a.X.astype(np.float64),
    "int64": lambda a: a.X.astype(np.int64),
    "dense": lambda a: a.X.toarray(),
    "csc": lambda a: csc_matrix(a.X),
    "lognorm": lambda a: csr_matrix(logs(a)),
    "tpm": lambda a: csr_matrix(np.expm1(logs(a)) * 100),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("backed", [False, True])
def test_every_form_of_a_matrix(model, toy_adata, expected, form, backed, tmp_path):
    toy_adata.X = FORMS[form](toy_adata)
    if backed:
        toy_adata.write_h5ad(tmp_path / "x.h5ad")
        toy_adata = anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")
        before = (tmp_path / "x.h5ad").read_bytes()
    same(vectors(toy_adata, model), expected)
    assert toy_adata.uns["X_scfm"]["values"] == (form if form in ("lognorm", "tpm") else "counts")
    if backed:
        assert (tmp_path / "x.h5ad").read_bytes() == before


def test_neither_batches_nor_order_matter(model, toy_adata, expected, monkeypatch):
    same(vectors(toy_adata, model, batch_size=1), expected)
    monkeypatch.setattr(reading, "BLOCK", 7)
    order = np.random.default_rng(0).permutation(40)
    same(vectors(toy_adata[order].copy(), model), expected[order])


def test_views_in_memory_and_backed(model, toy_adata, expected, tmp_path):
    toy_adata.write_h5ad(tmp_path / "x.h5ad")
    rows = np.r_[30:40, 0:20:2]
    same(vectors(toy_adata[rows], model), expected[rows])
    same(vectors(toy_adata[:, ::-1], model), expected)
    part = anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")[rows]
    with pytest.raises(ScfmError, match="part of cells backed by a file"):
        vectors(part, model)
    same(vectors(part.to_memory(), model), expected[rows])


def test_layers_and_raw(model, toy_adata, expected, tmp_path):
    toy_adata.layers["counts"] = toy_adata.X.copy()
    toy_adata.raw = toy_adata.copy()
    toy_adata.X = toy_adata.X.toarray() - 1  # scaled
    with pytest.raises(ScfmError, match=r"X: holds negative .*; there is also layer 'counts', raw"):
        vectors(toy_adata, model)
    same(vectors(toy_adata, model, layer="counts"), expected)
    toy_adata.write_h5ad(tmp_path / "x.h5ad")
    for adata in (toy_adata, anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")):
        same(vectors(adata, model, use_raw=True), expected)
    only_raw = anndata.AnnData(
        obs=toy_adata.obs, var=toy_adata.var, raw={"X": toy_adata.raw.X, "var": toy_adata.raw.var}
    )
    same(vectors(only_raw, model), expected)
    assert only_raw.uns["X_scfm"]["matrix"] == "raw"
    for wrong, words in (
        ({"layer": "c"}, "no 'c'; choose among counts"),
        ({"layer": "counts", "use_raw": True}, "both"),
    ):
        with pytest.raises(ScfmError, match=words):
            vectors(toy_adata, model, **wrong)


def test_strange_obs_changes_nothing(model, toy_adata, expected):
    toy_adata.obs["type"] = toy_adata.obs["type"].astype("category")
    toy_adata.obs.loc[toy_adata.obs_names[3], "type"] = np.nan
    toy_adata.obs_names = ["cell"] * 40
    same(vectors(toy_adata, model), expected)


def test_a_copy_leaves_the_cells_as_they_are(model, toy_adata, expected, tmp_path):
    copied = scfm.embed(toy_adata, model, key_added="X_new", copy=True, verbose=False)
    assert "X_new" in copied.obsm
    assert not toy_adata.obsm
    assert not toy_adata.uns
    toy_adata.write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(ScfmError, match="backed by a file"):
        scfm.embed(anndata.read_h5ad(tmp_path / "x.h5ad", backed="r"), model, copy=True)


def test_cells_without_a_known_gene_are_said_and_marked(model, toy_adata, expected, capsys):
    x = toy_adata.X.toarray()
    x[[4, 20]] = 0
    toy_adata.X = x
    scfm.embed(toy_adata, model)
    scfm.annotate(toy_adata, model)
    empty = np.isin(np.arange(40), [4, 20])
    assert np.isnan(toy_adata.obsm["X_scfm"][empty]).all()
    same(toy_adata.obsm["X_scfm"][~empty], expected[~empty])
    assert (toy_adata.obs["scfm_id"][empty] == "unknown").all()
    assert capsys.readouterr().out.count("2 cells express none of them") == 2
    toy_adata.X = x * 0
    with pytest.raises(ScfmError, match="no cell expresses a known gene"):
        vectors(toy_adata, model)


def test_several_poolings_stand_side_by_side(model, toy_adata):
    every = model.embed(toy_adata, ["mean", "cls"])
    same(vectors(toy_adata, model, pooling=["mean", "cls"]), np.hstack([every["mean"], every["cls"]]))
    assert toy_adata.uns["X_scfm"]["pooling"] == "mean+cls"
    with pytest.raises(ScfmError, match="choose among cls"):
        vectors(toy_adata, model, pooling=[])


def test_values_that_turn_up_outside_the_sample_are_refused(model, toy_adata, monkeypatch):
    monkeypatch.setattr(reading, "SAMPLE", 16)
    x = toy_adata.X.toarray()
    x[3, 5] = 1.5
    toy_adata.X = x
    with pytest.raises(ScfmError, match=r"1\.5, which is not a count"):
        vectors(toy_adata, model)


def test_one_line_says_what_was_found(model, toy_adata, capsys):
    scfm.embed(toy_adata, model)
    assert capsys.readouterr().out == (
        "embed: 40 cells, counts in X (whole numbers), 40 of 40 genes known (symbols, human); cls, 16 wide\n"
    )


def test_nothing_global_changes(model, toy_adata):
    import random
    import warnings

    import torch

    def state():
        return (
            random.getstate(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            torch.get_rng_state().tolist(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            list(warnings.filters),
        )

    before = state()
    vectors(toy_adata, model)
    assert state() == before


@pytest.fixture
def orthologs():
    return pd.Series({f"Gene{chr(97 + i // 26)}{chr(97 + i % 26)}": f"G{i}" for i in range(40)})


def test_mouse_genes_need_orthologs(model, toy_adata, expected, orthologs, tmp_path):
    toy_adata.var_names = orthologs.index
    with pytest.raises(ScfmError, match=r"100% of 40 are written as mouse genes .* table of orthologs"):
        vectors(toy_adata, model)
    same(vectors(toy_adata, model, orthologs=orthologs), expected)
    assert toy_adata.uns["X_scfm"]["genes_of"] == "human orthologs"
    table = pd.DataFrame({"gene": [f"ENSMUSG{i:011d}" for i in range(40)], "human": orthologs.to_numpy()})
    table.to_csv(tmp_path / "o.tsv", sep="\t", index=False)
    toy_adata.var["id"] = (table["gene"] + ".3").to_numpy()
    same(vectors(toy_adata, model, orthologs=tmp_path / "o.tsv", gene_column="id"), expected)


NAMES = {
    "letter case": ([f"g{i}" for i in range(40)], "none of 40 .* 40 are known in another letter case"),
    "suffix": ([f"G{i}-1" for i in range(40)], "40 are known without what follows the last dot, dash or underscore"),
    "prefix": ([f"GRCh38_G{i}" for i in range(40)], "40 are known without what stands before the first underscore"),
    "numbers": ([str(i) for i in range(40)], "100% look like Entrez ids"),
    "transcripts": ([f"ENST{i:011d}.1" for i in range(40)], "Ensembl transcripts"),
    "zebrafish": ([f"ENSDARG{i:011d}" for i in range(40)], "Ensembl ids of another species"),
    "few": ([f"G{i}" for i in range(5)] + [f"LOC{i}" for i in range(35)], "only 5 of 40 .* 12% where 25% are needed"),
    "mouse ids": ([f"ENSMUSG{i:011d}" for i in range(40)], "written as mouse genes"),
}


@pytest.mark.parametrize("case", NAMES)
def test_unknown_names_are_refused_with_the_cause(model, toy_adata, case):
    toy_adata.var_names, words = NAMES[case]
    with pytest.raises(ScfmError, match=words) as error:
        vectors(toy_adata, model)
    assert "\n" not in str(error.value)


def test_a_small_panel_and_a_lower_threshold_will_do(model, toy_adata):
    assert vectors(toy_adata[:, :12], model).shape == (40, 16)
    toy_adata.var_names = NAMES["few"][0]
    assert vectors(toy_adata, model, least_known=0.1).shape == (40, 16)


def test_names_in_a_column_of_var(model, toy_adata, expected):
    toy_adata.var["symbol"] = toy_adata.var_names
    toy_adata.var_names = [str(i) for i in range(40)]
    same(vectors(toy_adata, model, gene_column="symbol"), expected)
    with pytest.raises(ScfmError, match="no column 'name'; choose among symbol"):
        vectors(toy_adata, model, gene_column="name")


def test_a_gene_twice_is_refused(model, toy_adata):
    toy_adata.var_names = ["G0", "ENSG00000000000.4", *toy_adata.var_names[2:]]
    with pytest.raises(ScfmError, match="both gene 'G0'"):
        vectors(toy_adata, model)
