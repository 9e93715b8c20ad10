"""Scoring an embedding of one's own, outside any study."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, get_args

from scfm.benchmarks.embed import embed
from scfm.benchmarks.embedders import Embedder, open_embedder
from scfm.benchmarks.precomputed import Precomputed
from scfm.benchmarks.settings import Benchmarks, Scvi
from scfm.benchmarks.split import hold_out
from scfm.benchmarks.task_settings import Classifier
from scfm.datasets import EMBEDDING_TASKS, Dataset
from scfm.deposit import check_values, common_obs
from scfm.errors import ScfmError
from scfm.expression import VALUES
from scfm.settings import parse

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

ALL = "all"


def bench(
    adata: "AnnData",
    task: str | Sequence[str] = ALL,
    obsm: str | Sequence[str] = (),
    *,
    label: str = "cell_type",
    batch: str = "",
    donor: str = "",
    split: str = "",
    against: str | Path | None = None,
    values: str = "counts",
    settings: dict | str = "{}",
    name: str = "embedding",
) -> "pd.DataFrame":
    """Score embeddings in `adata.obsm` by the tasks of the study.

    Args:
        task: names among `EMBEDDING_TASKS`; `all`: those that the cells allow.
        obsm: keys of obsm; may be left out where there is one.
        label, batch, donor, split: obs columns; cells whose label is missing or "unknown" are left out.
        against: to be scored beside: `pca` or `scvi` (of adata.X), a file of vectors of the same cells, or a model
            directory.
        values: what adata.X holds, for `against`: counts, tpm or lognorm.
        settings: as under `benchmarks` in a study file, e.g. {"probe": {"classifiers": ["lr"]}}.
        name: of the embedding, in the table.

    Returns:
        Tidy rows, columns `scfm.benchmarks.results.COLUMNS`; attrs["left_out"]: task that the cells do not allow to
        the reason. `side_by_side` makes a small table of it.

    Raises:
        ScfmError: an unknown task, key or column (with those that there are), cell names that occur twice, NaN in an
            embedding, no X for `against`, a task that the cells do not allow, or no task that they do.
    """
    import pandas as pd

    asked = (task,) if isinstance(task, str) else tuple(task)
    tasks, slices = _tasks(asked), parse(Benchmarks, settings, "--settings")
    roles = {"label_column": label, "batch_column": batch, "donor_column": donor, "split_column": split}
    models: dict[str, Embedder] = {name: Precomputed.of(Path(name), adata.obs_names, _chosen(adata, obsm, name))}
    if against is not None:
        baselines = {"pca": slices.pca, "scvi": slices.scvi or Scvi()}
        own = baselines[str(against)].model_dump() if str(against) in baselines else {}
        models[_name(Path(against), name)] = open_embedder(str(against), own)
    reads_matrix = not all(isinstance(model, Precomputed) for model in models.values())
    tables, left_out = [], {}
    with TemporaryDirectory() as folder:
        cells = _prepared(adata, Dataset(name=name, **roles), tasks, values, reads_matrix)
        if "heldout" in tasks:
            with _leaving_out("heldout", left_out, asked):
                cells.obs["split"] = hold_out(cells.obs, slices.split, name)
        files = [_embedded(model, run, cells, Path(folder)) for run, model in models.items()]
        for one in (one for one in tasks if one not in left_out):
            with _leaving_out(one, left_out, asked):
                tables += [_score(one, file, slices) for file in files]
    if not tables:
        reasons = "; ".join(f"{one}: {left_out[one]}" for one in tasks)
        raise ScfmError(f"{name}: the cells allow no task ({reasons}); name other columns")
    tidy = pd.concat(tables, ignore_index=True)
    tidy.attrs["left_out"] = left_out
    return tidy


@contextmanager
def _leaving_out(task: str, left_out: dict[str, str], asked: tuple[str, ...]) -> Iterator[None]:
    """Note why the cells do not allow a task; one that was asked for by its name is an error."""
    try:
        yield
    except ScfmError as error:
        if task in asked:
            raise
        left_out[task] = str(error)


def side_by_side(tidy: "pd.DataFrame") -> "pd.DataFrame":
    """The main metrics of what `bench` returned: rows (task, metric), one column for each embedding."""
    import pandas as pd

    one_classifier = tuple(f"_{name}" for name in get_args(Classifier))
    main = tidy[(tidy["fold"] == "") & ~tidy["metric"].str.endswith(one_classifier)]
    main = main.assign(embedding=main["run"].where(main["run"] == main["pooling"], main["run"] + " " + main["pooling"]))
    keys = ["task", "metric"]
    main = main.drop_duplicates([*keys, "embedding"])
    wide = main.pivot(index=keys, columns="embedding", values="value").rename_axis(columns=None)
    return wide.loc[pd.MultiIndex.from_frame(main[keys].drop_duplicates()), list(main["embedding"].unique())]


def _tasks(asked: tuple[str, ...]) -> tuple[str, ...]:
    """Names of tasks, in the order of the study."""
    for name in asked:
        if name not in (ALL, *EMBEDDING_TASKS):
            raise ScfmError(f"task: '{name}' is not known; choose among {', '.join((ALL, *EMBEDDING_TASKS))}")
    return tuple(name for name in EMBEDDING_TASKS if name in asked or ALL in asked)


def _chosen(adata: "AnnData", obsm: str | Sequence[str], name: str) -> dict[str, object]:
    """Key of obsm to its table."""
    keys = (obsm,) if isinstance(obsm, str) else tuple(obsm)
    there = ", ".join(adata.obsm) or "none"
    if not keys and len(adata.obsm) != 1:
        raise ScfmError(f"{name}: obsm holds {len(adata.obsm)} embeddings where one can be meant; name one of: {there}")
    for key in keys:
        if key not in adata.obsm:
            raise ScfmError(f"{name}: no '{key}' in obsm; name one of: {there}")
    return {key: adata.obsm[key] for key in keys or adata.obsm}


def _name(against: Path, taken: str) -> str:
    """What a second embedder is called in the table: pca, a file's stem, or run/seed of a model directory."""
    name = "/".join(against.parts[-2:]) if against.is_dir() else against.stem
    return name if name != taken else str(against)


