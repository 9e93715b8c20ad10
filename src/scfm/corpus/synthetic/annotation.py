"""Annotation files of the synthetic census, in the formats of their providers.

Symbols and ontology terms are real; which gene is annotated with what is made up, except where a rule goes by
symbol. Families are dealt out in turn within each planted program, so that programs and families are independent.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from scfm.corpus.synthetic.genes import DATA

FAMILY_TERMS = [
    "GO:0042612",
    "GO:0000981",
    "GO:0097730",
    "GO:0015629",
    "GO:0003774",
    "GO:0051015",
    "GO:0003925",
    "GO:0001727",
    "GO:0003993",
    "GO:0098690",
    "GO:0098609",
    "GO:0008009",
    "GO:0008083",
    "GO:0001608",
    "GO:0005261",
    "GO:0022857",
    "GO:0006284",
    "GO:0061630",
    "GO:0008238",
    "GO:0062023",
    "GO:0003727",
    "GO:0016788",
    "GO:0016746",
    "GO:0004497",
    "GO:0016830",
    "GO:0016879",
    "GO:0016859",
]
"""One term for each family that goes by GO, mostly below the family's own term."""
SUPERCLASSES = (2, 3, 1, 6)
"""TFClass superclasses of the made-up factors: zinc-coordinating, helix-turn-helix, basic, immunoglobulin fold."""
LATENT_TERM = {"cell_cycle": "GO:0007049", "dissociation": "GO:0009408"}
NON_CODING = 12
"""Genes of the store that HGNC lists as non-coding RNA."""


def non_coding() -> list[str]:
    """Symbols of the non-coding genes of the store."""
    return [f"SYNR{i + 1:04d}" for i in range(NON_CODING)]


def write_annotation(genes: pd.DataFrame, folder: Path) -> None:
    """Write hgnc.tsv, gene_ontology.obo, go_annotation.gaf, tfclass.csv, protein_atlas.tsv, housekeeping.txt and
    cell_ontology.obo for the genes of `gene_table`."""
    folder.mkdir()
    for name in ("gene_ontology.obo", "cell_ontology.obo"):
        (folder / name).write_text((DATA / name).read_text())
    families = _families(genes)
    _hgnc(genes).to_csv(folder / "hgnc.tsv", sep="\t", index=False)
    _atlas(genes).to_csv(folder / "protein_atlas.tsv", sep="\t", index=False)
    (folder / "go_annotation.gaf").write_text(_gaf(genes, families))
    (folder / "tfclass.csv").write_text(_tfclass(genes, families))
    housekeeping = genes["gene"][genes["role"] == "housekeeping"]
    (folder / "housekeeping.txt").write_text("".join(f"{gene} \tNM_{i:06d}\n" for i, gene in enumerate(housekeeping)))


def _families(genes: pd.DataFrame) -> pd.Series:
    """GO term, "TF:<superclass>", or "" for each gene, in turn within the planted program."""
    options = np.array([*FAMILY_TERMS, *(f"TF:{number}" for number in SUPERCLASSES), "", "", ""])
    turn = genes.groupby("planted").cumcount().to_numpy()
    family = pd.Series(options[turn % len(options)], index=genes.index)
    return family.where(~genes["role"].isin(["housekeeping", "mitochondrial", "silent"]), "")


def _hgnc(genes: pd.DataFrame) -> pd.DataFrame:
    coding = pd.DataFrame(
        {"symbol": genes["gene"], "prev_symbol": genes["previous"], "ensembl_gene_id": genes["ensembl"]}
    )
    coding = coding.assign(locus_group="protein-coding gene", locus_type="gene with protein product")
    other = pd.DataFrame({"symbol": non_coding(), "prev_symbol": "", "ensembl_gene_id": ""})
    table = pd.concat([coding, other.assign(locus_group="non-coding RNA", locus_type="RNA, long non-coding")])
    number = np.arange(1, len(table) + 1)
    table = table.assign(
        hgnc_id=[f"HGNC:{900_000 + i}" for i in number],
        name="gene of the synthetic census",
        status="Approved",
        alias_symbol=[f"SYNALIAS{i}" for i in number],
        entrez_id=900_000_000 + number,
        uniprot_ids=[f"SYN{i:05d}" for i in number],
    )
    first = ["hgnc_id", "symbol", "name", "locus_group", "locus_type", "status", "alias_symbol", "prev_symbol"]
    return table[[*first, "entrez_id", "ensembl_gene_id", "uniprot_ids"]]


def _atlas(genes: pd.DataFrame) -> pd.DataFrame:
    identity = (genes["planted"] == "type") | (genes["role"] == "marker")
    group = np.where(np.arange(len(genes)) % 2 == 0, "Cell type enriched", "Group enriched")
    return pd.DataFrame(
        {
            "Gene": genes["gene"],
            "Ensembl": genes["ensembl"],
            "RNA tissue specificity": "Low tissue specificity",
            "RNA single cell type specificity": np.where(identity, group, "Low cell type specificity"),
            "RNA single cell type distribution": np.where(identity, "Detected in some", "Detected in many"),
        }
    )


def _gaf(genes: pd.DataFrame, families: pd.Series) -> str:
    """GAF 2.2; one gene carries a NOT row, which readers must pass over."""
    rows = list(zip(genes.index, families.where(families.str.startswith("GO:"), ""), strict=True))
    rows += list(zip(genes.index, genes["latent"].map(LATENT_TERM).fillna(""), strict=True))
    lines = ["!gaf-version: 2.2", "!annotation of the synthetic census, no statement about real genes"]
    lines += [_gaf_row(i, genes["gene"][i], "involved_in", term) for i, term in rows if term]
    last = genes.index[-1]
    lines.append(_gaf_row(last, genes["gene"][last], "NOT|involved_in", LATENT_TERM["cell_cycle"]))
    return "\n".join(lines) + "\n"


def _gaf_row(number: int, gene: str, qualifier: str, term: str) -> str:
    fields = ["UniProtKB", f"SYN{number + 1:05d}", gene, qualifier, term, "GO_REF:0000000", "IEA", "", "P", "", ""]
    return "\t".join([*fields, "protein", "taxon:9606", "20250101", "synthetic", "", ""])


def _tfclass(genes: pd.DataFrame, families: pd.Series) -> str:
    factors = families[families.str.startswith("TF:")].str.removeprefix("TF:")
    number = factors.groupby(factors).cumcount() + 1
    rows = zip(factors, number, genes.loc[factors.index, "gene"], strict=True)
    return "".join(f"{superclass}.1.1.1.{i};{gene}\n" for superclass, i, gene in rows)
