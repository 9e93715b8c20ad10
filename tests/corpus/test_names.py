"""From the features of a store to approved symbols, and what becomes of those that do not agree."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from test_genes_of_corpus import choose, scanned

from scfm.corpus.names import count_names, name_features
from scfm.errors import ScfmError
from scfm.genes import HUMAN, name_genes, read_hgnc, read_other_loci
from scfm.orthologs import read_orthologs

HEADER = "symbol\tlocus_group\talias_symbol\tprev_symbol\tentrez_id\tensembl_gene_id\tuniprot_ids\n"
ROWS = [
    ("CD4", "protein-coding gene", "", "", "1", "ENSG00000000001", ""),
    ("SEPTIN9", "protein-coding gene", "SHARED", "SEPT9", "2", "ENSG00000000002", ""),
    ("MS4A1", "protein-coding gene", "CD20|SHARED", "", "3", "ENSG00000000003", ""),
    ("XIST", "non-coding RNA", "", "", "4", "ENSG00000000004", ""),
]


@pytest.fixture
def path(tmp_path):
    (tmp_path / "hgnc.tsv").write_text(HEADER + "".join("\t".join(row) + "\n" for row in ROWS))
    return tmp_path / "hgnc.tsv"


@pytest.fixture
def hgnc(path):
    return read_hgnc(path)


def features(*rows, organism=HUMAN):
    table = pd.DataFrame(rows, columns=["feature_name", "feature_id"][: len(rows[0])])
    return table.assign(feature_id=table.get("feature_id", table["feature_name"]), organism=organism)


def test_how_each_name_is_mapped(path, hgnc):
    names = {
        "CD4": ("CD4", "symbol"),
        "ENSG00000000002": ("SEPTIN9", "ensembl"),
        "ENSG00000000002.7": ("SEPTIN9", "ensembl"),
        "SEPT9": ("SEPTIN9", "previous"),
        "CD20": ("MS4A1", "alias"),
        "SHARED": (None, "ambiguous"),
        "XIST": (None, "not protein-coding"),
        "ENSG00000000004.1": (None, "not protein-coding"),
        "nonsense": (None, "unmapped"),
        "ENSG00000000009": (None, "unmapped"),
        "": (None, "unmapped"),
    }
    found = name_genes(names, hgnc, read_other_loci(path))
    rows = [(None if pd.isna(gene) else gene, how) for gene, how in found.itertuples(index=False)]
    assert dict(zip(names, rows, strict=True)) == names


@pytest.mark.parametrize(
    ("name", "gene_id", "expected"),
    [
        ("CD4", "ENSG00000000001.3", ("CD4", "symbol", "")),
        ("new name", "ENSG00000000001.3", ("CD4", "ensembl", "")),
        ("SHARED", "ENSG00000000003", ("MS4A1", "ensembl", "")),
        ("SHARED", "SHARED", (None, "ambiguous", "")),
        ("XIST", "ENSG00000000009", (None, "not protein-coding", "")),
        ("strange", "ENSG00000000004", (None, "not protein-coding", "")),
        ("CD4", "ENSG00000000003", ("CD4", "symbol", "MS4A1")),
        ("CD4", "ENSG00000000009", ("CD4", "symbol", "")),
    ],
)
def test_the_name_comes_first_then_the_id(path, hgnc, name, gene_id, expected):
    table = features((name, gene_id), ("MS4A1", "MS4A1"))
    row = name_features(table, hgnc, read_other_loci(path), {}).iloc[0]
    assert (None if pd.isna(row["gene"]) else row["gene"], row["how"], row["disagrees"]) == expected


def test_two_sources_that_give_one_name_two_ids(hgnc):
    table = features(("CD4", "ENSG00000000001"), ("SEPT9", "ENSG00000000002")).assign(
        other_id=["ENSG00000000003", "ENSG00000000009"]
    )
    assert name_features(table, hgnc, frozenset(), {})["disagrees"].tolist() == ["MS4A1", ""]


def test_disagreements_are_counted_or_refused(hgnc):
    store = scanned(["CD4", "MS4A1"], [5, 5], [[1, 1]])
    # One Ensembl id under two symbols.
    store.features["feature_id"] = ["ENSG00000000001", "ENSG00000000001"]
    *_, names = choose(store, hgnc)
    assert names["disagrees"].tolist() == ["", "CD4"]
    assert names["outcome"].tolist() == ["used", "used"]
    with pytest.raises(ScfmError, match="name 'MS4A1' belongs to MS4A1, an id that comes with it to CD4") as raised:
        choose(store, hgnc, disagreements="refuse")
    assert "\n" not in str(raised.value)


def test_collisions_are_resolved_summed_or_refused(hgnc):
    store = scanned(["SEPT9", "SEPTIN9", "CD4", "no gene"], [100, 1, 7, 3], [[1, 1, 1, 1]])
    genes, kept, _, names = choose(store, hgnc)
    assert dict(zip(genes["gene"], genes["n_counts"], strict=True)) == {"CD4": 7, "SEPTIN9": 1}
    assert kept["soma_joinid"].tolist() == [1, 2]
    assert names["outcome"].tolist() == ["collision", "used", "used", "none"]
    genes, kept, _, names = choose(store, hgnc, collisions="sum")
    assert dict(zip(genes["gene"], genes["n_counts"], strict=True)) == {"CD4": 7, "SEPTIN9": 101}
    assert kept[["soma_joinid", "gene"]].to_numpy().tolist() == [[0, 1], [1, 1], [2, 0]]
    assert genes["frequency"].max() <= 1
    assert names["outcome"].tolist() == ["used", "used", "used", "none"]
    with pytest.raises(ScfmError, match=r"several features of SEPTIN9 \(SEPTIN9, SEPT9\)"):
        choose(store, hgnc, collisions="refuse")


def test_features_of_different_datasets_do_not_collide(hgnc):
    store = scanned(["SEPT9", "SEPTIN9"], [100, 1], [[1, 0], [0, 1]])
    for collisions in ("best", "sum", "refuse"):
        genes, *_ = choose(store, hgnc, cells=("d0", "d1"), collisions=collisions)
        assert genes["gene"].tolist() == ["SEPTIN9"]


def test_summed_counts_reach_the_cells(hgnc, tmp_path):
    from scfm.corpus.scatter import gene_of_feature, onto_genes
    from scfm.files import write_json

    genes, kept, *_ = choose(scanned(["SEPT9", "SEPTIN9", "CD4"], [9, 1, 7], [[1, 1, 1]]), hgnc, collisions="sum")
    genes.to_parquet(tmp_path / "genes.parquet")
    kept.to_parquet(tmp_path / "features.parquet")
    write_json(tmp_path / "manifest.json", {"features": 3})
    counts = csr_matrix(np.array([[1, 2, 4]], dtype=np.int32))
    np.testing.assert_array_equal(onto_genes(counts, *gene_of_feature(tmp_path)).toarray(), [[4, 3]])


def test_a_dataset_that_measured_no_gene_of_the_vocabulary(hgnc):
    store = scanned(["CD4", "nonsense"], [5, 5], [[1, 0], [0, 1]])
    with pytest.raises(ScfmError, match="dataset 'd1' measures none of the 1 genes"):
        choose(store, hgnc, cells=("d0", "d1"))
    genes, *_ = choose(store, hgnc)
    assert genes["gene"].tolist() == ["CD4"]


def test_counts_of_the_report(hgnc):
    *_, names = choose(scanned(["SEPT9", "SEPTIN9", "CD4", "?", "!"], [9, 1, 7, 3, 3], [[1, 1, 1, 1, 1]]), hgnc)
    counts = count_names(names).set_index(["how", "outcome"])["features"].to_dict()
    assert counts == {("previous", "collision"): 1, ("symbol", "used"): 2, ("unmapped", "none"): 2}


def test_mouse_genes_become_those_of_their_orthologs(path, hgnc):
    table = features(
        ("Cd4", "ENSMUSG1.2"), ("Ms4a1", "Ms4a1"), ("?", "ENSMUSG9.1"), ("Gm1", "Gm1"), organism="mus_musculus"
    )
    human = features(("Cd4", "Cd4"), ("CD4", "CD4"))
    pairs = pd.Series({"Cd4": "CD4", "Ms4a1": "CD20", "ENSMUSG9": "ENSG00000000002", "Xist": "XIST"})
    both = pd.concat([table, human], ignore_index=True)
    found = name_features(both, hgnc, read_other_loci(path), {"mus_musculus": pairs})
    assert found["gene"].fillna("").tolist() == ["CD4", "MS4A1", "SEPTIN9", "", "", "CD4"]
    assert found["how"].tolist() == ["ortholog", "ortholog", "ortholog", "unmapped", "unmapped", "symbol"]
    assert found["exact"].tolist() == [False] * 5 + [True]
    with pytest.raises(ScfmError, match="--orthologs: none of mus_musculus"):
        name_features(both, hgnc, frozenset(), {})


def test_one_to_one_orthologs_of_the_homology_report(tmp_path):
    rows = [
        ("1", "10090", "Cd4"), ("1", "9606", "CD4"),
        ("2", "10090", "Ccl21a"), ("2", "10090", "Ccl21b"), ("2", "9606", "CCL21"),
        ("3", "10090", "Serpina3"), ("3", "9606", "SERPINA1"), ("3", "9606", "SERPINA2"),
        ("4", "10090", "Gm1"), ("5", "9606", "XCL2"), ("6", "10090", "Ms4a1"), ("6", "9606", "MS4A1"),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["DB Class Key", "NCBI Taxon ID", "Symbol"])
    table.to_csv(tmp_path / "report.rpt.gz", sep="\t", index=False)
    assert read_orthologs(tmp_path / "report.rpt.gz", "mus_musculus").to_dict() == {"Cd4": "CD4", "Ms4a1": "MS4A1"}
    with pytest.raises(ScfmError, match="of mouse, not of macaca_mulatta"):
        read_orthologs(tmp_path / "report.rpt.gz", "macaca_mulatta")


def test_orthologs_of_any_species(tmp_path):
    path = tmp_path / "macaque.tsv"
    path.write_text("gene\thuman\tidentity\nCD4\tCD4\t93\nCD4\tCD4\t93\nA\tX\t1\nA\tY\t1\nB\tZ\t1\nC\tZ\t1\nD\t\t1\n")
    assert read_orthologs(path, "macaca_mulatta").to_dict() == {"CD4": "CD4"}
    for text, message in (("a\tb\n", "columns are a, b"), ("gene\thuman\nA\tX\nA\tY\n", "exactly one human ortholog")):
        path.write_text(text)
        with pytest.raises(ScfmError, match=message):
            read_orthologs(path, "macaca_mulatta")
    with pytest.raises(ScfmError, match="orthologs of macaca_mulatta"):
        read_orthologs(tmp_path / "none.tsv", "macaca_mulatta")


def test_the_real_orthologs(mirror_folder):
    pairs = read_orthologs(mirror_folder / "annotation/mgi_HOM_MouseHumanSequence_2024-11.rpt.gz", "mus_musculus")
    assert 16_000 < len(pairs) < 18_800
    assert pairs[["Cd4", "Trp53", "Ptprc"]].tolist() == ["CD4", "TP53", "PTPRC"]
    assert pairs.is_unique
