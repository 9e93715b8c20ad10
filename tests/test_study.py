"""The settings of a study as a whole: what is checked before anything runs."""

import shutil
from pathlib import Path

import pytest
import yaml

from scfm.errors import ScfmError
from scfm.settings import read_yaml
from scfm.study import Study

CONFIG = Path(__file__).parents[1] / "config"


@pytest.fixture
def folder(tmp_path):
    """A copy of the folder config."""
    return Path(shutil.copytree(CONFIG, tmp_path / "config"))


@pytest.fixture
def make(folder):
    """Function that changes the study file `tiny`, or the shared settings, and resolves it."""

    def run(change=lambda study: None, **shared):
        path = folder / "studies" / "tiny.yaml"
        study = read_yaml(path)
        change(study)
        path.write_text(yaml.safe_dump(study))
        return Study(read_yaml(folder / "config.yaml") | {"study": "tiny"} | shared, folder)

    return run


def refuse(call, *words):
    with pytest.raises(ScfmError) as error:
        call()
    text = str(error.value)
    assert "\n" not in text
    assert all(word in text for word in words), text


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONFIG / "studies").glob("*.yaml")))
def test_every_study_of_the_repository_resolves(name):
    study = Study(read_yaml(CONFIG / "config.yaml") | {"study": name}, CONFIG)
    assert len(set(study.external)) == len(study.external)
    assert study.name == name
    assert set(study.trained_runs) <= set(study.runs)
    for dataset in study.named("benchmark"):
        assert study.preparation(dataset).dataset.name == dataset
    assert study.annotation


def test_a_study_lays_its_keys_over_run_files_and_shared_settings(make, folder):
    def change(study):
        study["pretrain"]["training"]["learning_rate"] = 0.5
        study["runs"] = {"mlm": {"seeds": [3, 4], "override": {"training": {"learning_rate": 0.25}}}, "random": {}}
        study["learnability"] = {"min_nonzero": 7}
        study["check_run"] = None

    study = make(change)
    assert study.runs["mlm"].training.learning_rate == 0.25
    assert study.runs["random"].training.learning_rate == 0.5
    assert study.runs["mlm"].model.encoder.hidden == 16  # from `pretrain` of the study
    assert study.runs["mlm"].model.input.zeros.strategy == "interleave"  # from the run file
    assert study.seeds == {"mlm": (3, 4), "random": (0,)}
    assert study.trained_runs == ["mlm"]
    shared = read_yaml(folder / "config.yaml")["learnability"]
    assert study.learnability.min_nonzero == 7
    assert study.learnability.ratio == shared["ratio"]


def test_the_command_line_wins_over_the_study_file(make, folder):
    def change(study):
        study["learnability"] = {"min_nonzero": 7, "half_width": 0.2}
        study["benchmarks"] = {"probe": {"classifiers": ["lr"], "folds": 3}}
        study["paper"] = {"dpi": 90}
        study["annotation"] = {"housekeeping_by": "alias"}

    # As Snakemake merges it: the file's other keys are there too.
    shared = read_yaml(folder / "config.yaml")
    study = make(
        change,
        learnability=shared["learnability"] | {"min_nonzero": 9},
        benchmarks={"probe": {"folds": 4}},
        annotation=shared["annotation"] | {"tfclass_by": "any_label"},
    )
    assert (study.learnability.min_nonzero, study.learnability.half_width) == (9, 0.2)
    assert (study.benchmarks.probe.classifiers, study.benchmarks.probe.folds) == (("lr",), 4)
    assert study.paper.dpi == 90
    assert (study.readings.housekeeping_by, study.readings.tfclass_by) == ("alias", "any_label")


def test_unknown_study(make):
    refuse(lambda: make(study="nothing"), "'nothing' does not exist", "demo", "tiny")


def test_unknown_keys(make):
    refuse(lambda: make(lambda study: study.update(seeds=[1])), "tiny.yaml", "unknown key 'seeds'")
    refuse(lambda: make(devise="cpu"), "unknown key 'devise'", "did you mean 'device'")


