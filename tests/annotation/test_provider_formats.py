"""Readers of the providers' formats: what they read, and how they name a wrong file."""

import gzip
import zipfile

import pytest
from handmade_annotation import GAF, OBO, gaf_text

from scfm.annotation.readers.gene_ontology import GeneOntology
from scfm.annotation.readers.go_annotation import read_gaf
from scfm.annotation.readers.housekeeping import read_housekeeping
from scfm.annotation.readers.protein_atlas import read_protein_atlas
from scfm.annotation.readers.tfclass import read_tfclass
from scfm.errors import ScfmError

READERS = {
    "go.obo": GeneOntology.read,
    "a.gaf": read_gaf,
    "atlas.tsv": read_protein_atlas,
    "tfclass.csv": read_tfclass,
    "tfclass.obo": read_tfclass,
    "genes.txt": read_housekeeping,
}


@pytest.mark.parametrize("name", READERS)
def test_a_missing_file_names_its_resource(tmp_path, name):
    with pytest.raises(ScfmError, match="file not found; check the resource"):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", [name for name in READERS if name != "genes.txt"])
@pytest.mark.parametrize(
    "content", [b"", b"\x89HDF\r\n\xff\xfe\x00 neither text nor table \x80", b"some\nprose;here\n"]
)
def test_a_file_of_another_kind_is_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScfmError, match=name) as caught:
        READERS[name](tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["go.obo.gz", "a.gaf.gz", "atlas.tsv.gz", "tfclass.csv.gz"])
def test_a_damaged_archive_is_one_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(b"!gaf-version: 2.2\n" * 1000)[:-20])
    with pytest.raises(ScfmError, match="cannot be read"):
        READERS[name.removesuffix(".gz")](tmp_path / name)


def test_gaf_gzipped_and_not_are_the_same(tmp_path):
    (tmp_path / "a.gaf").write_text(gaf_text(GAF))
    (tmp_path / "a.gaf.gz").write_bytes(gzip.compress(gaf_text(GAF).encode()))
    plain, packed = read_gaf(tmp_path / "a.gaf"), read_gaf(tmp_path / "a.gaf.gz")
    assert plain.equals(packed)
    assert plain.columns.tolist() == ["symbol", "term", "evidence"]
    assert len(plain) == len(GAF) - 2


def test_gaf_keeps_quotes_and_repeats_nothing(tmp_path):
    rows = [('A"', "enables", "GO:0000001", "IDA"), ('B"', "enables", "GO:0000001", "IDA")]
    (tmp_path / "a.gaf").write_text(gaf_text(rows * 2))
    assert read_gaf(tmp_path / "a.gaf")["symbol"].tolist() == ['A"', 'B"']


def test_gaf_of_version_1_is_refused(tmp_path):
    (tmp_path / "a.gaf").write_text(gaf_text(GAF).replace("2.2", "1.0"))
    with pytest.raises(ScfmError, match=r"expected GAF 2.2"):
        read_gaf(tmp_path / "a.gaf")


def test_descendants_include_the_term(tmp_path):
    (tmp_path / "go.obo").write_text(OBO)
    ontology = GeneOntology.read(tmp_path / "go.obo")
    assert ontology.descendants("GO:0000002", ["is_a"]) == {"GO:0000002", "GO:0000003"}
    assert ontology.descendants("GO:0000003", ["is_a"]) == {"GO:0000003"}
    assert ontology.resolve("GO:0000022") == "GO:0000002"


def test_protein_atlas_as_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "atlas.tsv.zip", "w") as archive:
        archive.writestr(
            "proteinatlas.tsv", "Gene\tEnsembl\tRNA single cell type specificity\tx\nA\tENSG1\tGroup enriched\t1\n"
        )
    assert read_protein_atlas(tmp_path / "atlas.tsv.zip").values.tolist() == [["A", "ENSG1", "Group enriched"]]


def test_protein_atlas_without_its_column(tmp_path):
    (tmp_path / "atlas.tsv").write_text("Gene\tEnsembl\nA\tENSG1\n")
    with pytest.raises(ScfmError, match="column 'RNA single cell type specificity' is missing"):
        read_protein_atlas(tmp_path / "atlas.tsv")


def test_tfclass_labels_of_both_releases(tmp_path):
    (tmp_path / "t.csv").write_text("2.3.3.1.1;XBP-1 XBP1\n0.0.1.0.1;TCF25 NULP1\n1.1;class\n")
    table = read_tfclass(tmp_path / "t.csv")
    assert table.values.tolist() == [
        [2, "first_label", "XBP-1"], [2, "label", "XBP1"], [0, "first_label", "TCF25"], [0, "label", "NULP1"],
    ]  # fmt: skip
    (tmp_path / "t.tsv").write_text("")
    with pytest.raises(ScfmError, match="unknown TFClass format"):
        read_tfclass(tmp_path / "t.tsv")


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x80"])
def test_a_list_without_names_is_one_sentence(tmp_path, content):
    (tmp_path / "h.txt").write_bytes(content)
    with pytest.raises(ScfmError, match=r"h\.txt"):
        read_housekeeping(tmp_path / "h.txt")


def test_housekeeping_takes_the_first_word_of_a_line(tmp_path):
    (tmp_path / "h.txt").write_text("AAAS \tNM_015665\nAAMP\n\nAAAS \tNM_2\n")
    assert read_housekeeping(tmp_path / "h.txt") == ["AAAS", "AAMP"]
