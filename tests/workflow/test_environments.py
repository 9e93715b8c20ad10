"""Environments of the rules: pinned as everything else, and sufficient for the code that runs in them."""

import re
import sys
import tomllib
from functools import cache
from pathlib import Path

import grimp
import pytest
import yaml

from scfm.code import modules_of
from scfm.datasets import EMBEDDING_TASKS
from scfm.models.system import systems

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = {path.stem: path for path in (ROOT / "envs").glob("*.yaml")}
GRAPH = grimp.build_graph("scfm", include_external_packages=True, cache_dir=None)
# Import names that differ from the name of the package.
PACKAGES = {
    "yaml": "pyyaml",
    "sklearn": "scikit-learn",
    "tiledbsoma_ml": "tiledbsoma-ml",
    "lightning_fabric": "lightning-fabric",
}
# Needed without an import: by pandas, by scanpy, by papermill, for the dataset that comes with it, by torch.
INDIRECT = {"pyarrow", "igraph", "ipykernel", "scanpy", "tensorboard"}
# Of an extra, which whoever asks for it installs.
OPTIONAL = {"scvi", "huggingface_hub"}
FILES = {path.stem: path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk")}
# Tables of `table_with_needs`, each of code of its own.
WITH_NEEDS = re.findall(r'"(\w+)": \[', re.search(r"^WITH_NEEDS = (.*)", FILES["optional"], re.M)[1])
RULES = {
    match[1]: match[2]
    for text in FILES.values()
    for match in re.finditer(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", text, re.M | re.S)
}
# Rules that stand in a loop, once for each task or figure.
LOOPS = [
    loop for text in FILES.values() for loop in re.findall(r"^for (\w+) in [^\n]+:\n(.*?)(?=^\S|\Z)", text, re.M | re.S)
]
RULES |= {task: body.replace("{task}", task) for name, body in LOOPS if name == "task" for task in EMBEDDING_TASKS}
RULES |= {f"each {name}": body for name, body in LOOPS if name != "task" and "rule:" in body}


@cache
def pins(name):
    """Package to version of one environment."""
    content = yaml.safe_load(ENVIRONMENTS[name].read_text())
    pip = next(entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict))
    return dict(line.split("==") for line in pip)


def code_of(text):
    """What a rule's `code` names, with all systems for that of a run.

    One task stands for those of its rule, and one table of tidy results alone; of tables with needs it is each.
    """
    found = re.findall(r'"(scfm\.[\w.:{}]+)"', text)
    names = [name.replace("{w.task}", "denoise") for name in found]
    names = [
        name.replace("{w.table}", table)
        for name in names
        for table in (WITH_NEEDS if "optional" in name else ["controls"])
    ]
    names += ["scfm.pretrain.commands:train"] if "code(*training_code(" in text else []
    names += ["scfm.model"] if "model_code(" in text else []
    of_systems = [f"scfm.models.{system}.system" for system in systems()]
    return (*names, *(of_systems if "training_code(" in text or "model_code(" in text else []))


@cache
def imports(names):
    """Packages that the code called `names` and the command line import, directly or through other modules of scfm."""
    modules = modules_of(*names) if names else ()
    found = {"typer"}.union(*(GRAPH.find_modules_directly_imported_by(module) for module in modules))
    third = {name for name in found if name.split(".")[0] not in {*sys.stdlib_module_names, "scfm", *OPTIONAL}}
    return {PACKAGES.get(name, name) for name in third}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_pins_are_those_of_the_constraints(name):
    constraints = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().lower().splitlines() if "==" in line
    )
    for package, version in pins(name).items():
        assert version == constraints[package].split("+")[0], package


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_packages_are_declared_by_the_project(name):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    declared = {re.match(r"[\w-]+", line)[0] for line in project}
    assert set(pins(name)) - {"pyarrow", "h5py", "urllib3"} <= declared


def test_every_rule_names_an_environment():
    assert RULES
    for rule, text in RULES.items():
        named = re.findall(r'"\.\./\.\./envs/(\w+)\.yaml"', text)
        assert len(named) == 1, rule
        assert named[0] in ENVIRONMENTS, rule


@pytest.mark.parametrize("rule", RULES)
def test_environment_holds_what_the_rule_imports(rule):
    text = RULES[rule]
    assert ("python -m scfm" in text) == bool(code_of(text))
    environment = pins(re.search(r"envs/(\w+)\.yaml", text)[1])
    assert imports(code_of(text)) <= set(environment)
    assert "torchrun " not in text or "torch" in environment
    assert ".ipynb" not in text or "matplotlib" in environment


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment_holds_nothing_else(name):
    texts = [text for text in RULES.values() if f"envs/{name}.yaml" in text]
    used = set().union(*(imports(code_of(text)) for text in texts))
    notebooks = {"matplotlib"} if any(".ipynb" in text for text in texts) else set()
    assert set(pins(name)) - used - notebooks - INDIRECT == set()
