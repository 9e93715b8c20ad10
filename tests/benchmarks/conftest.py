from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

FACTS = {
    "study": "",
    "organism": "Homo sapiens",
    "values": "counts",
    "panel": False,
    "tasks": "integration,probe,ontology",
    "single_batch": False,
    "contaminated": "false",
    "contaminated_reason": "",
    "note": "",
}


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Path]:
    """Write a prepared dataset of Poisson counts; keywords replace obs columns or facts."""

    def write(name: str, cells: int = 60, genes: int = 30, matrix: np.ndarray | None = None, **changes: object) -> Path:
        rng = np.random.default_rng(0)
        matrix = rng.poisson(1.0, (cells, genes)) if matrix is None else matrix
        obs = pd.DataFrame({"dataset": name}, index=[f"c{i}" for i in range(len(matrix))])
        defaults = {"cell_type": "T", "cell_type_ontology_term_id": "unknown", "batch": "b", "donor": "d", "split": ""}
        for column, default in {**defaults, "condition": "none", "contaminated": False}.items():
            obs[column] = changes.get(column, default)
        adata = anndata.AnnData(csr_matrix(matrix.astype(np.float32)), obs=obs)
        adata.var_names = [f"G{i}" for i in range(adata.n_vars)]
        adata.uns["scfm"] = {"name": name} | {key: changes.get(f"uns_{key}", value) for key, value in FACTS.items()}
        path = tmp_path / f"{name}.h5ad"
        adata.write_h5ad(path)
        return path

    return write


@pytest.fixture
def embeddings(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of embeddings of one dataset: vectors [cells, width], labels, batches."""

    def write(
        vectors: np.ndarray, labels: object, batches: object = "b", tasks: str = "integration,clustering,probe"
    ) -> Path:
        obs = pd.DataFrame(index=[f"d/c{i}" for i in range(len(vectors))])
        obs["dataset"], obs["cell_type"], obs["batch"] = "d", labels, batches
        uns = {"run": "r", "seed": 3, "datasets": {"d": {**FACTS, "name": "d", "tasks": tasks}}}
        path = tmp_path / "embeddings.h5ad"
        anndata.AnnData(obs=obs, obsm={"cls": vectors.astype(np.float32)}, uns=uns).write_h5ad(path)
        return path

    return write
