"""JSON schemas of the settings files, for editors and readers; `python -m scfm.schemas` writes workflow/schemas."""

import ast
import inspect
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

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


class _Described(GenerateJsonSchema):
    """Schemas in which every key is described by the docstring under its field."""

    def model_schema(self, schema):
        described, texts = super().model_schema(schema), _docstrings(schema["cls"])
        for name, key in described.get("properties", {}).items():
            if name in texts:
                key["description"] = texts[name]
        return described


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Field to the text below it, of a settings model and of those that it stems from."""
    texts = {}
    written = [
        cls
        for cls in model.__mro__
        if cls.__module__.startswith("scfm.") and hasattr(sys.modules[cls.__module__], cls.__name__)
    ]
    for parent in reversed(written):  # `create_model` makes others, which stem from these
        body = ast.parse(textwrap.dedent(inspect.getsource(parent))).body[0].body
        for field, text in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                texts[field.target.id] = inspect.cleandoc(text.value.value)
    return texts


def schema(name: str) -> str:
    """One schema as YAML text."""
    model, title = SCHEMAS[name]
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    content |= TypeAdapter(model).json_schema(schema_generator=_Described) | {"title": title}
    header = "# Written by `python -m scfm.schemas`; edit the settings models instead.\n"
    return header + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=116)


def write(folder: Path) -> None:
    """Write every schema as `<folder>/<name>.schema.yaml`."""
    for name in SCHEMAS:
        with whole(folder / f"{name}.schema.yaml") as temporary:
            temporary.write_text(schema(name))


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "workflow/schemas"))
