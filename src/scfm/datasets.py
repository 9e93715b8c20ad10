"""The sheet of deposited datasets: what each file's columns mean."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, field_validator

from scfm.errors import ScfmError
from scfm.settings import Settings
from scfm.sheet import CommaList, Maybe, read_sheet

UNKNOWN = "unknown"
OBS = (
    "dataset_id",
    "organism",
    "donor_id",
    "tissue",
    "tissue_general",
    "batch",
    "assay",
    "condition",
    "disease",
    "sex",
    "cell_type",
    "cell_type_ontology_term_id",
    "split",
)
"""Columns of `scfm.deposit.read_deposit(...).obs`; `split` is empty and the others are "unknown" where the deposit
says nothing. `organism` is the species as the Census writes it: homo_sapiens."""

Task = Literal[
    "integration",
    "clustering",
    "probe",
    "ontology",
    "heldout",
    "finetune",
    "moa",
    "disease",
    "perturbation",
    "donor",
    "cytokine",
    "denoise",
    "imputation",
]
EMBEDDING_TASKS = ("integration", "clustering", "probe", "heldout", "moa", "donor")
"""Tasks that score embeddings; each is a module and a function of it, a command, a slice of the settings and a folder
of results of this name."""
COUNT_TASKS = ("denoise", "imputation")
"""Tasks that score expected counts, of systems that give them; each is a command, a slice of the settings and a folder
of results of this name."""
TRAINED_ANEW = ("perturbation",)
"""Tasks for which a model is trained anew on the dataset without what is held out, so that it may be of the corpus."""
OF_DONORS = ("donor", "cytokine")
"""Tasks of labels that no training reads, so that they may be asked of a dataset of the corpus, and marked for it."""
WITHOUT_VECTORS = (*COUNT_TASKS, *TRAINED_ANEW, "finetune")
"""Tasks that read no embeddings."""
HELD_OUT = ("heldout", "finetune")
"""Tasks that need some batches held out."""
REGRESSION, CLASSIFICATION = "regression", "classification"
"""What is predicted of a donor: a number, or a class."""
TARGET = "target_"
"""Before the name of a donor target: the column of a prepared dataset that holds it."""


class Dataset(Settings):
    """One row of `config/datasets.tsv`; an empty field means that the fact is not known or not there."""

    name: str
    """Unique name, used for files, settings and tables."""
    resource: str = ""
    """Key of config/resources.yaml; `file:` and the path of a local file or of a folder of a deposit; `synthetic:` and
    a file of the synthetic census; or `planted:` and the kind of a dataset with a planted answer."""
    title: str = ""
    """What the cells are, in a few words."""
    study: str = ""
    """Publication that the cells come from; files of one study never stand on two sides of a split."""
    accession: str = ""
    """Accession of the original deposit."""
    url: str = ""
    """Where the deposit is described or to be had; the file that a study fetches is in config/resources.yaml."""
    census_dataset_ids: Annotated[tuple[str, ...], CommaList] = ()
    """dataset_ids under which the Census holds these cells or others of the same donors."""
    doi: Annotated[tuple[str, ...], CommaList] = ()
    """DOIs of the publications that the cells come from, as 10.1038/nbt.4042."""
    licence: str = ""
    """Licence of the file, where stated."""
    organism: str = ""
    """Scientific name of the species of the cells that are kept."""
    values: Annotated[Literal["counts", "tpm", "lognorm"] | None, Maybe] = None
    """What the matrix holds: raw counts, linear transcripts per million, or log1p of normalised counts."""
    matrix: Annotated[Literal["X", "raw"], BeforeValidator(lambda value: value or "X")] = "X"
    """Where the matrix stands in the h5ad: in X or in raw.X."""
    batch_column: str = ""
    """obs column with the technical batch; empty where there is none that means one."""
    label_column: str = ""
    """obs column with the cell type."""
    ontology_column: str = ""
    """obs column with Cell Ontology ids, or a map `label=CL:0000000; label=...` from the label column."""
    donor_column: str = ""
    """obs column with the donor."""
    sample_column: str = ""
    """obs column that divides the cells of a donor into samples (a condition, a visit) that the task `donor` represents
    one by one; empty: a donor is one sample."""
    donor_targets: Annotated[tuple[str, ...], CommaList] = ()
    """What the task `donor` predicts, one value for each sample: obs columns with their kind, as `age:regression` or
    `disease:classification`."""
    split_column: str = ""
    """obs column with a published train/dev/test split."""
    condition_column: str = ""
    """obs column with the condition, such as disease and control; a column `condition` needs no mention."""
    drug_column: str = ""
    """obs column with the drug that a cell was given."""
    mechanism_column: str = ""
    """obs column with the drug's mechanism of action."""
    catalog_column: str = ""
    """obs column with the drug's catalogue number, by which the compound library knows it."""
    perturbation_column: str = ""
    """obs column with what was done to a cell: a gene, drug or cytokine, or several joined by `separator`."""
    control: Annotated[tuple[str, ...], CommaList] = ()
    """Values of that column that mean no perturbation."""
    separator: str = ""
    """What joins the partners of a combination in that column; empty where there are none."""
    background_column: str = ""
    """obs column with the background that perturbed cells are compared within, such as the line or the donor; empty:
    the cell type."""
    keep: str = ""
    """Filter on cells, `column == value` or `column != value`, joined by ` and `; numbers also compare with <, <=, >
    and >=. Empty keeps all."""
    panel: bool = False
    """The file holds only a chosen part of the genes."""
    table14: Annotated[bool | None, Maybe] = None
    """Whether the dataset itself is in the paper's table 14; empty where that is not known."""
    stand_in: str = ""
    """The dataset of this sheet that stands in where this one has no file."""
    tasks: Annotated[tuple[Task, ...], CommaList] = ()
    """Tasks that the dataset is fit for."""
    note: str = ""
    """What a reader of the tables must know about this dataset."""

    @field_validator("doi")
    @classmethod
    def _bare_dois(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not re.fullmatch(r"10\.\d{4,9}/\S+", name):
                raise ValueError(f"'{name}' is no DOI; expected 10., a number, a slash and a name, without https")
        return names

    @field_validator("donor_targets")
    @classmethod
    def _targets_have_a_kind(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        for text in targets:
            column, _, kind = text.rpartition(":")
            if not column or kind not in (REGRESSION, CLASSIFICATION):
                raise ValueError(f"'{text}' is no target; write a column, a colon and {REGRESSION} or {CLASSIFICATION}")
        return targets

    @property
    def species(self) -> str:
        """The organism as the Census writes it: homo_sapiens."""
        return species_of(self.organism)

    @property
    def gene_species(self) -> str:
        """The species whose genes the deposit names."""
        return self.species


def species_of(organism: str) -> str:
    """A scientific name as the Census writes it."""
    return "_".join(organism.lower().split())


def read_datasets(path: Path) -> dict[str, Dataset]:
    """Read the sheet of datasets, tab-separated with one header line, as name -> row.

    Raises:
        ScfmError: what `read_sheet` raises, no dataset is named, or a stand-in is none.
    """
    sheet = read_sheet(path, Dataset, "dataset")
    if not sheet:
        raise ScfmError(f"{path}: no dataset found; expected a header line and one line for each dataset")
    for dataset in sheet.values():
        if dataset.stand_in and not getattr(sheet.get(dataset.stand_in), "resource", ""):
            raise ScfmError(
                f"{path}: '{dataset.stand_in}', which stands in for '{dataset.name}', is no dataset of this sheet "
                "with a file; name one that is"
            )
    return sheet