def test_unknown_key_below_an_override(make):
    def change(study):
        study["pretrain"]["training"]["epoch"] = 1

    refuse(lambda: make(change), "mlm.yaml in study 'tiny'", "'training.epoch'", "did you mean 'epochs'")


def test_unknown_run(make):
    refuse(lambda: make(lambda study: study["runs"].update(mlmm={})), "run 'mlmm' does not exist", "wced_hce")


def test_unknown_check_run(make):
    refuse(lambda: make(lambda study: study.update(check_run="wced")), "check_run 'wced' is not among the runs")


def test_a_study_needs_a_run(make):
    refuse(lambda: make(lambda study: study.update(runs={})), "tiny.yaml", "key 'runs'")


def test_dataset_that_is_not_in_the_sheet(make):
    def change(study):
        study["datasets"]["Somebody 2020"] = {"nothing": {"role": "benchmark"}}

    refuse(lambda: make(change), "dataset 'nothing' is not in", "datasets.tsv")


def test_dataset_without_resource(make, folder):
    sheet = (folder / "datasets.tsv").read_text().splitlines()
    row = next(line for line in sheet if line.startswith("pbmc_zheng_facs\t")).split("\t")
    row[sheet[0].split("\t").index("resource")] = "gone"
    (folder / "datasets.tsv").write_text(
        sheet[0] + "\n" + "\n".join([*sheet[1:], "\t".join(["lost", *row[1:]])]) + "\n"
    )
    refuse(lambda: make(lambda s: s["datasets"].update(X={"lost": {"role": "benchmark"}})), "'lost' has no file")


def both_sides(study, contaminated=None):
    names = ["pbmc_zheng_facs", "zheng68k_mini"]
    study["corpus"]["source"] = {"kind": "files", "datasets": names[:1]}
    study["check_run"] = None
    use = {"role": "benchmark"} | ({} if contaminated is None else {"contaminated": contaminated})
    study["datasets"] = {"Zheng 2017": {names[0]: {"role": "pretrain"}, names[1]: use}}


def test_one_original_study_on_both_sides_needs_a_word_on_contamination(make):
    refuse(lambda: make(both_sides), "study 'Zheng 2017' stands on both sides", "zheng68k_mini")
    study = make(lambda s: both_sides(s, True))
    assert study.named("pretrain") == ["pbmc_zheng_facs"]
    assert study.use("zheng68k_mini").contaminated is True
    partly = {"column": "donor", "values": ["donor A"], "reason": "the donor was trained on"}
    assert make(lambda s: both_sides(s, partly)).preparation("zheng68k_mini").contaminated.values == ("donor A",)


def test_original_studies_go_by_the_sheet_too(make):
    def change(study, **more):
        both_sides(study)
        used = {"role": "benchmark"} | more
        study["datasets"] = {
            "one": {"pbmc_zheng_facs": {"role": "pretrain"}},
            "two": {"pbmc_10x_chemistries": used},  # of 10x Genomics; Zheng 2017
            "three": {"kang_ifnb": {"role": "benchmark"}},
        }

    refuse(lambda: make(change), "study 'Zheng 2017' stands on both sides", "'pbmc_10x_chemistries'")
    assert make(lambda study: change(study, contaminated=True)).named("pretrain") == ["pbmc_zheng_facs"]


def test_original_studies_go_by_their_dois_too(make, folder):
    path = folder / "datasets.tsv"
    path.write_text(path.read_text().replace("10.1038/nbt.4042", "10.1038/ncomms14049"))  # kang_ifnb, as if of Zheng

    def change(study):
        both_sides(study)
        benchmark = {"kang_ifnb": {"role": "benchmark"}}
        study["datasets"] = {"one": {"pbmc_zheng_facs": {"role": "pretrain"}}, "two": benchmark}

    refuse(lambda: make(change), "study '10.1038/ncomms14049' stands on both sides", "'kang_ifnb'")


