"""The archive as a Workflow Run RO-Crate: what ran, on what, with which settings, and what came out.

Profiles: https://w3id.org/ro/wfrun/workflow/0.5 and, below it, Process Run Crate and Workflow RO-Crate.
"""

import json
from datetime import UTC, datetime
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING

from scfm.archive.records import Origin
from scfm.resources import read_record

if TYPE_CHECKING:
    from rocrate.model.contextentity import ContextEntity
    from rocrate.model.file import File
    from rocrate.rocrate import ROCrate

    from scfm.archive.pack import Request

METADATA = "ro-crate-metadata.json"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
FORMATS = {
    ".h5ad": "application/x-hdf5",
    ".ipynb": "application/x-ipynb+json",
    ".obo": "text/obo",
    ".parquet": "application/vnd.apache.parquet",
    ".safetensors": "application/octet-stream",
    ".yaml": "application/yaml",
}
"""Media types that the standard library does not know."""
PARTS = {
    "config/": "Studies, runs, datasets, external files, claims",
    "workflow/": "Rules of the workflow",
    "src/": "The library that the rules call",
    "notebooks/": "Notebooks of the figures",
    "envs/": "Software environments",
}
"""Folders of the workflow that the crate names."""

LICENCE = (
    "MIT for the workflow and for what it made; the external files keep their own licences, which stand at each of them"
)


def describe(request: "Request", origin: Origin, digests: dict[str, str | None], root: Path) -> str:
    """Write the metadata file of the crate.

    Args:
        digests: SHA-256 of each packed file.
    """
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")
    start = min(record.start for record in origin.outputs.values())
    end = max(record.end for record in origin.outputs.values())
    without = "" if request.with_shards else f", without the training shards of {request.shards}"
    crate.name = f"Study '{request.study}' of scfm-study"
    crate.description = f"Results with all that they stem from{without}, and the workflow that made them"
    crate.datePublished = _iso(end)[:10]
    crate.root_dataset["author"] = _entity(crate, "#authors", "Organization", name="The scfm-study authors")
    crate.license = _entity(crate, "#licence", "CreativeWork", name="Licences", description=LICENCE)
    profiles = [_entity(crate, uri, "CreativeWork", name=n, version=v) for uri, (n, v) in PROFILES.items()]
    crate.root_dataset["conformsTo"] = profiles
    workflow = _workflow(crate)
    run = _entity(
        crate,
        "#run",
        "CreateAction",
        name=f"snakemake all --configfile {request.config}",
        description=f"Run of the study '{request.study}'",
        startTime=_iso(start),
        endTime=_iso(end),
        actionStatus="http://schema.org/CompletedActionStatus",
        instrument=workflow,
        object=[*_external(crate, origin, root), *_settings(crate, workflow, request, digests)],
        result=[_file(crate, name, digests) for name in _results(request, origin) if digests.get(name)],
    )
    crate.root_dataset["mentions"] = run
    return json.dumps(crate.metadata.generate(), indent=1, sort_keys=True) + "\n"


def _workflow(crate: "ROCrate") -> "ContextEntity":
    """The main workflow with the software that it ran on, and the folders that belong to it."""
    from scfm.paper.provenance import versions

    installed = versions().set_index("package")["version"]
    software = []
    for package in installed[installed != ""].index.drop("scfm"):
        release = installed[package]
        url = (
            f"https://docs.python.org/release/{release}/"
            if package == "python"
            else f"https://pypi.org/project/{package}/{release}/"
        )
        software.append(_entity(crate, url, "SoftwareApplication", name=package, version=release, url=url))
    workflow = crate.add_workflow(
        "Snakefile", "Snakefile", main=True, lang="snakemake", lang_version=installed["snakemake"]
    )
    workflow["name"], workflow["version"] = "scfm-study", installed["scfm"]
    workflow["encodingFormat"] = "text/x-snakemake"
    workflow["conformsTo"] = _entity(crate, BIOSCHEMAS, "CreativeWork", name="Bioschemas ComputationalWorkflow")
    workflow["softwareRequirements"] = software
    for folder, text in PARTS.items():
        crate.add_dataset(dest_path=folder, properties={"name": folder.rstrip("/"), "description": text})
    readme = {"name": "README", "encodingFormat": "text/markdown", "about": crate.root_dataset}
    crate.add_file("README.md", "README.md", properties=readme)
    return workflow


def _external(crate: "ROCrate", origin: Origin, root: Path) -> list["File"]:
    """The external files with the facts of their records."""
    found = []
    for name in sorted(name for name in origin.outputs if f"{name}.record.json" in origin.outputs):
        record = read_record(root / f"{name}.record.json")
        licence = _entity(crate, f"#licence-{record.name}", "CreativeWork", name=record.licence)
        facts = {
            "name": record.name,
            "sha256": record.sha256,
            "contentSize": str(record.size),
            "license": licence,
            "encodingFormat": _format(name),
            "isBasedOn": record.source,
            "version": record.release,
            "description": record.note,
        }
        found.append(crate.add_file(name, name, properties={key: value for key, value in facts.items() if value}))
    return found


def _settings(crate: "ROCrate", workflow: "ContextEntity", request: "Request", digests: dict) -> list:
    """Files of settings, and the keys given for this run as parameters of the workflow."""
    values = []
    for key, value in sorted(request.given.items()):
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        given = _entity(crate, f"#{key}-given", "PropertyValue", name=key, value=text)
        parameter = crate.add_formal_parameter(key, "Text", f"#{key}", properties={"workExample": given})
        given["exampleOfWork"] = parameter
        workflow.append_to("input", parameter, compact=True)
        values.append(given)
    files = [request.config, "config/config.yaml", f"config/studies/{request.study}.yaml"]
    return [*(_file(crate, name, digests) for name in files), *values]


def _results(request: "Request", origin: Origin) -> list[str]:
    """Names of what the study is for, with the other outputs of the same jobs, and of the models."""
    rules = {origin.outputs[name].rule for name in request.targets} | {"train"}
    return sorted(name for name, record in origin.outputs.items() if record.rule in rules)


def _file(crate: "ROCrate", name: str, digests: dict[str, str | None]) -> "File":
    facts = {"name": Path(name).name, "sha256": digests[name], "encodingFormat": _format(name)}
    return crate.add_file(name, name, properties=facts)


def _format(name: str) -> str:
    return FORMATS.get(Path(name).suffix) or guess_type(name)[0] or "application/octet-stream"


def _entity(crate: "ROCrate", identifier: str, kind: str, **properties: object) -> "ContextEntity":
    from rocrate.model.contextentity import ContextEntity

    entity = crate.add(ContextEntity(crate, identifier, properties={"@type": kind}))
    for key, value in properties.items():
        entity[key] = value
    return entity


def _iso(seconds: float) -> str:
    """Time of a record, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
