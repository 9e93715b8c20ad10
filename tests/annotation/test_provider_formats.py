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
    "tfclass.ttl": read_tfclass,
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


@pytest.mark.parametrize("name", ["go.obo.gz", "a.gaf.gz", "atlas.tsv.gz", "tfclass.csv.gz", "tfclass.ttl.gz"])
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


def test_gaf_keeps_the_human_rows_alone(tmp_path):
    rows = [("A", "enables", "GO:0000001", "IDA"), ("B", "enables", "GO:0000001", "IDA")]
    human, mouse = (gaf_text([row]) for row in rows)
    mouse = mouse.splitlines()[-1].replace("taxon:9606", "taxon:10090") + "\n"
    (tmp_path / "a.gaf").write_text(human.replace("taxon:9606", "taxon:9606|taxon:11676") + mouse)
    assert read_gaf(tmp_path / "a.gaf")["symbol"].tolist() == ["A"]
    (tmp_path / "mouse.gaf").write_text("!gaf-version: 2.2\n" + mouse)
    with pytest.raises(ScfmError, match=r"mouse\.gaf: holds no human gene but taxon:10090; expected .* taxon:9606"):
        read_gaf(tmp_path / "mouse.gaf")
    (tmp_path / "guest.gaf").write_text(human.replace("taxon:9606", "taxon:10090|taxon:9606"))
    with pytest.raises(ScfmError, match=r"holds no human gene but taxon:10090\|taxon:9606"):
        read_gaf(tmp_path / "guest.gaf")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("is_a: GO:0000001 !", "is_a: GO:0000003 !", r"is its own ancestor \(GO:000000(\d) is_a .* is_a GO:000000\1\)"),
        ("is_a: GO:0000001 !", "is_a: GO:0000002 !", r"own ancestor \(GO:0000002 is_a GO:0000002\)"),
        ("is_a: GO:0000001 !", "is_a: GO:0000008 !", "'GO:0000008', parent of 'GO:0000002', is no live term of it"),
        ("is_a: GO:0000001 !", "is_a: GO:0000009 !", "'GO:0000009', parent of 'GO:0000002', is no live term of it"),
    ],
)
def test_an_ontology_with_a_cycle_or_a_gap_is_one_sentence(tmp_path, old, new, message):
    (tmp_path / "go.obo").write_text(OBO.replace(old, new))
    with pytest.raises(ScfmError, match=message) as caught:
        GeneOntology.read(tmp_path / "go.obo")
    assert "\n" not in str(caught.value)


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


# The columns around it, as the releases have them: NX, then nTPM, then nCPM and groups of cell types.
ATLAS_HEADERS = {
    "20": "RNA single cell type distribution\tRNA single cell type specificity score\tRNA single cell type specific NX",
    "23": "RNA single cell type distribution\tRNA single cell type specific nTPM",
    "25": "RNA single cell type specific nCPM\tRNA single cell type group specificity",
}


@pytest.mark.parametrize("release", ATLAS_HEADERS)
def test_protein_atlas_of_each_release(tmp_path, release):
    others = ATLAS_HEADERS[release]
    header = f"Gene\tGene synonym\tEnsembl\tUniprot\tRNA single cell type specificity\t{others}\n"
    values = "\t".join("Cell type enriched" for _ in others.split("\t"))
    (tmp_path / "atlas.tsv").write_text(f"{header}A\tAA, AAA\tENSG1\tP1\tGroup enriched\t{values}\n")
    table = read_protein_atlas(tmp_path / "atlas.tsv")
    assert table.to_dict("records") == [{"symbol": "A", "ensembl": "ENSG1", "specificity": "Group enriched"}]


def test_protein_atlas_that_says_two_things_of_a_gene(tmp_path):
    header, row = "Gene\tEnsembl\tRNA single cell type specificity\n", "A\tENSG1\tGroup enriched\n"
    (tmp_path / "atlas.tsv").write_text(header + 2 * row)
    assert len(read_protein_atlas(tmp_path / "atlas.tsv")) == 1
    (tmp_path / "atlas.tsv").write_text(header + row + row.replace("Group", "Cell type"))
    with pytest.raises(ScfmError, match="gene 'ENSG1' stands in two rows that differ"):
        read_protein_atlas(tmp_path / "atlas.tsv")


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


