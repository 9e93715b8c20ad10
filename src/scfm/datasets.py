"""Deposited datasets: what each file's columns mean, and reading one into common form."""

import csv
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, field_validator

from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.settings import Settings, parse

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

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
"""Columns of `read_deposit(...).obs`; `split` is empty and the others are "unknown" where the deposit says nothing."""

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
    """Key of config/resources.yaml; `package:` and a path inside an installed package; `file:` and the path of a local
    file, or of a 10x folder; or `synthetic:` and a file of the synthetic census."""
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


def package_path(dataset: Dataset) -> Path:
    """Path of a dataset that comes with an installed package (`resource` is `package:<package>/<path>`).

    Raises:
        ScfmError: the dataset does not come with a package, or that package does not hold the file.
    """
    from importlib.resources import files

    if not dataset.resource.startswith("package:"):
        raise ScfmError(f"dataset '{dataset.name}': it comes with no package; name its h5ad file")
    package, _, inside = dataset.resource.removeprefix("package:").partition("/")
    try:
        path = Path(str(files(package))) / inside
    except ModuleNotFoundError as error:
        raise ScfmError(f"dataset '{dataset.name}': package '{package}' is not installed; install it") from error
    return must_exist(path, f"dataset '{dataset.name}' of package '{package}'")


def read_deposit(path: Path, dataset: Dataset) -> "AnnData":
    """Read one deposited h5ad into common form.

    Returns:
        AnnData: X CSR float32 [cells, genes] as deposited (counts, TPM or log-normalised, see `dataset.values`);
        obs with the columns `OBS`, strings; var_names as deposited, var["ensembl"] ("" where unknown) if the
        deposit has Ensembl ids; obsm["spatial"] if there.

    Raises:
        ScfmError: missing or unreadable file, missing column, no cell kept, duplicate genes, negative values,
            non-integer values where counts are promised, an ontology id that does not look like one.
    """
    adata = read_h5ad(path, "dataset")
    kept = kept_cells(adata.obs, dataset, path)
    matrix, genes = _matrix(adata, dataset, path)
    matrix = matrix[np.flatnonzero(kept)]
    check_values(matrix.data, dataset, path)
    return _common(adata[kept], matrix, genes, dataset, path)


def read_h5ad(path: Path, what: str) -> "AnnData":
    """Read an h5ad whole.

    Raises:
        ScfmError: the file is missing, truncated or of another format.
    """
    import anndata

    path = must_exist(path, what)
    try:
        with warnings.catch_warnings():
            # An old deposit is read all the same.
            warnings.simplefilter("ignore", anndata.OldFormatWarning)
            warnings.filterwarnings("ignore", "Moving element", FutureWarning)
            return anndata.read_h5ad(path)
    except Exception as error:
        # h5py and anndata raise many kinds for a file that is truncated or of another format.
        raise ScfmError(
            f"{path}: not a readable h5ad file ({' '.join(str(error).split())}); replace the file"
        ) from error


def _column(obs: "pd.DataFrame", column: str, role: str, path: Path) -> "pd.Series":
    """One obs column as strings, "unknown" for missing values."""
    if column not in obs:
        known = ", ".join(map(str, obs.columns)) or "none"
        raise ScfmError(f"{path}: obs column '{column}' ({role}) not found; name one of: {known}")
    values = obs[column].astype(object)
    return values.where(values.notna(), UNKNOWN).astype(str)


def kept_cells(obs: "pd.DataFrame", dataset: Dataset, path: Path) -> np.ndarray:
    """Bool [cells]: the cells that the dataset's filter keeps.

    Raises:
        ScfmError: the filter is none, its column is missing, or no cell is kept.
    """
    kept = np.ones(len(obs), dtype=bool)
    if dataset.keep:
        column, operator, value = dataset.keep.partition("==")
        if not operator or not column.strip() or not value.strip():
            raise ScfmError(f"dataset '{dataset.name}': keep '{dataset.keep}' is not a filter; write 'column == value'")
        kept = (_column(obs, column.strip(), "keep", path) == value.strip()).to_numpy()
    if not kept.any():
        reason = f"no cell is left by '{dataset.keep}'" if dataset.keep else "no cell"
        raise ScfmError(f"{path}: {reason}; expected at least one, correct the file or the dataset's 'keep'")
    return kept


def _matrix(adata: "AnnData", dataset: Dataset, path: Path) -> tuple:
    """(CSR float32 [cells, genes], var) of the place that the dataset names."""
    from scipy.sparse import csr_matrix

    source = adata.raw if dataset.matrix == "raw" else adata
    if source is None or source.X is None:
        raise ScfmError(f"{path}: no matrix in {dataset.matrix}; correct 'matrix' of dataset '{dataset.name}'")
    check_names(source.var.index, path)
    return csr_matrix(source.X, dtype=np.float32), source.var


