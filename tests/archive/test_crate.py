"""The archive's metadata against what RO-Crate 1.1, Workflow RO-Crate 1.0 and Workflow Run Crate 0.5 demand."""

import json
import tarfile
from importlib.resources import files

import pytest
from toy_archive import EXTERNAL, MODEL, RECORD, REPORT, RESULTS

from scfm.archive import pack

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
}


@pytest.fixture
def crate(toy, request_for):
    """The metadata file, and the names in the archive."""
    pack(request_for(), toy / "toy.tar", toy)
    with tarfile.open(toy / "toy.tar") as tar:
        return json.load(tar.extractfile("ro-crate-metadata.json")), set(tar.getnames())


@pytest.fixture
def entities(crate):
    return {entity["@id"]: entity for entity in crate[0]["@graph"]}


def references(value):
    """Identifiers that a property points to."""
    values = value if isinstance(value, list) else [value]
    return [item["@id"] for item in values if isinstance(item, dict)]


def types(entity):
    return set(entity["@type"]) if isinstance(entity["@type"], list) else {entity["@type"]}


def test_descriptor_and_root(crate, entities):
    assert crate[0]["@context"] == "https://w3id.org/ro/crate/1.1/context"
    descriptor, root = entities["ro-crate-metadata.json"], entities["./"]
    assert types(descriptor) == {"CreativeWork"}
    assert descriptor["about"] == {"@id": "./"}
    assert "https://w3id.org/ro/crate/1.1" in references(descriptor["conformsTo"])
    assert types(root) == {"Dataset"}
    assert all(root[key] for key in ("name", "description", "datePublished", "license"))
    assert root["datePublished"] == "1970-01-01"  # of the last job


def test_root_names_the_profiles(entities):
    named = references(entities["./"]["conformsTo"])
    assert set(named) == PROFILES
    assert all(types(entities[uri]) == {"CreativeWork"} for uri in named)


def test_identifiers_are_unique_and_references_lead_somewhere(crate, entities):
    assert len(entities) == len(crate[0]["@graph"])
    outside = {"https://w3id.org/ro/crate/1.1", "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"}
    for entity in entities.values():
        assert entity["@type"]
        for key, value in entity.items():
            for uri in references(value):
                known = uri in entities or uri in outside | PROFILES
                assert known or entity["@id"].endswith("#snakemake"), (entity["@id"], key, uri)


def test_files_are_in_the_archive_and_parts_of_the_root(crate, entities):
    parts = set(references(entities["./"]["hasPart"]))
    for name, entity in entities.items():
        if types(entity) & {"File", "Dataset"} and name != "./":
            assert name in parts
            assert any(packed == name or packed.startswith(name) for packed in crate[1]) or name in {
                "workflow/", "notebooks/", "envs/",  # the toy clone has none
            }  # fmt: skip


def test_main_workflow(entities):
    (name,) = references(entities["./"]["mainEntity"])
    assert name == "Snakefile"
    workflow = entities[name]
    assert types(workflow) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
    (language,) = references(workflow["programmingLanguage"])
    assert types(entities[language]) == {"ComputerLanguage"}
    assert entities[language]["name"] == "Snakemake"
    versions = {entities[uri]["name"]: entities[uri]["version"] for uri in references(workflow["softwareRequirements"])}
    import snakemake
    import torch

    assert versions["snakemake"] == snakemake.__version__
    assert versions["torch"] == torch.__version__


def test_one_run_of_the_workflow_with_its_times_inputs_and_results(entities):
    (run,) = (entity for entity in entities.values() if types(entity) == {"CreateAction"})
    assert references(run["instrument"]) == ["Snakefile"]
    assert references(entities["./"]["mentions"]) == [run["@id"]]
    assert (run["startTime"], run["endTime"]) == ("1970-01-01T00:16:40+00:00", "1970-01-01T01:41:00+00:00")
    assert set(references(run["result"])) == {REPORT, MODEL}
    settings = {f"{RESULTS}/config.yaml", "config/config.yaml", "config/studies/toy.yaml"}
    assert {name for name in references(run["object"]) if "File" in types(entities[name])} == {EXTERNAL, *settings}


def test_external_files_with_digest_and_licence(entities):
    entity = entities[EXTERNAL]
    assert entity["sha256"] == RECORD["sha256"]
    assert entity["isBasedOn"] == RECORD["source"]
    assert entities[references(entity["license"])[0]]["name"] == "CC BY 4.0"


def test_given_keys_are_parameters_with_values(entities):
    parameters = references(entities["Snakefile"]["input"])
    values = {}
    for name in parameters:
        parameter = entities[name]
        assert types(parameter) == {"FormalParameter"}
        assert parameter["additionalType"] == "Text"
        (value,) = references(parameter["workExample"])
        assert types(entities[value]) == {"PropertyValue"}
        assert references(entities[value]["exampleOfWork"]) == [name]
        values[parameter["name"]] = entities[value]["value"]
    assert values == {"study": "toy", "pretrain": '{"training": {"epochs": 1}}'}


def test_every_word_is_one_of_the_vocabulary(crate):
    # The library carries the context of RO-Crate 1.3, which still has the words of 1.1.
    words = json.loads((files("rocrate") / "data" / "ro-crate.jsonld").read_text())["@context"]
    for entity in crate[0]["@graph"]:
        assert types(entity) <= set(words), entity["@id"]
        assert set(entity) - {"@id", "@type"} <= set(words), entity["@id"]