# Laid out as the provider's tfclass.ttl: factors are subclasses of their species and of a restriction to their genus.
TURTLE = """@prefix : <http://sybig.de/tfclass#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .

<http://sybig.de/tfclass#2> rdf:type owl:Class ; rdfs:label "Zinc-coordinating DNA-binding domains" .
<http://sybig.de/tfclass#2.3.3.1> rdf:type owl:Class ;
    :level "Subfamily" ; rdfs:label "A subfamily" ; rdfs:subClassOf <http://sybig.de/tfclass#2.3.3> .
<http://sybig.de/tfclass#2.3.3.1.1> rdf:type owl:Class ;
    :level "Genus" ; rdfs:label "ZF-1 (ZNFA)" ; rdfs:subClassOf <http://sybig.de/tfclass#2.3.3.1> .
<http://sybig.de/tfclass#1.1.1.1.1> rdf:type owl:Class ;
    :level "Genus" ; rdfs:label "Mouse only" ; rdfs:subClassOf <http://sybig.de/tfclass#1.1.1.1> .
:tf_9606 rdf:type owl:Class ; rdfs:label "Homo sapiens" .
:Homo_sapiens_ZNF1 rdf:type owl:Class ;
    rdfs:label "ZNF1" ;
    rdfs:subClassOf :tf_9606 , [ rdf:type owl:Restriction ;
        owl:onProperty :contains ; owl:someValuesFrom <http://sybig.de/tfclass#2.3.3.1.1> ] ;
    :xref "ENSEMBL_GeneID:ENSG00000000007" , "UNIPROT:P00007" , "TRANSFAC:T00001" .
:Mus_musculus_Znf1 rdf:type owl:Class ;
    rdfs:label "Znf1" ;
    rdfs:subClassOf :tf_10090 , [ rdf:type owl:Restriction ;
        owl:onProperty :contains ; owl:someValuesFrom <http://sybig.de/tfclass#1.1.1.1.1> ] ;
    :xref "ENSEMBL_GeneID:ENSMUSG00000000007" .
"""


def test_tfclass_turtle_gives_the_genera_of_human_factors(tmp_path):
    (tmp_path / "t.ttl.gz").write_bytes(gzip.compress(TURTLE.encode()))
    assert set(read_tfclass(tmp_path / "t.ttl.gz").itertuples(index=False, name=None)) == {
        (2, "first_label", "ZF-1"), (2, "label", "ZNFA"), (2, "label", "ZNF1"), (2, "ensembl", "ENSG00000000007"),
        (2, "uniprot", "P00007"),
    }  # fmt: skip


def test_tfclass_turtle_without_a_human_factor(tmp_path):
    (tmp_path / "t.ttl").write_text(TURTLE.replace("tf_9606", "tf_9598"))
    with pytest.raises(ScfmError, match=r"t\.ttl: no genus found"):
        read_tfclass(tmp_path / "t.ttl")


@pytest.mark.parametrize("content", [b"<!doctype html>\n", b"a,b\nTP53,1\n", b'{"gene": 1}'])
def test_a_list_of_something_else_is_one_sentence(tmp_path, content):
    (tmp_path / "h.txt").write_bytes(content)
    with pytest.raises(ScfmError, match=r"h\.txt: '.*' is no gene symbol"):
        read_housekeeping(tmp_path / "h.txt")


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x80"])
def test_a_list_without_names_is_one_sentence(tmp_path, content):
    (tmp_path / "h.txt").write_bytes(content)
    with pytest.raises(ScfmError, match=r"h\.txt"):
        read_housekeeping(tmp_path / "h.txt")


def test_housekeeping_takes_the_first_word_of_a_line(tmp_path):
    (tmp_path / "h.txt").write_text("AAAS \tNM_015665\nAAMP\n\nAAAS \tNM_2\n")
    assert read_housekeeping(tmp_path / "h.txt") == ["AAAS", "AAMP"]
