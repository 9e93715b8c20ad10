"""The sheet of deposited datasets: what each file's columns mean."""

import csv
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, field_validator

from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.settings import Settings, parse

UNKNOWN = "unknown"
OBS = (
    "dataset_id",
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
says nothing."""

Task = Literal["integration", "probe", "ontology"]


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _comma_list(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Maybe = BeforeValidator(_none_if_empty)


class Dataset(Settings):
    """One row of `config/datasets.tsv`; an empty field means that the fact is not known or not there."""

    name: str
    """Unique name, used for files, settings and tables."""
    resource: str = ""
    """Key of config/resources.yaml; `file:` and the path of a local file or 10x folder; or `synthetic:` and a file of
    the synthetic census."""
    title: str = ""
    """What the cells are, in a few words."""
    study: str = ""
    """Publication that the cells come from; files of one study never stand on two sides of a split."""
    accession: str = ""
    """Accession of the original deposit."""
    census_dataset_ids: Annotated[tuple[str, ...], BeforeValidator(_comma_list)] = ()
    """dataset_ids under which the Census holds these cells or others of the same donors."""
    doi: Annotated[tuple[str, ...], BeforeValidator(_comma_list)] = ()
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
    split_column: str = ""
    """obs column with a published train/dev/test split."""
    keep: str = ""
    """Filter on cells, `column == value`; empty keeps all."""
    panel: bool = False
    """The file holds only a chosen part of the genes."""
    table14: Annotated[bool | None, Maybe] = None
    """Whether the dataset itself is in the paper's table 14; empty where that is not known."""
    tasks: Annotated[tuple[Task, ...], BeforeValidator(_comma_list)] = ()
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

    @property
    def species(self) -> str:
        """The organism as the Census writes it: homo_sapiens."""
        return "_".join(self.organism.lower().split())


def read_datasets(path: Path) -> dict[str, Dataset]:
    """Read the sheet of datasets, tab-separated with one header line, as name -> row.

    Raises:
        ScfmError: the file is missing or empty, a column is unknown or missing, a value is wrong, or a name
            occurs twice.
    """
    path = must_exist(path, "sheet of datasets")
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t", restkey="(surplus field)", restval=None))
    if not rows:
        raise ScfmError(f"{path}: no dataset found; expected a header line and one line for each dataset")
    sheet: dict[str, Dataset] = {}
    for line, row in enumerate(rows, start=2):
        where = f"{path} line {line}"
        if None in row.values() or "(surplus field)" in row:
            raise ScfmError(f"{where}: number of fields differs from the header's; separate fields with one tab each")
        dataset = parse(Dataset, row, where)
        if dataset.name in sheet:
            raise ScfmError(f"{where}: dataset '{dataset.name}' occurs twice; names must be unique")
        sheet[dataset.name] = dataset
    return sheet
