"""The page of every settings key, from the JSON schemas."""

import json
from pathlib import Path

import yaml
from mkdocs.structure.files import File

ORDER = ("config", "study", "run", "resources", "datasets", "embeddings", "claims", "inconsistencies")
LONGEST = 60
INTRODUCTION = """# Every setting

From the JSON schemas in `workflow/schemas`, which editors can check files against. An unknown key is an error. A type
that is a link has keys of its own, which stand in a mapping under the key: `corpus: {qc: {min_counts: 200}}`.
"""
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def on_files(files, config):
    """Add reference/settings.md."""
    folder = Path(config.config_file_path).parent / "workflow" / "schemas"
    schemas = {name: yaml.safe_load((folder / f"{name}.schema.yaml").read_text()) for name in ORDER}
    text = INTRODUCTION + "".join(map(_schema, ORDER, schemas.values()))
    files.append(File.generated(config, "reference/settings.md", content=text))
    return files


def _schema(name: str, schema: dict) -> str:
    parts = [f"\n## {schema['title']} {{#{name}}}\n\n"]
    if "properties" in schema:
        parts.append(_table(name, schema))
    elif "additionalProperties" in schema:
        parts.append(f"A mapping of names to {_type(name, schema['additionalProperties'])}.\n")
    for title, part in schema.get("$defs", {}).items():
        parts.append(f"\n### {title} {{#{_anchor(name, title)}}}\n\n{part.get('description', '')}\n\n")
        parts.append(_table(name, part) if part.get("properties") else "No key of its own.\n")
    return "".join(parts)


def _table(name: str, part: dict) -> str:
    rows = ["| key | type | default | meaning |\n|---|---|---|---|\n"]
    for key, field in part["properties"].items():
        meaning = " ".join(field.get("description", "").split())
        default = "must be given" if key in part.get("required", []) else _default(field)
        rows.append(f"| `{key}` | {_type(name, field)} | {default} | {_safe(meaning)} |\n")
    return "".join(rows)


def _default(field: dict) -> str:
    if "default" not in field:
        return ""
    text = json.dumps(field["default"], ensure_ascii=False)
    return f"`{_safe(text)}`" if len(text) <= LONGEST else "as its keys say"


def _type(name: str, field: dict) -> str:
    """The type in words; settings with keys of their own link to them."""
    if "$ref" in field:
        title = field["$ref"].rsplit("/", 1)[1]
        return f"[{title}](#{_anchor(name, title)})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in field:
            return " or ".join(dict.fromkeys(_type(name, one) for one in field[several]))
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    kind = field.get("type", "anything")
    if kind == "array":
        items = field.get("items") or {"anyOf": field.get("prefixItems", [{}])}
        return f"list of {_type(name, items)}"
    if kind == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"mapping to {_type(name, field['additionalProperties'])}"
    limits = ", ".join(f"{sign} {field[key]:g}" for key, sign in LIMITS.items() if key in field)
    return f"{kind} {limits}".strip()


def _anchor(name: str, title: str) -> str:
    return f"{name}-{title.lower()}"


def _safe(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
