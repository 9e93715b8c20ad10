"""What the schemes are drawn from: the public functions, and the parts of a trained network by its own weights."""

import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scfm.errors import ScfmError
from scfm.files import must_exist

PARTS = {
    "embedding.gene": "gene embedding",
    "embedding.value": "value encoder",
    "embedding.special": "special tokens",
    "encoder.blocks": "encoder block",
    "encoder.norm": "final norm",
    "decoder": "decoder",
    "gene_decoder": "decoder of genes",
    "pooler": "pooler",
}
"""Where the names of weights begin, and what that part is called; label heads have a part each."""


@dataclass(frozen=True)
class Part:
    """One part of a network."""

    name: str
    parameters: int
    shapes: dict[str, tuple[int, ...]]
    """Name within the part to the shape of the weights; of the last block where there are several, which is like all
    but perhaps the first."""
    repeats: int = 1
    """How many blocks there are."""


def public_api() -> dict[str, list[str]]:
    """Names of `scfm.__all__` with their parameters and the first sentence of what they do."""
    import scfm

    found = {}
    for name in scfm.__all__:
        function = getattr(scfm, name)
        parameters = [p.name for p in inspect.signature(function).parameters.values()]
        found[name] = [", ".join(parameters), (inspect.getdoc(function) or "").partition("\n")[0]]
    return found


def weight_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights in a safetensors file, from its header: its length in 8 bytes, then JSON.

    Raises:
        ScfmError: the file is missing or no safetensors file.
    """
    try:
        with must_exist(path, "the weights of a model").open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return {name: tuple(about["shape"]) for name, about in header.items() if name != "__metadata__"}
    except (ValueError, TypeError, KeyError, MemoryError, OverflowError) as error:
        raise ScfmError(f"{path}: not a safetensors file; train the run again") from error


def network_parts(shapes: Mapping[str, tuple[int, ...]]) -> list[Part]:
    """The parts of a network in the order of the data; every weight belongs to one."""
    groups: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        prefix = next((p for p in PARTS if name.startswith(f"{p}.")), None)
        prefix = prefix or ".".join(name.split(".")[: 2 if name.startswith("label_heads.") else 1])
        groups.setdefault(prefix, {})[name.removeprefix(f"{prefix}.")] = shape
    order = [*PARTS, *sorted(set(groups) - set(PARTS))]
    return [_part(prefix, groups[prefix]) for prefix in order if prefix in groups]


def _part(prefix: str, shapes: dict[str, tuple[int, ...]]) -> Part:
    name = PARTS.get(prefix) or prefix.replace("label_heads.", "head: ").replace("_", " ")
    parameters = sum(map(math.prod, shapes.values()))
    if prefix != "encoder.blocks":
        return Part(name, parameters, shapes)
    repeats = 1 + max(int(key.partition(".")[0]) for key in shapes)
    last = {key.partition(".")[2]: shape for key, shape in shapes.items() if int(key.partition(".")[0]) == repeats - 1}
    return Part(name, parameters, last, repeats)
