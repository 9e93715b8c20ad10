"""What rules look genes up in: each source turned into bool vectors over the genes of a vocabulary."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from scfm.annotation.absent import NotInFile
from scfm.annotation.readers.gene_ontology import GeneOntology
from scfm.annotation.readers.go_annotation import read_gaf
from scfm.annotation.readers.housekeeping import read_housekeeping
from scfm.annotation.readers.protein_atlas import read_protein_atlas
from scfm.annotation.readers.tfclass import read_tfclass
from scfm.annotation.settings import AnnotationSettings
from scfm.genes import approve, read_hgnc


@dataclass(frozen=True)
class Files:
    """Paths of the annotation files."""

    hgnc: Path
    gene_ontology: Path
    go_annotation: Path
    tfclass: Path
    protein_atlas: Path
    housekeeping: Path


READERS = {
    "hgnc": read_hgnc,
    "gene_ontology": GeneOntology.read,
    "go_annotation": read_gaf,
    "tfclass": read_tfclass,
    "protein_atlas": read_protein_atlas,
    "housekeeping": read_housekeeping,
}


@dataclass(frozen=True)
class Contents:
    """What stands in the annotation files, before any reading of it."""

    files: Files
    """Where it was read from."""
    hgnc: pd.DataFrame
    gene_ontology: GeneOntology
    go_annotation: pd.DataFrame
    tfclass: pd.DataFrame
    protein_atlas: pd.DataFrame
    housekeeping: list[str]

    @classmethod
    def read(cls, files: Files) -> "Contents":
        """Read all files.

        Raises:
            ScfmError: a file is missing or of another format.
        """
        return cls(files, **{name: read(getattr(files, name)) for name, read in READERS.items()})

    def with_file(self, name: str, path: Path) -> "Contents":
        """The same with another file in the place of `name`, a field of `Files`.

        Raises:
            ScfmError: the file is missing or of another format.
        """
        return replace(self, files=replace(self.files, **{name: path}), **{name: READERS[name](path)})


@dataclass(frozen=True)
class Sources:
    """Everything that rules ask about the genes of a vocabulary; every vector is in the vocabulary's order."""

    genes: pd.Series
    """Approved symbols [genes]."""
    ontology: GeneOntology
    relations: tuple[str, ...]
    """GO relations followed down."""
    annotated: pd.DataFrame
    """Direct GO annotation: row (position of the gene), term (live GO id)."""
    superclasses: dict[int, np.ndarray]
    """TFClass superclass to bool [genes]."""
    specificity: np.ndarray
    """HPA single-cell type specificity, str [genes], "" where the atlas does not know the gene."""
    housekeeping: np.ndarray
    """Bool [genes]."""

    def has_go(self, terms: Iterable[str], descendants: bool) -> np.ndarray:
        """Bool [genes]: annotated to one of `terms`, or to one of their descendants if asked.

        Raises:
            ScfmError: a term is not in the ontology.
        """
        if descendants:
            wanted = set().union(*(self.ontology.descendants(term, self.relations) for term in terms))
        else:
            wanted = {self.ontology.resolve(term) for term in terms}
        found = np.zeros(len(self.genes), dtype=bool)
        found[self.annotated.loc[self.annotated["term"].isin(wanted), "row"]] = True
        return found

    def has_superclass(self, numbers: Iterable[int]) -> np.ndarray:
        """Bool [genes]: in one of the TFClass superclasses."""
        none = np.zeros(len(self.genes), dtype=bool)
        return np.logical_or.reduce([self.superclasses.get(number, none) for number in numbers])

    @classmethod
    def join(cls, genes: pd.Series, contents: Contents, settings: AnnotationSettings) -> "Sources":
        """Join the files to the vocabulary under the readings of the settings.

        Args:
            genes: approved symbols [genes], unique.

        Raises:
            NotInFile: a reading needs what a file does not hold.
        """
        hgnc = contents.hgnc
        genes = genes.reset_index(drop=True)
        atlas = contents.protein_atlas
        gene = approve(atlas["ensembl"], hgnc).fillna(approve(atlas["symbol"], hgnc))
        specificity = pd.Series(atlas["specificity"].to_numpy(), index=gene)
        listed = pd.Series(contents.housekeeping)
        if settings.housekeeping_by == "alias":
            listed = approve(listed, hgnc).dropna()
        return cls(
            genes=genes,
            ontology=contents.gene_ontology,
            relations=settings.relations,
            annotated=_annotated(genes, contents, settings.evidence),
            superclasses=_superclasses(genes, contents, settings.tfclass_by),
            specificity=genes.map(specificity[~gene.duplicated().to_numpy()]).fillna("").to_numpy(dtype=str),
            housekeeping=genes.isin(listed).to_numpy(),
        )


def _annotated(genes: pd.Series, contents: Contents, evidence: tuple[str, ...] | None) -> pd.DataFrame:
    """Direct annotation of the vocabulary to live terms; terms that the ontology does not hold are left out."""
    table, ontology = contents.go_annotation, contents.gene_ontology
    if evidence is not None:
        there = ", ".join(table["evidence"].cat.categories)
        table = table[table["evidence"].isin(evidence)]
        if table.empty:
            raise NotInFile(
                f"evidence: no row of {contents.files.go_annotation} has one of the codes {', '.join(evidence)}, only "
                f"{there}; correct the codes"
            )
    # Names are looked up once each, on the categories; -1 marks what the vocabulary does not hold.
    position = pd.Index(genes).get_indexer(approve(table["symbol"].cat.categories, contents.hgnc))
    live = table["term"].cat.categories.map(ontology.primary)
    row, term = position[table["symbol"].cat.codes], live.take(table["term"].cat.codes)
    joined = pd.DataFrame({"row": row, "term": pd.Categorical(term)})
    return joined[(joined["row"] >= 0) & joined["term"].notna()].drop_duplicates(ignore_index=True)


def _superclasses(genes: pd.Series, contents: Contents, by: str) -> dict[int, np.ndarray]:
    """Bool [genes] per TFClass superclass, by label or by cross-reference."""
    table, hgnc = contents.tfclass, contents.hgnc
    if by != "cross_reference":
        kinds = ("first_label", "label") if by == "any_label" else ("first_label",)
        table = table[table["kind"].isin(kinds)].assign(gene=lambda rows: rows["name"])
    else:
        table = table[table["kind"].isin(("uniprot", "ensembl"))]
        if table.empty:
            raise NotInFile(
                f"tfclass_by: {contents.files.tfclass} has no cross-references; use 'first_label', or a release as an "
                "ontology"
            )
        pairs = hgnc.assign(uniprot=hgnc["uniprot"].str.split("|")).explode("uniprot")
        by_uniprot = pairs[pairs["uniprot"] != ""].drop_duplicates("uniprot", keep=False).set_index("uniprot")["gene"]
        table = table.assign(
            gene=table["name"].map(by_uniprot).fillna(approve(table["name"], hgnc).set_axis(table.index))
        )
    return {number: genes.isin(rows["gene"]).to_numpy() for number, rows in table.groupby("superclass")}
