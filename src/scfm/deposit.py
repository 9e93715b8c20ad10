"""Reading one deposited dataset into common form, whole or in parts."""

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scfm.datasets import OBS, TARGET, UNKNOWN, Dataset
from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.geo import read_folder

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

CONDITION = re.compile(r"(\S.*?)\s*(==|!=|<=|>=|<|>)\s*(\S.*)")
"""One condition of a filter on cells: column, comparison, value."""
COMPARE = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
PERTURBATION = ("drug", "mechanism", "catalog", "perturbation", "background")
"""Columns of obs that only datasets of perturbed cells have."""


def read_deposit(path: Path, dataset: Dataset) -> "AnnData":
    """Read one deposited h5ad, or folder of text files (see `scfm.geo`), into common form.

    Returns:
        AnnData: X CSR float32 [cells, genes] as deposited (counts, TPM or log-normalised, see `dataset.values`);
        obs with the columns `OBS`, strings, those of `PERTURBATION` that the dataset names, sample if it names one, and
        `target_<column>` for each of its donor targets; var_names as
        deposited, var["ensembl"] ("" where unknown) if the deposit has Ensembl ids; obsm["spatial"] if there.

    Raises:
        ScfmError: missing or unreadable file, missing column, no cell kept, duplicate genes, negative values,
            non-integer values where counts are promised, an ontology id that does not look like one.
    """
    if Path(path).is_dir():
        adata = read_folder(path, lambda obs: kept_cells(obs, dataset, path))
    else:
        adata = read_h5ad(path, "dataset")
    kept = kept_cells(adata.obs, dataset, path)
    matrix, genes = _matrix(adata, dataset, path)
    matrix = matrix[np.flatnonzero(kept)]
    check_values(matrix.data, dataset, path)
    return _common(adata[kept], matrix, genes, dataset, path)


def read_h5ad(path: Path, what: str, backed: bool = False) -> "AnnData":
    """Read an h5ad whole, or all of it but the matrices X and raw, which stay in the file.

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
            return anndata.read_h5ad(path, backed="r" if backed else None)
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
        ScfmError: the filter is none, its column is missing, a number is expected, or no cell is kept.
    """
    kept = np.ones(len(obs), dtype=bool)
    for condition in dataset.keep.split(" and ") if dataset.keep else ():
        parts = CONDITION.fullmatch(condition.strip())
        if not parts:
            raise ScfmError(
                f"dataset '{dataset.name}': keep '{dataset.keep}' is not a filter; write 'column == value', "
                "'column != value', 'column < number' and the like, joined by ' and '"
            )
        column, operator, value = parts.groups()
        kept &= _satisfied(_column(obs, column, "keep", path), operator, value, dataset)
    if not kept.any():
        reason = f"no cell is left by '{dataset.keep}'" if dataset.keep else "no cell"
        raise ScfmError(f"{path}: {reason}; expected at least one, correct the file or the dataset's 'keep'")
    return kept


def _satisfied(values: "pd.Series", operator: str, wanted: str, dataset: Dataset) -> np.ndarray:
    """Bool [cells]: text or number equal to what is wanted, or number below or above it; what is no number is not."""
    import pandas as pd

    numbers, number = pd.to_numeric(values, errors="coerce"), pd.to_numeric(wanted, errors="coerce")
    if operator in ("==", "!="):
        return (((values == wanted) | (numbers == number)) == (operator == "==")).to_numpy()
    if np.isnan(number):
        raise ScfmError(
            f"dataset '{dataset.name}': keep compares with '{wanted}' by '{operator}'; expected a number, or '=='"
        )
    return COMPARE[operator](numbers, number).to_numpy()


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
    obs = common_obs(adata.obs, dataset, path)
    for role in PERTURBATION:
        if column := getattr(dataset, f"{role}_column"):
            obs[role] = _column(adata.obs, column, role, path).to_numpy()
    if dataset.sample_column:
        obs["sample"] = _column(adata.obs, dataset.sample_column, "sample", path).to_numpy()
    for column in (text.rpartition(":")[0] for text in dataset.donor_targets):
        obs[f"{TARGET}{column}"] = _column(adata.obs, column, "donor target", path).to_numpy()
    common = anndata.AnnData(X=matrix, obs=obs, var=var)
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
    common["dataset_id"], common["organism"], common["split"] = dataset.name, dataset.species or UNKNOWN, ""
    for name in ("tissue", "tissue_general", "assay", "condition", "disease", "sex"):
        if name in obs:
            common[name] = _column(obs, name, name, path).to_numpy()
    roles = {
        "batch": dataset.batch_column,
        "cell_type": dataset.label_column,
        "donor_id": dataset.donor_column,
        "split": dataset.split_column,
        "condition": dataset.condition_column,
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
