"""The sheet of precomputed embeddings: vectors of other models, made elsewhere."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from scfm.settings import Settings
from scfm.sheet import CommaList, read_sheet


class Vectors(Settings):
    """Where the vectors and the cells' names stand in a file of embeddings."""

    vectors: Annotated[tuple[str, ...], CommaList] = ()
    """h5ad: keys of obsm, each a pooling in the tables; parquet: columns of the one vector, `emb_*` for all that begin
    so; empty: every key, or every column but that of the names."""
    cell_column: str = ""
    """Parquet: column of the cells' names; empty: the index that pandas wrote."""


class EmbeddingFile(Vectors):
    """One row of `config/embeddings.tsv`; it adds a model to every table of its studies."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Unique name, used for files and tables."""
    resource: str = ""
    """Key of config/resources.yaml, or `file:` and the path of a local h5ad or parquet; empty: no file yet, so that no
    table shows the model."""
    title: str = ""
    """Which model, in a few words."""
    doi: Annotated[tuple[str, ...], CommaList] = ()
    """DOIs of the model's publications."""
    licence: str = ""
    """Licence of the file, where stated."""
    studies: Annotated[tuple[str, ...], CommaList] = ()
    """Studies that evaluate the model; empty: every one, so that the file must hold the cells of all their datasets."""
    note: str = ""
    """What a reader of the tables must know about this model."""


def read_embedding_files(path: Path) -> dict[str, EmbeddingFile]:
    """Read the sheet of embeddings, tab-separated with one header line, as name -> row.

    Raises:
        ScfmError: what `read_sheet` raises.
    """
    return read_sheet(path, EmbeddingFile, "embedding")
