"""The schemas in the repository are those of the settings, and accept its settings files."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from scfm.datasets import read_datasets
from scfm.schemas import SCHEMAS, schema, write

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "workflow" / "schemas"
FILES = [
    ("config", "config/config.yaml"),
    ("resources", "config/resources.yaml"),
    ("claims", "config/claims.yaml"),
    ("inconsistencies", "config/inconsistencies.yaml"),
    *(("study", f"config/studies/{path.name}") for path in (ROOT / "config/studies").glob("*.yaml")),
    *(("run", f"config/runs/{path.name}") for path in (ROOT / "config/runs").glob("*.yaml")),
]


def validate(name, data):
    Draft202012Validator(yaml.safe_load((FOLDER / f"{name}.schema.yaml").read_text())).validate(data)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_in_the_repository_is_up_to_date(name):
    assert (FOLDER / f"{name}.schema.yaml").read_text() == schema(name), "run python -m scfm.schemas"


def test_no_other_schema_stands_there():
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.schema.yaml" for name in SCHEMAS}


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_a_schema_and_says_what_keys_mean(name):
    content = yaml.safe_load(schema(name))
    Draft202012Validator.check_schema(content)
    within = content.get("oneOf") or content.get("anyOf") or [{"$ref": "#/$defs/Resource"}]
    parts = [content] if "properties" in content else [content["$defs"][part["$ref"].split("/")[-1]] for part in within]
    assert all("description" in field for part in parts for field in part["properties"].values())


@pytest.mark.parametrize(("name", "path"), FILES)
def test_settings_file_is_accepted(name, path):
    validate(name, yaml.safe_load((ROOT / path).read_text()))


def test_rows_of_datasets_are_accepted():
    for row in read_datasets(ROOT / "config/datasets.tsv").values():
        validate("datasets", row.model_dump(mode="json"))


def test_misspelt_key_is_refused():
    with pytest.raises(ValidationError, match="studdy"):
        validate("config", {"study": "demo", "studdy": "demo"})


def test_write_makes_every_file(tmp_path):
    write(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        f"{name}.schema.yaml": schema(name) for name in SCHEMAS
    }