def _prepared(adata: "AnnData", dataset: Dataset, tasks: Sequence[str], values: str, with_matrix: bool) -> "AnnData":
    """The cells in the form that `embed` reads; nobody here knows what an embedding's model was trained on."""
    import anndata
    from scipy.sparse import csr_matrix

    path = Path(dataset.name)
    obs = common_obs(adata.obs, dataset, path).rename(columns={"dataset_id": "dataset", "donor_id": "donor"})
    matrix = None
    if with_matrix:
        if values not in VALUES:
            raise ScfmError(f"values: '{values}' is not known; choose among {', '.join(VALUES)}")
        if adata.X is None:
            raise ScfmError(f"{path}: the cells have no expression matrix in X, which another model reads; add it")
        matrix = csr_matrix(adata.X, dtype="float32")
        check_values(matrix.data, dataset.model_copy(update={"values": values}), path)
    facts = {"name": dataset.name, "study": "", "organism": "", "values": values, "panel": False, "note": ""}
    facts |= {"tasks": ",".join(tasks), "single_batch": bool(obs["batch"].nunique() == 1)}
    facts |= {"contaminated": "unknown", "contaminated_reason": "outside any study"}
    prepared = anndata.AnnData(matrix, obs.assign(contaminated=False), adata.var[[]] if with_matrix else None)
    prepared.uns["scfm"] = facts
    return prepared


def _embedded(model: Embedder, run: str, cells: "AnnData", folder: Path) -> Path:
    """File of the vectors of one model, as the tasks read it."""
    source, out = folder / "cells.h5ad", folder / f"{len(list(folder.iterdir()))}.h5ad"
    cells.write_h5ad(source)
    embed(model, [source], run, 0).write_h5ad(out)
    return out


def _score(task: str, path: Path, settings: Benchmarks) -> "pd.DataFrame":
    return getattr(import_module(f"scfm.benchmarks.{task}"), task)(path, getattr(settings, task), "bench")
