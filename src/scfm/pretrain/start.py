"""A training that begins with the weights of a trained run."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from scfm.corpus import Reader
from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.models.prepared import Prepared
from scfm.pretrain.settings import Run

FILES = ("model.safetensors", "config.json", "genes.parquet", "labels.json")


def start_from(folder: Path, run: Run, corpus: Reader, prepared: Prepared) -> str:
    """Load the weights of the run that a run begins with; those that it lacks stay random.

    The digest of `prepared` then stands for them too, so that no checkpoint of another start is resumed.

    Args:
        folder: its model directory.
        prepared: the network at its random start.

    Returns:
        A line that says what was taken and what was not.

    Raises:
        ScfmError: a file is missing or damaged; it is another run, of another system, other genes or labels; a weight
            has another shape, or none of its weights fits.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    for name in FILES:
        must_exist(folder / name, "part of the model directory to begin with")
    try:
        about, labels = (json.loads((folder / name).read_text()) for name in ("config.json", "labels.json"))
        genes = pd.read_parquet(folder / "genes.parquet")["gene"].tolist()
        content = (folder / "model.safetensors").read_bytes()
        weights = load(content)
        _must_belong(folder, about, genes, labels, run, corpus, prepared)
    except (ValueError, KeyError, TypeError, OSError, SafetensorError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ScfmError(f"{folder}: the model directory is damaged ({reason}); train its run again") from error
    own = prepared.network.state_dict()
    _must_fit(folder, own, weights)
    prepared.network.load_state_dict(own | {name: tensor for name, tensor in weights.items() if name in own})
    if prepared.after_start:
        with torch.no_grad():
            prepared.after_start()
    prepared.digest += hashlib.sha256(content).digest()
    line = f"begins with the weights of '{about['run']}', seed {about['seed']}"
    missing, unused = own.keys() - weights.keys(), weights.keys() - own.keys()
    line += f"; not in them, hence new: {_parts(missing)}" if missing else ""
    return line + (f"; not taken: {_parts(unused)}" if unused else "")


def _must_belong(
    folder: Path, about: dict, genes: list[str], labels: dict, run: Run, corpus: Reader, prepared: Prepared
) -> None:
    """Raise a sentence unless the directory is of the run that is named, on the same genes and labels."""
    if run.start is None or about["run"] != run.start.run:
        named = f"'{run.start.run}'" if run.start else "no run"
        raise ScfmError(f"{folder}: is a model of run '{about['run']}', but start names {named}; give that one's")
    if about["settings"]["system"] != run.system:
        raise ScfmError(
            f"{folder}: is a model of the system '{about['settings']['system']}', and weights for '{run.system}' are "
            "needed; start from a run of that"
        )
    if genes != corpus.genes["gene"].tolist():
        raise ScfmError(
            f"{folder}: its {len(genes):,} genes are not the {len(corpus.genes):,} of this corpus in their order; "
            "train its run on this corpus"
        )
    for group, names in prepared.classes.items():
        before = labels.get(group, {}).get("classes", names)
        if before != names:
            raise ScfmError(
                f"{folder}: label group '{group}' has {len(before):,} labels there and {len(names):,} others here; "
                "leave out the head of one run, or give both the same cells"
            )
    if prepared.tree and labels.get("cell_type", {}).get("names") not in (None, prepared.tree.to_json()["names"]):
        raise ScfmError(f"{folder}: its cell types are others than those of this corpus; train its run on this corpus")
    for key, value in prepared.about.items():
        if about.get(key, value) != json.loads(json.dumps(value)):
            raise ScfmError(f"{folder}: '{key}' in config.json is another than that of this run's cells; see start")


def _must_fit(folder: Path, own: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
    """Raise a sentence unless the weights that both have are some, and of one shape."""
    shared = [name for name in own if name in weights]
    for name in shared:
        if own[name].shape != weights[name].shape:
            there, here = (tuple(table[name].shape) for table in (weights, own))
            raise ScfmError(
                f"{folder}: weight '{name}' has the shape {there} there and {here} here; give both runs the same sizes"
            )
    if not shared:
        raise ScfmError(f"{folder}: none of its weights is one of this run's; start from a run of the same network")


def _parts(names: Iterable[str]) -> str:
    """Top-level parts of the network with the number of their weights."""
    counts = Counter(name.split(".")[0] for name in names)
    return ", ".join(f"{part} ({count:,})" for part, count in sorted(counts.items()))
