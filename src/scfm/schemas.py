"""JSON schemas of the settings files, for editors and readers; `python -m scfm.schemas` writes workflow/schemas."""

import sys
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from scfm.datasets import Dataset
from scfm.embeddings import EmbeddingFile
from scfm.files import whole
from scfm.paper.settings import Claims, Inconsistencies
from scfm.pretrain.settings import AnyRun
from scfm.resources.settings import Resource
from scfm.study_file import Shared, StudyFile

SCHEMAS = {
    "config": (Shared, "config/config.yaml"),
    "study": (StudyFile, "A file of config/studies"),
    "run": (AnyRun, "A file of config/runs, by itself or with a study's keys laid over it"),
    "resources": (dict[str, Resource], "config/resources.yaml"),
    "datasets": (Dataset, "A row of config/datasets.tsv, parsed"),
    "embeddings": (EmbeddingFile, "A row of config/embeddings.tsv, parsed"),
    "claims": (Claims, "config/claims.yaml"),
    "inconsistencies": (Inconsistencies, "config/inconsistencies.yaml"),
}
"""Name of the schema to its type and what it describes."""


def schema(name: str) -> str:
    """One schema as YAML text."""
    model, title = SCHEMAS[name]
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    content |= TypeAdapter(model).json_schema() | {"title": title}
    header = "# Written by `python -m scfm.schemas`; edit the settings models instead.\n"
    return header + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=116)


def write(folder: Path) -> None:
    """Write every schema as `<folder>/<name>.schema.yaml`."""
    for name in SCHEMAS:
        with whole(folder / f"{name}.schema.yaml") as temporary:
            temporary.write_text(schema(name))


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "workflow/schemas"))