def test_only_a_source_of_files_trains_on_datasets(make):
    def change(study):
        study["datasets"]["Kang 2018"] = {"kang_ifnb": {"role": "pretrain"}}

    refuse(lambda: make(change), "'kang_ifnb' has the role 'pretrain'", "kind 'synthetic'")


def test_a_check_needs_planted_truth(make):
    def change(study):
        both_sides(study, True)
        study["check_run"] = "mlm"

    refuse(lambda: make(change), "check_run 'mlm' needs the planted truth", "kind 'files'")


def test_trained_datasets_stand_in_both_places(make):
    def change(study):
        both_sides(study, True)
        study["corpus"]["source"]["datasets"].append("kang_ifnb")

    refuse(lambda: make(change), "'kang_ifnb' must both have the role 'pretrain'")


def test_last_epoch_must_be_validated(make):
    def change(study):
        study["pretrain"]["training"] |= {"epochs": 5, "validate_every": 2}

    refuse(lambda: make(change), "key 'training'", "validate_every (2) must divide epochs (5)")


def test_heads_must_divide_the_width(make):
    refuse(lambda: make(lambda s: s["pretrain"]["model"]["encoder"].update(heads=3)), "multiple of heads (3)")


def block(**uses):
    return lambda study: study.update(ablations=uses)


def test_an_ablation_is_its_base_but_for_what_it_names(make):
    def change(study):
        study["runs"]["mlm"] = {"seeds": [0, 1], "override": {"training": {"validation_passes": 3}}}
        norm = {"model": {"encoder": {"embedding_norm": True}}}
        study["ablations"] = {"norm": {"base": "mlm", "seeds": [1], "override": norm}}
        study["ablations"]["plain"] = {"base": "mlm", "run": "mlm_exclude"}

    study = make(change)
    base, norm, plain = (study.runs[name].model_dump() for name in ("mlm", "norm", "plain"))
    assert norm["training"] == plain["training"] == base["training"]
    assert norm["model"]["encoder"] == base["model"]["encoder"] | {"embedding_norm": True}
    assert norm["model"]["input"] == base["model"]["input"]
    zeros = plain["model"]["input"].pop("zeros"), base["model"]["input"].pop("zeros")
    assert [rule["strategy"] for rule in zeros] == ["exclude", "interleave"]
    assert plain["model"] == base["model"]
    assert (study.seeds["norm"], study.seeds["plain"]) == ((1,), (0,))
    assert study.trained_runs == ["mlm", "wced_hce"]


@pytest.mark.parametrize(
    ("uses", "words"),
    [
        (
            {"x": {"base": "wced"}},
            "ablation 'x': base 'wced' is no trained run of the study; choose among mlm, w",
        ),
        ({"x": {"base": "random"}}, "base 'random' is no trained run"),
        ({"x": {"base": "mlm", "run": "mlmm"}}, "run 'mlmm' does not exist; choose among cellplm, lingshu, "),
        ({"x": {"base": "mlm"}}, "ablation 'x': nothing differs from 'mlm'"),
        ({"mlm": {"base": "wced_hce"}}, "ablation 'mlm': a model of the study has this name"),
        ({"pca": {"base": "mlm", "run": "mlm_exclude"}}, "ablation 'pca': a model of the study has this name"),
        ({"x": {"base": "mlm", "run": "mlm_exclude", "seeds": [0, 7]}}, "seeds [0, 7] are not all seeds of 'mlm'"),
        ({"x": {"base": "mlm", "override": {"model": {"inputs": {}}}}}, "unknown key 'model.inputs'; did you mean"),
        ({"x-y": {"base": "mlm"}}, "key 'ablations.x-y"),
        ({"x": {}}, "key 'ablations.x.base' is missing"),
    ],
)
def test_ablations_that_make_no_sense(make, uses, words):
    refuse(lambda: make(block(**uses)), "tiny.yaml", words)


