"""The handmade annotation as files, vocabulary, settings and sources."""

from dataclasses import replace

import pandas as pd
import pytest
from handmade_annotation import ATLAS, GAF, HGNC, OBO, gaf_text, lines

from scfm.annotation import AnnotationSettings, Files
from scfm.annotation.sources import Contents, Sources
from scfm.settings import parse


@pytest.fixture
def files(tmp_path):
    texts = {
        "hgnc": "symbol\tlocus_group\tensembl_gene_id\tuniprot_ids\talias_symbol\tprev_symbol\tentrez_id\n"
        + lines((s, "protein-coding gene", e, u, a, p, "1") for s, e, u, a, p in HGNC),
        "gene_ontology": OBO,
        "go_annotation": gaf_text(GAF),
        "tfclass": "2.3.3.1.1;ZNF1 KIN1\n1.1.1.1.1;Jun MTA1\n2.3;not a genus\n",
        "protein_atlas": lines(ATLAS),
        "housekeeping": "MTA1 \tNM_1\nOLDKIN \tNM_2\n\nREG1\n",
    }
    endings = {"gene_ontology": "obo", "tfclass": "csv", "housekeeping": "txt"}
    paths = {name: tmp_path / f"{name}.{endings.get(name, 'tsv')}" for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text)
    return Files(**paths)


@pytest.fixture
def genes():
    return pd.DataFrame({"gene": [row[0] for row in HGNC], "ensembl": [row[1] for row in HGNC]})


@pytest.fixture
def settings():
    """Settings of one family rule and given readings; the rest falls to 'other'."""

    def make(rule=None, **readings):
        rows = [{"order": "1", "name": "hit", "rule": rule}] if rule else []
        rows.append({"order": "2", "name": "other", "rule": {"rest": True}})
        return parse(AnnotationSettings, {"families": rows, "programs": rows, **readings}, "test")

    return make


@pytest.fixture
def sources(files, genes, settings):
    """The handmade sources under given readings, with single files replaced."""

    def read(replaced=None, **readings):
        return Sources.join(genes["gene"], Contents.read(replace(files, **(replaced or {}))), settings(**readings))

    return read
