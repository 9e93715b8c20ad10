"""Single-cell transcriptomic foundation models: embed and annotate cells, and the stages of a reproducible study."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

_PUBLIC = {
    "annotate": "scfm.api",
    "bench": "scfm.benchmarks.bench",
    "calibrate": "scfm.api",
    "embed": "scfm.api",
    "explain": "scfm.api",
    "finetune": "scfm.api",
    "from_pretrained": "scfm.api",
    "load": "scfm.model",
    "predict": "scfm.api",
    "push_to_hub": "scfm.api",
}
__all__ = [
    "annotate",
    "bench",
    "calibrate",
    "embed",
    "explain",
    "finetune",
    "from_pretrained",
    "load",
    "predict",
    "push_to_hub",
]

try:
    __version__ = version("scfm")
except PackageNotFoundError:  # run from a clone that is not installed
    __version__ = "0+clone"


def __getattr__(name: str):
    """Import the public functions when they are first used; `import scfm` stays quick."""
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'scfm' has no attribute '{name}'")
