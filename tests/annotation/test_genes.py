"""Names of genes: approved symbol, Ensembl id, previous symbol, alias, in this order."""

import gzip

import pandas as pd
import pytest

from scfm.errors import ScfmError
from scfm.genes import approve, read_hgnc

HEADER = "hgnc_id\tsymbol\tlocus_group\talias_symbol\tprev_symbol\tentrez_id\tensembl_gene_id\tuniprot_ids\n"
ROWS = [
    ("HGNC:1", "AAA1", "protein-coding gene", "OLDA|SHARED", "AAA", "1", "ENSG00000000001", "P00001|P00011"),
    ("HGNC:2", "BBB1", "protein-coding gene", "SHARED|AAA", "BBB", "2", "ENSG00000000002", "P00002"),
    ("HGNC:3", "CCC1", "protein-coding gene", "BBB|BBB1|LNC1", "TWICE", "3", "", ""),
    ("HGNC:4", "DDD1", "protein-coding gene", "", "TWICE", "4", "ENSG00000000004", "P00004"),
    ("HGNC:5", "LNC1", "non-coding RNA", "NCALIAS", "", "5", "ENSG00000000005", ""),
]


@pytest.fixture
def hgnc(tmp_path):
    path = tmp_path / "hgnc.tsv"
    path.write_text(HEADER + "".join("\t".join(row) + "\n" for row in ROWS))
    return read_hgnc(path)


def test_only_protein_coding_rows_are_read(hgnc):
    assert hgnc["gene"].tolist() == ["AAA1", "BBB1", "CCC1", "DDD1"]
    assert hgnc.loc[0, ["ensembl", "entrez", "uniprot"]].tolist() == ["ENSG00000000001", "1", "P00001|P00011"]
    assert hgnc.loc[2, "ensembl"] == ""


def test_a_name_approved_for_another_locus_is_no_alias(hgnc):
    assert hgnc.loc[2, "aliases"] == ["BBB"]
    assert hgnc.loc[3, "aliases"] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AAA1", "AAA1"),
        ("AAA", "AAA1"),
        ("OLDA", "AAA1"),
        ("BBB", "BBB1"),
        ("SHARED", None),
        ("TWICE", None),
        ("ENSG00000000002", "BBB1"),
        ("ENSG00000000002.17", "BBB1"),
        ("ENSG00000009999", None),
        ("LNC1", None),
        ("NCALIAS", None),
        ("aaa1", None),
        ("", None),
    ],
)
def test_levels_of_names(hgnc, name, expected):
    value = approve([name], hgnc)[0]
    assert (value is pd.NA) if expected is None else (value == expected)


def test_order_and_length_are_kept(hgnc):
    result = approve(["DDD1", "?", "AAA", "DDD1"], hgnc)
    assert result.index.equals(pd.RangeIndex(4))
    assert result.fillna("-").tolist() == ["DDD1", "-", "AAA1", "DDD1"]


def test_no_name_gives_an_empty_series(hgnc):
    assert len(approve([], hgnc)) == 0


def test_gzip_is_read_too(tmp_path, hgnc):
    path = tmp_path / "hgnc.txt.gz"
    with gzip.open(path, "wt") as handle:
        handle.write(HEADER + "\t".join(ROWS[0]) + "\n")
    assert read_hgnc(path)["gene"].tolist() == ["AAA1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("symbol\tlocus_group\nA\tprotein-coding gene\n", "column 'ensembl_gene_id' is missing"),
        ("", "cannot be read"),
        (HEADER + "\t".join(ROWS[4]) + "\n", "no row has locus_group"),
        (HEADER + 2 * ("\t".join(ROWS[0]) + "\n"), "'AAA1' stands in two rows"),
    ],
)
def test_wrong_files_are_named(tmp_path, text, message):
    path = tmp_path / "hgnc.tsv"
    path.write_text(text)
    with pytest.raises(ScfmError, match=message):
        read_hgnc(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ScfmError, match="resource 'hgnc'"):
        read_hgnc(tmp_path / "absent.tsv")


def test_damaged_gzip_is_named(tmp_path):
    path = tmp_path / "hgnc.txt.gz"
    path.write_bytes(gzip.compress((HEADER + "\t".join(ROWS[0]) + "\n").encode())[:-12])
    with pytest.raises(ScfmError, match="cannot be read"):
        read_hgnc(path)
