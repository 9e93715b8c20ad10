"""Whether two folders of results hold the same values; what depends on the clock alone is left out."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

TOLERANCE = 1e-6
# Columns and keys that measure a machine.
RUN_TIME = re.compile(r"(.*/)?(s|seconds|\w+_per_s|loader_wait|mfu|peak_memory_mb)")
# Pages that hold times of jobs or of writing: only their presence counts.
PAGES = {".html", ".ipynb", ".pdf"}
# Benchmark files of jobs, and what Snakemake writes into directories.
LEFT_OUT = {"benchmark", ".snakemake_timestamp"}
STORE = "soma"


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two folders, files or SOMA stores: a line for each value; none if they are equal.

    CSV, Parquet, JSON, NumPy, safetensors, h5ad and SOMA are compared by value: numbers to 1e-6, absolute or
    relative, the rest exactly, and the order of rows and columns with them. Other files are compared byte by byte.
    """
    if one.is_file() or one.name == STORE:
        return list(_differ(one, other))
    names, others = _names(one), _names(other)
    missing = [f"{name}: only in {one if name in names else other}" for name in sorted(names ^ others)]
    return missing + [
        f"{name}: {what}" for name in sorted(names & others) for what in _differ(one / name, other / name)
    ]


def _names(folder: Path) -> set[str]:
    """Files below a folder, and SOMA stores as a whole: their own files are named by time and chance."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    kept = [path.parts for path in paths if not LEFT_OUT & set(path.parts)]
    return {"/".join(parts[: parts.index(STORE) + 1] if STORE in parts else parts) for parts in kept}


def _differ(one: Path, other: Path) -> Iterator[str]:
    if one.suffix in PAGES:
        return
    first, second = values(one), values(other)
    if list(first) != list(second):
        yield f"columns or keys {', '.join(sorted(set(first) ^ set(second))) or 'in another order'}"
    for key in [key for key in first if key in second and not RUN_TIME.fullmatch(key)]:
        a, b = np.asarray(first[key]), np.asarray(second[key])
        if a.shape != b.shape or (a.dtype.kind in "biuf") != (b.dtype.kind in "biuf"):
            yield f"{key}: {a.dtype} {a.shape} and {b.dtype} {b.shape}"
        elif a.dtype.kind == "f" or b.dtype.kind == "f":
            same = np.isclose(a, b, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
            if not same.all():
                yield f"{key}: {(~same).sum()} of {same.size} numbers differ, as {a[~same][0]} and {b[~same][0]}"
        elif not pd.Series(a.ravel()).equals(pd.Series(b.ravel())):
            yield f"{key}: differs"


def values(path: Path) -> dict[str, object]:
    """Columns, keys or arrays of a file or SOMA store by name; of an unknown format, its bytes."""
    if path.name == STORE:
        import tiledbsoma

        from scfm.corpus.soma import reading_context

        with tiledbsoma.open(str(path), context=reading_context()) as store:
            return dict(_soma(store, ""))
    if path.suffix == ".csv":
        return dict(pd.read_csv(path).items())
    if path.suffix == ".parquet":
        return dict(pd.read_parquet(path).items())
    if path.suffix == ".json":
        return dict(_json(json.loads(path.read_text()), ""))
    if path.suffix in (".npy", ".npz"):
        loaded = np.load(path)
        return dict(loaded) if path.suffix == ".npz" else {"array": loaded}
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return dict(sorted(load_file(path).items()))
    if path.suffix == ".h5ad":
        return _hdf5(path)
    return {"bytes": path.read_bytes()}


def _json(data: object, key: str) -> Iterator[tuple[str, object]]:
    """Leaves of nested mappings and lists, `a/0/b`."""
    if isinstance(data, dict | list) and data:
        for name, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _json(value, f"{key}/{name}")
    else:
        yield key, np.array(data, dtype=None if isinstance(data, bool | int | float | str) else object)


def _hdf5(path: Path) -> dict[str, object]:
    import h5py

    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def _soma(item, key: str) -> Iterator[tuple[str, object]]:
    """Columns of the data frames and sparse arrays of a collection."""
    import tiledbsoma

    if isinstance(item, tiledbsoma.DataFrame | tiledbsoma.SparseNDArray):
        read = item.read() if isinstance(item, tiledbsoma.DataFrame) else item.read().tables()
        table = read.concat().to_pandas()
        order = [name for name in table if name.startswith("soma_") and name != "soma_data"]
        for name, column in table.sort_values(order).items():
            yield f"{key}/{name}", column
    else:
        for name in sorted(item):
            yield from _soma(item[name], f"{key}/{name}")
