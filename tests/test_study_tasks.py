"""What a study says of tasks: which models they score, which datasets they may lack, where mechanisms come from."""

import shutil
from pathlib import Path

import pytest
import yaml

from scfm.errors import ScfmError
from scfm.settings import read_yaml
from scfm.study import LIBRARY, Study

CONFIG = Path(__file__).parents[1] / "config"


@pytest.fixture
def make(tmp_path):
    """Function that lays keys over the study file `tiny` and resolves it."""
    folder = Path(shutil.copytree(CONFIG, tmp_path / "config"))

    def run(**keys):
        path = folder / "studies" / "tiny.yaml"
        path.write_text(yaml.safe_dump(read_yaml(path) | keys))
        return Study(read_yaml(folder / "config.yaml") | {"study": "tiny"}, folder)

    return run


def test_a_task_scores_the_models_that_it_names(make):
    study = make(task_models={"moa": ["mlm/0", "random", "pca"]})
    assert study.scores("moa", "mlm", 0)
    assert study.scores("moa", "random", 7)
    assert study.scores("moa", "pca", 0)
    assert not study.scores("moa", "mlm", 1)
    assert not study.scores("moa", "wced_hce", 0)
    assert study.scores("probe", "wced_hce", 0), "a task that is not named scores all"


@pytest.mark.parametrize("model", ["wced", "mlm/1", "pca/0", "mlm/x"])
def test_models_that_are_not_in_the_study(make, model):
    with pytest.raises(ScfmError, match=f"task_models.moa: model '{model}' is not in the study; name a run"):
        make(task_models={"moa": [model]})


def test_unknown_task(make):
    with pytest.raises(ScfmError, match="task_models"):
        make(task_models={"weather": ["mlm"]})


def test_a_dataset_of_the_corpus_is_asked_for_no_task_whose_cells_or_labels_training_reads(make):
    source = {"kind": "files", "datasets": ["kang_ifnb"]}
    corpus = read_yaml(CONFIG / "studies" / "tiny.yaml")["corpus"] | {"source": source}

    def with_tasks(**use):
        return make(corpus=corpus, check_run=None, datasets={"Kang 2018": {"kang_ifnb": {"role": "pretrain"} | use}})

    assert with_tasks().evaluated == []
    assert with_tasks().tasks("kang_ifnb") == ()
    assert with_tasks(tasks=["donor", "cytokine"]).evaluated == ["kang_ifnb"]
    learns = {"mlm": {"seeds": [0], "override": {"model": {"heads": [{"label": "tissue", "loss": "focal"}]}}}}
    own = {"Kang 2018": {"kang_ifnb": {"role": "pretrain", "tasks": ["donor"]}}}
    with pytest.raises(ScfmError, match=r"run 'mlm' learns from 'tissue' of donors; take donor and cytokine off"):
        make(corpus=corpus, check_run=None, datasets=own, runs=learns)
    study = with_tasks(tasks=["perturbation"])
    assert study.evaluated == ["kang_ifnb"]
    assert study.named("benchmark") == []
    with pytest.raises(ScfmError, match=r"'kang_ifnb' is trained on and asked for probe; .*only perturbation can be"):
        with_tasks(tasks=["perturbation", "probe"])


def test_mechanisms_of_the_library_need_its_file(make):
    datasets = {"Srivatsan 2020": {"sciplex3_a549": {"role": "benchmark", "optional": True}}}
    plain, library = make(datasets=datasets), make(datasets=datasets, benchmarks={"moa": {"mechanism": "library"}})
    assert not plain.preparation("sciplex3_a549").library
    assert LIBRARY not in plain.external
    assert library.preparation("sciplex3_a549").library
    assert LIBRARY in library.external
    planted = {"Synthetic": {"synthetic_perturbation": {"role": "benchmark"}}}
    study = make(datasets=planted, benchmarks={"moa": {"mechanism": "library"}})
    assert LIBRARY not in study.external, "the planted screen has no catalogue"


def test_planted_datasets_belong_to_the_synthetic_census(make):
    datasets = {
        "one": {"pbmc_zheng_facs": {"role": "pretrain"}},
        "two": {"synthetic_disease": {"role": "benchmark"}},
    }
    corpus = {"source": {"kind": "files", "datasets": ["pbmc_zheng_facs"]}}
    with pytest.raises(ScfmError, match="'synthetic_disease' is drawn beside the synthetic census"):
        make(datasets=datasets, corpus=corpus, check_run=None)


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"runs": ["nobody"]}, "'nobody' is not in the study; name a run or run/seed"),
        ({"runs": ["lingshu/7"]}, "'lingshu/7' is not in the study"),
        ({"runs": ["stack"]}, "a system 'stack' as of 'stack' draws no cells; choose among lingshu, random_lingshu"),
        ({"dataset": "pbmc68k_reduced"}, "'pbmc68k_reduced' is no benchmark of counts in the study; choose among"),
        ({"temperature": 2}, "temperature"),
    ],
)
def test_drawn_cells_are_of_a_run_that_draws_and_compared_with_counts(tmp_path, keys, fault):
    folder = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    path = folder / "studies" / "systems.yaml"
    known = {"runs": ["lingshu", "random_lingshu/0"], "dataset": "synthetic_donors"}
    shared = read_yaml(folder / "config.yaml") | {"study": "systems"}
    path.write_text(yaml.safe_dump(read_yaml(path) | {"generation": known}))
    assert Study(shared, folder).file.generation.drawing.cells == 1000
    path.write_text(yaml.safe_dump(read_yaml(path) | {"generation": known | keys}))
    with pytest.raises(ScfmError, match=fault):
        Study(shared, folder)
