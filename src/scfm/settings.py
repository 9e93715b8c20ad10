"""Typed settings: the base of every settings model, and errors that read as a sentence."""

import difflib
import json
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from scfm.errors import ScfmError

Model = TypeVar("Model", bound="Settings")


class Settings(BaseModel):
    """Base of all settings: unknown keys are errors, values are frozen, `scfm.schemas` reads the docstrings of fields.

    Not by pydantic's `use_attribute_docstrings`, which costs every command a quarter of a second at its start.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse(model: type[Model], data: object, where: str) -> Model:
    """Validate `data` (mapping, or JSON text) against `model`.

    Args:
        where: file or option the data came from, for the error message.

    Raises:
        ScfmError: unknown key (with the nearest known one), wrong type or bad value.
    """
    try:
        return model.model_validate_json(data) if isinstance(data, str) else model.model_validate(data)
    except ValidationError as error:
        # A misspelt required key is also "missing"; the misspelling is what helps.
        first = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"]) or "(top level)"
        if first["type"] == "extra_forbidden":
            raise ScfmError(f"{where}: unknown key '{key}'; {_hint(str(first['loc'][-1]), _keys(model))}") from error
        if first["type"] == "missing":
            raise ScfmError(f"{where}: key '{key}' is missing; add it") from error
        reason = first["msg"].removeprefix("Value error, ")
        got = "" if isinstance(first["input"], dict) else f", got {first['input']!r}"
        raise ScfmError(f"{where}: key '{key}': {reason}{got}; correct the value") from error


def _hint(name: str, known: set[str]) -> str:
    """What to do about a key that is unknown where it stands."""
    if name in known:
        return "a key of that name belongs elsewhere; move or remove it"
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else "remove it or see config/config.yaml for the known keys"


def _keys(model: type[BaseModel]) -> set[str]:
    """Every key name that occurs in `model` or below it."""
    return set(_walk(model.model_json_schema()))


def _walk(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        own = list(schema.get("properties", {}))
        return own + [key for value in schema.values() for key in _walk(value)]
    return [key for value in schema for key in _walk(value)] if isinstance(schema, list) else []


def read_yaml(path: Path) -> dict:
    """Read one YAML mapping.

    Raises:
        ScfmError: the file is missing, is not YAML, or is not a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise ScfmError(f"{path}: settings file not found; check the name")
    try:
        data = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ScfmError(f"{path}: not valid YAML ({' '.join(str(error).split())}); correct the file") from error
    if not isinstance(data, dict):
        raise ScfmError(f"{path}: expected a mapping of keys to values; correct the file")
    return data


def merge(base: dict, override: dict) -> dict:
    """Return `base` with `override` laid over it, key by key, nested mappings included.

    A mapping that names another `kind` than what it is laid over replaces that, since kinds have keys of their own.
    """
    merged = dict(base)
    for key, value in override.items():
        below = merged.get(key)
        both = isinstance(value, dict) and isinstance(below, dict) and not _kinds_differ(below, value)
        merged[key] = merge(below, value) if both else value
    return merged


def of_kind(override: dict, base: dict) -> dict:
    """Return `override` without the nested mappings that are of another `kind` than those of `base`."""
    kept = {}
    for key, value in override.items():
        below = base.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        if not (both and _kinds_differ(below, value)):
            kept[key] = of_kind(value, below) if both else value
    return kept


def _kinds_differ(one: dict, other: dict) -> bool:
    return "kind" in one and "kind" in other and one["kind"] != other["kind"]


def as_json(settings: BaseModel | dict | list) -> str:
    """Settings as one line of JSON with a stable key order, as rules pass them to commands."""
    data = settings.model_dump(mode="json") if isinstance(settings, BaseModel) else settings
    return json.dumps(data, sort_keys=True)
