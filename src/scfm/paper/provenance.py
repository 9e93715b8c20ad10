"""How the results came about: tables of the corpus, trainings, times, versions, seeds and settings."""

import json
import platform
from hashlib import sha256
from importlib import metadata
from pathlib import Path

import pandas as pd

from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.paper.tables.hyperparameters import flatten
from scfm.paper.tidy import read_table
from scfm.settings import as_json

PACKAGES = (
    "scfm",
    "torch",
    "lightning-fabric",
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "anndata",
    "scanpy",
    "tiledbsoma",
    "igraph",
    "pynndescent",
    "snakemake",
    "papermill",
)
SEED = r"(?:^|\.)seeds?(?:\.\d+)?$"
"""The end of a key that holds a seed."""
DIGITS = 12


def any_table(path: Path) -> pd.DataFrame:
    """A CSV or TSV as it is, a JSON mapping as keys and values.

    Raises:
        ScfmError: the file is missing or cannot be read.
    """
    return pairs(read_json(path)) if path.suffix == ".json" else read_table(path, [], "a table")


def read_json(path: Path) -> dict:
    """Read a JSON file.

    Raises:
        ScfmError: the file is missing or not JSON.
    """
    try:
        return json.loads(must_exist(path, "a JSON file").read_text())
    except json.JSONDecodeError as error:
        raise ScfmError(f"{path}: not valid JSON ({error}); make the file again") from error


def pairs(data: dict) -> pd.DataFrame:
    """Nested settings as the columns key and value."""
    return pd.DataFrame(flatten(data).items(), columns=["key", "value"])


def seeds(settings: dict) -> pd.DataFrame:
    """The settings that are seeds, as `pairs`."""
    table = pairs(settings)
    return table[table.key.str.contains(SEED)].reset_index(drop=True)


def config_digests(configs: dict[tuple[str, str], Path], settings: dict) -> dict[str, dict[str, str]]:
    """What each run was made from, by `run/seed`, or by its name alone where every seed shares it.

    A digest is the first 12 digits of the SHA-256 of the settings as JSON with sorted keys: of the file config.json
    of each model, and of the study's settings for concatenations and for baselines that are fit on each dataset.

    Args:
        configs: (run, seed) to config.json of the model directory.
        settings: the study's settings.

    Raises:
        ScfmError: a config.json is missing, not JSON, or holds no settings.
    """
    found = {}
    for (run, seed), path in configs.items():
        config = read_json(path)
        if "settings" not in config:
            raise ScfmError(f"{path}: key 'settings' is missing; train the run again")
        found[f"{run}/{seed}"] = {"digest": _digest(config["settings"]), "file": str(path)}
    benchmarks = settings.get("benchmarks", {})
    baselines = {name: benchmarks[name] for name in ("pca", "scvi") if benchmarks.get(name)}
    for name, own in (settings.get("concatenations", {}) | baselines).items():
        found[name] = {"digest": _digest(own), "file": ""}
    return found


def _digest(settings: object) -> str:
    return sha256(as_json(settings).encode()).hexdigest()[:DIGITS]


def versions() -> pd.DataFrame:
    """Python and the packages that the results depend on; empty where one is not installed here."""
    installed = dict.fromkeys(PACKAGES, "")
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    rows = [("python", platform.python_version()), *installed.items()]
    return pd.DataFrame(rows, columns=["package", "version"])
