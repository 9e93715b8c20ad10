"""Which files of a clone make up the workflow, so that an archive also runs without a clone."""

import hashlib
import os
from fnmatch import fnmatch
from pathlib import Path

PARTS = (
    ".ci",
    ".gitignore",
    ".pre-commit-config.yaml",
    "LICENSE",
    "Makefile",
    "README.md",
    "Snakefile",
    "benchmarks",
    "config",
    "constraints.txt",
    "docs",
    "envs",
    "mkdocs.yml",
    "notebooks",
    "profiles",
    "pyproject.toml",
    "results/README.md",
    "slurm",
    "src",
    "tests",
    "workflow",
)
"""The repository's top level; nothing else that lies in a clone is anyone's business."""

LEFT_OUT = ("__pycache__", "*.egg-info", ".ipynb_checkpoints", "partitions.yaml")
"""What tools and sites leave there."""


def workflow_files(root: Path) -> list[str]:
    """Names of the workflow's files, relative to the top folder `root` of a clone, sorted."""
    found = [part for part in PARTS if (root / part).is_file()]
    for part in PARTS:
        for folder, folders, files in os.walk(root / part):
            folders[:] = [name for name in folders if not _left_out(name)]
            found += [str((Path(folder) / name).relative_to(root)) for name in files if not _left_out(name)]
    return sorted(found)


def workflow_digest(root: Path) -> str:
    """Sixteen hexadecimal digits that change with any of the workflow's files."""
    content = b"".join(f"{name}\0".encode() + (root / name).read_bytes() for name in workflow_files(root))
    return hashlib.sha256(content).hexdigest()[:16]


def _left_out(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in LEFT_OUT)