def check_names(names: "pd.Index", path: Path) -> None:
    """Raise a sentence if a gene of a deposit occurs twice.

    Raises:
        ScfmError: it does.
    """
    if not names.is_unique:
        twice = names[names.duplicated()][0]
        raise ScfmError(f"{path}: gene '{twice}' occurs more than once; expected unique names, merge or rename them")


def check_values(values: np.ndarray, dataset: Dataset, path: Path) -> None:
    """Raise a sentence if the matrix's values [nnz] are not what the sheet of datasets promises.

    Raises:
        ScfmError: they are not finite, negative, or not whole numbers where counts are promised.
    """
    if dataset.values is None:
        raise ScfmError(f"dataset '{dataset.name}': 'values' is empty; say counts, tpm or lognorm")
    if not np.isfinite(values).all():
        raise ScfmError(f"{path}: the matrix holds NaN or infinite values; correct the file")
    if (values < 0).any():
        raise ScfmError(
            f"{path}: the matrix holds negative values ({values.min():g}) where {dataset.values} are promised; "
            "name the unscaled matrix"
        )
    if dataset.values == "counts" and (values != np.rint(values)).any():
        example = values[values != np.rint(values)][0]
        raise ScfmError(
            f"{path}: the matrix holds non-integer values ({example:g}) where counts are promised; "
            "name the raw counts or set 'values' to what they are"
        )


def _common(adata: "AnnData", matrix: object, genes: "pd.DataFrame", dataset: Dataset, path: Path) -> "AnnData":
    import anndata
    import pandas as pd

    var = pd.DataFrame(index=genes.index.astype(str))
    ids = ensembl_ids(genes)
    if ids is not None:
        var["ensembl"] = ids
    common = anndata.AnnData(X=matrix, obs=common_obs(adata.obs, dataset, path), var=var)
    if "spatial" in adata.obsm:
        common.obsm["spatial"] = np.asarray(adata.obsm["spatial"])
    return common


def common_obs(obs: "pd.DataFrame", dataset: Dataset, path: Path) -> "pd.DataFrame":
    """The columns `OBS`, strings, of a deposit's obs.

    Raises:
        ScfmError: a column that the dataset names is missing, or an ontology id does not look like one.
    """
    import pandas as pd

    common = pd.DataFrame(UNKNOWN, index=obs.index.astype(str), columns=list(OBS))
    common["dataset_id"], common["split"] = dataset.name, ""
    for name in ("tissue", "tissue_general", "assay", "condition", "disease", "sex"):
        if name in obs:
            common[name] = _column(obs, name, name, path).to_numpy()
    roles = {
        "batch": dataset.batch_column,
        "cell_type": dataset.label_column,
        "donor_id": dataset.donor_column,
        "split": dataset.split_column,
    }
    for name, column in roles.items():
        if column:
            common[name] = _column(obs, column, name, path).to_numpy()
    common["cell_type_ontology_term_id"] = _ontology_ids(obs, common["cell_type"], dataset, path)
    return common


def ensembl_ids(var: "pd.DataFrame") -> np.ndarray | None:
    """Ensembl ids of a deposit's genes, "" where unknown; None if no column holds any."""
    for column in ("ensembl", "ensembl_id"):
        if column in var:
            ids = var[column].astype(object).fillna("").astype(str)
            return ids.where(ids.str.startswith("ENS"), "").to_numpy()
    return None


def _ontology_ids(obs: "pd.DataFrame", labels: "pd.Series", dataset: Dataset, path: Path) -> np.ndarray:
    """Cell Ontology id of each cell, from a column or from a map of labels."""
    source = dataset.ontology_column
    if not source:
        return np.full(len(labels), UNKNOWN, dtype=object)
    if "=" in source:
        pairs = [part.rpartition("=") for part in source.split(";") if part.strip()]
        ids = labels.map({label.strip(): term.strip() for label, _, term in pairs}).fillna(UNKNOWN)
    else:
        ids = _column(obs, source, "ontology ids", path)
    strange = [term for term in sorted(set(ids)) if term != UNKNOWN and not re.fullmatch(r"CL:\d{7}", term)]
    if strange:
        raise ScfmError(
            f"{path}: '{strange[0]}' in '{source}' is not a Cell Ontology id; expected CL: and seven digits, "
            f"or '{UNKNOWN}'"
        )
    return ids.to_numpy(dtype=object)
