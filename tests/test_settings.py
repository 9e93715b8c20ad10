import json
from typing import Literal

import pytest
import yaml

from scfm.errors import ScfmError
from scfm.settings import Settings, as_json, merge, parse, read_yaml


class Inner(Settings):
    rate: float
    kind: Literal["a", "b"] = "a"


class Outer(Settings):
    name: str
    inner: Inner
    sizes: tuple[int, ...] = ()


GOOD = {"name": "x", "inner": {"rate": 0.5}}


def refuse(data, *words):
    with pytest.raises(ScfmError) as error:
        parse(Outer, data, "file.yaml")
    text = str(error.value)
    assert text.startswith("file.yaml: ")
    assert "\n" not in text
    assert all(word in text for word in words), text


def test_a_mapping_and_its_json_mean_the_same():
    assert parse(Outer, GOOD, "x") == parse(Outer, json.dumps(GOOD), "x")
    assert parse(Outer, GOOD, "x").inner.kind == "a"


def test_settings_pass_through_json_unchanged():
    settings = parse(Outer, GOOD | {"sizes": [3, 1]}, "x")
    assert parse(Outer, as_json(settings), "x") == settings
    assert as_json({"b": 1, "a": [settings.name]}) == '{"a": ["x"], "b": 1}'
    assert "\n" not in as_json(settings)


def test_an_unknown_key_names_the_nearest_known_one():
    refuse(GOOD | {"sizs": [1]}, "unknown key 'sizs'", "did you mean 'sizes'")
    refuse({"name": "x", "rate": 1, "inner": {"rate": 1}}, "unknown key 'rate'", "belongs elsewhere")
    refuse({"name": "x", "inner": {"rate": 1, "knd": "a"}}, "unknown key 'inner.knd'", "did you mean 'kind'")
    refuse(GOOD | {"zzz": 1}, "unknown key 'zzz'", "remove it")


def test_a_misspelt_required_key_is_named_by_its_misspelling():
    refuse({"nmae": "x", "inner": {"rate": 1}}, "unknown key 'nmae'", "did you mean 'name'")
    refuse({"name": "x", "inner": {"rte": 1}}, "unknown key 'inner.rte'", "did you mean 'rate'")


def test_a_missing_key_is_named_with_its_place():
    refuse({"name": "x", "inner": {}}, "key 'inner.rate' is missing")
    refuse({}, "is missing")


@pytest.mark.parametrize("data", [GOOD | {"inner": {"rate": "fast"}}, json.dumps(GOOD | {"inner": {"rate": "fast"}})])
def test_a_wrong_type_shows_key_and_value(data):
    refuse(data, "key 'inner.rate'", "'fast'")


def test_a_wrong_choice_shows_what_there_is():
    refuse(GOOD | {"inner": {"rate": 1, "kind": "c"}}, "key 'inner.kind'", "'a' or 'b'", "'c'")
    refuse(GOOD | {"sizes": [1, "many"]}, "key 'sizes.1'", "'many'")


def test_text_that_is_no_json_and_data_that_is_no_mapping():
    refuse("{name: x", "top level")
    refuse("[1]", "top level")
    refuse([1], "top level")
    refuse(None, "top level")


def test_settings_cannot_be_changed():
    settings = parse(Outer, GOOD, "x")
    with pytest.raises(ValueError, match="frozen"):
        settings.name = "y"


def test_the_schema_describes_every_field_of_a_run_by_its_docstring():
    from scfm.schemas import schema

    def undescribed(schema, where):
        for name, model in {where: schema, **schema.get("$defs", {})}.items():
            for key, field in model.get("properties", {}).items():
                if not field.get("description"):
                    yield f"{name}.{key}"

    assert list(undescribed(yaml.safe_load(schema("run")), "Run")) == []


def test_merging_lays_nested_keys_over_each_other():
    base = {"a": {"x": 1, "y": {"z": 2}}, "b": [1, 2], "c": {"k": 1}}
    over = {"a": {"y": {"w": 3}}, "b": [9], "c": None, "d": 4}
    assert merge(base, over) == {"a": {"x": 1, "y": {"z": 2, "w": 3}}, "b": [9], "c": None, "d": 4}
    assert base == {"a": {"x": 1, "y": {"z": 2}}, "b": [1, 2], "c": {"k": 1}}
    assert merge(base, {}) == base


@pytest.mark.parametrize(
    ("text", "message"), [("a: [1", "not valid YAML"), ("- 1", "expected a mapping"), ("", "expected a mapping")]
)
def test_a_settings_file_must_be_a_yaml_mapping(tmp_path, text, message):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ScfmError, match=message) as error:
        read_yaml(path)
    assert "\n" not in str(error.value)
    with pytest.raises(ScfmError, match="settings file not found"):
        read_yaml(tmp_path / "y.yaml")
    path.write_text("a: {b: 1}")
    assert read_yaml(path) == {"a": {"b": 1}}