def test_keys_of_one_kind_do_not_reach_another(make, folder):
    bins = {"model": {"input": {"value_encoder": {"kind": "bins", "bins": 5}}}}
    wced = folder / "runs" / "wced.yaml"
    data = read_yaml(wced)
    data["model"]["input"]["value_encoder"] = {"kind": "mlp", "hidden": 9}
    wced.write_text(yaml.safe_dump(data))

    def change(study):  # whose key `pretrain` names octaves, of the kind `periodic`
        study["runs"] = {"wced": {}, "mlm": {}, "mlm_hce": {"override": bins}, "random": {}}
        study["check_run"] = None

    def encoders(**shared):
        return {name: run.model.input.value_encoder for name, run in make(change, **shared).runs.items()}

    found = encoders()
    assert (found["wced"].kind, found["wced"].hidden) == ("mlp", 9)
    assert (found["mlm"].kind, found["mlm"].octaves) == ("periodic", 8)
    assert (found["mlm_hce"].kind, found["mlm_hce"].bins) == ("bins", 5)
    assert {encoder.kind for encoder in encoders(pretrain=bins).values()} == {"bins"}  # what is given holds for all


PARTS = [{"run": "wced_hce", "pooling": "cls"}, {"run": "mlm", "pooling": "mean"}]


def test_a_concatenation_has_the_seeds_that_its_runs_share(make):
    def change(study):
        study["runs"] |= {"wced_hce": {"seeds": [2, 1, 0]}, "mlm": {"seeds": [1, 2, 5]}}
        study["concatenations"] = {"both": PARTS}

    assert make(change).seeds["both"] == (1, 2)


@pytest.mark.parametrize(
    ("name", "parts", "words"),
    [
        ("mlm", PARTS, ["concatenation 'mlm'", "a model of the study has this name"]),
        ("pca", PARTS, ["concatenation 'pca'", "a model of the study has this name"]),
        ("Both", PARTS, ["concatenations.Both"]),
        ("both", PARTS[:1], ["concatenations.both"]),
        ("both", [*PARTS, {"run": "wced", "pooling": "cls"}], ["'wced' is no run of the study; choose among mlm, "]),
        ("both", [*PARTS, {"run": "mlm", "pooling": "cls_0"}], ["run 'mlm' has no pooling 'cls_0'", "cls, mean"]),
        ("both", [*PARTS, {"run": "random", "pooling": "cls"}], ["no seed in common"]),
    ],
)
def test_bad_concatenations(make, name, parts, words):
    def change(study):
        study["runs"]["random"]["seeds"] = [9]
        study["concatenations"] = {name: parts}

    refuse(lambda: make(change), *words)


@pytest.fixture
def others(folder):
    """Function: add rows of (name, resource, studies) to the sheet of embeddings."""

    def write(*rows):
        sheet = folder / "embeddings.tsv"
        header = sheet.read_text().splitlines()[0].split("\t")
        for row in rows:
            fields = dict(zip(("name", "resource", "studies"), row, strict=True))
            sheet.write_text(sheet.read_text() + "\t".join(fields.get(column, "") for column in header) + "\n")

    return write


def test_models_of_others_belong_to_their_studies_once_they_have_a_file(make, others):
    rows = [("a", "file:a.h5ad", ""), ("b", "hgnc", "mini, tiny"), ("c", "file:c.h5ad", "mini"), ("d", "", "tiny")]
    others(*rows)
    study = make()
    assert list(study.embeddings) == ["a", "b"]
    assert "hgnc" in study.external


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("mlm", "file:a.h5ad", ""), ["embeddings.tsv", "'mlm'", "a model of study 'tiny' has this name"]),
        (("pca", "file:a.h5ad", ""), ["'pca'", "a model of study 'tiny' has this name"]),
        (("scgpt2", "file:a.h5ad", "tinny"), ["'scgpt2'", "no study 'tinny' exists"]),
        (("scgpt2", "scgpt.h5ad", ""), ["'scgpt2'", "resource 'scgpt.h5ad' is not in", "resources.yaml"]),
        (("scgpt", "file:a.h5ad", ""), ["'scgpt' occurs twice"]),
    ],
)
def test_bad_rows_of_embeddings(make, others, row, words):
    others(row)
    refuse(make, *words)
