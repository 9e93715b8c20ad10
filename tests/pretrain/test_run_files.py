"""The run files at the scale of the paper say what the paper's runs and their controls are."""

import pytest

from scfm.pretrain.settings import parse_run
from scfm.settings import read_yaml

GROUPS = ["cell_type", "tissue", "tissue_general", "donor_id"]


@pytest.fixture
def run(pytestconfig):
    """Function from a name to the settings of its file."""

    def read(name):
        path = pytestconfig.rootpath / "config" / "runs" / f"{name}.yaml"
        return parse_run(read_yaml(path), str(path))

    return read


def test_multitask_runs_see_all_of_the_corpus_with_the_papers_heads(run):
    mlm, wced = run("mlm_multitask"), run("wced_multitask")
    for settings in (mlm, wced):
        assert (settings.corpus_fraction, settings.training.epochs) == (1.0, 8)
    assert [head.label for head in mlm.model.heads] == GROUPS
    assert [head.label for head in wced.model.heads] == [*GROUPS, "sex"]
    assert [head.loss for head in wced.model.heads] == ["hce", "focal", "focal", "focal", "cross_entropy"]
    donor, other = mlm.model.heads[3], wced.model.heads[3]
    assert (donor.gamma, donor.reversal, donor.weight) == (2.0, 1.0, 0.05)
    assert (other.gamma, other.reversal, other.weight) == (2.0, None, 1.0)
    assert wced.model.cls_tokens == 6
    assert mlm.model.cls_tokens == 1


def test_the_second_stage_of_donors_differs_from_the_first_in_its_start_and_its_cells(run):
    first, second = (settings.model_dump(exclude={"description"}) for settings in (run("pulsar"), run("pulsar_blood")))
    assert (second.pop("start"), second.pop("cells")) == (
        {"run": "pulsar"},
        {"column": "tissue", "values": ("blood",)},
    )
    assert (first.pop("start"), first.pop("cells")) == (None, None)
    assert first == second


def test_the_run_of_several_species_differs_from_lingshu_in_that_it_is_told_the_species(run):
    plain, told = (run(name).model_dump(exclude={"description"}) for name in ("lingshu", "lingshu_species"))
    assert told["model"].pop("conditions") == ({"column": "organism", "control": None},)
    assert plain["model"].pop("conditions") == ()
    assert told == plain


def test_the_curriculum_is_decoding_alone_for_three_of_eight_epochs(run):
    for head in run("wced_multitask").model.heads:
        assert [head.weight_at(epoch) for epoch in range(8)] == [0, 0, 0, 1, 1, 1, 1, 1]
    assert all(head.weight_at(0) for head in run("mlm_multitask").model.heads)


@pytest.mark.parametrize(
    ("name", "base", "keys"),
    [
        ("wced_flat", "wced_hce", {"heads"}),
        ("wced_sigmoid", "wced_hce", {"heads"}),
        ("wced_interleave", "wced", {"input"}),
        ("mlm_exclude", "mlm", {"input"}),
        ("wced_esm2", "wced", {"input"}),
    ],
)
def test_a_control_differs_from_its_run_in_one_thing(run, name, base, keys):
    control, original = (settings.model_dump(exclude={"description"}) for settings in (run(name), run(base)))
    model, other = control.pop("model"), original.pop("model")
    assert control == original
    assert {key for key in model if model[key] != other[key]} == keys
    if keys == {"input"}:
        changed = {key for key in model["input"] if model["input"][key] != other["input"][key]}
        assert changed == ({"gene_vectors"} if name == "wced_esm2" else {"zeros"})


def test_objectives_that_see_the_same_zeros(run):
    assert run("wced_interleave").model.input.zeros == run("mlm").model.input.zeros
    assert run("mlm_exclude").model.input.zeros == run("wced").model.input.zeros
