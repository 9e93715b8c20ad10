"""STACK in context on the planted screen of the study `systems`, with the study's own settings: median of three seeds.

A fourth of the perturbations are held out, each asked for in one type, its cells in the other types being the prompt.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

import scfm
from scfm.benchmarks.fold_shards import write_fold
from scfm.corpus.synthetic.screen import screen as plant
from scfm.models.stack.system import predict
from scfm.perturbation import Scoring, conditions, evaluate, hold_out
from scfm.perturbation import screen as common
from scfm.pretrain.train import train
from scfm.settings import read_yaml
from scfm.study import Study

pytestmark = [pytest.mark.toy, pytest.mark.xdist_group("stack_screen")]

CONFIG = Path(__file__).parents[2] / "config"
SEEDS = (0, 1, 2)
RIGHT, WRONG = "right prompt", "wrong prompt"


@pytest.fixture(scope="module")
def study():
    return Study(read_yaml(CONFIG / "config.yaml") | {"study": "systems"}, CONFIG)


@pytest.fixture(scope="module")
def found(study):
    """Mean correlation and error of changes of each prediction and baseline, of each seed: name to [seeds]."""
    tables = [_of_seed(study, seed) for seed in SEEDS]
    return {
        metric: {name: np.array([table[name][metric].mean() for table in tables]) for name in tables[0]}
        for metric in ("pearson_delta", "mae_delta")
    }


def _of_seed(study, seed):
    """A screen, its hold-out and a training, all of one seed."""
    task, run = study.benchmarks.perturbation, study.predicting["stack"]
    (holdout,) = (one for one in task.holdouts["synthetic_screen"] if one.prompted)
    adata = plant(study.corpus.source.model_copy(update={"seed": seed}))
    adata.obs["background"], adata.uns = adata.obs["cell_type"], {}
    cells = common(adata)
    sides = hold_out(cells.obs, holdout.model_copy(update={"seed": seed}))[""]
    with TemporaryDirectory() as temporary:
        place = Path(temporary)
        write_fold(cells, sides == "train", task.validation, seed, place / "shards")
        train(run, f"stack/{seed}", seed, place / "shards", None, place / "work", place / "model", 0)
        network = scfm.load(place / "model", "cpu").network
    query, shown = conditions(cells.obs[sides == "test"]), sides != "test"
    made = {
        name: predict(network, one[shown].copy(), sides[shown], query, task.predicted, seed)
        for name, one in {RIGHT: cells, WRONG: _swapped(cells, query["perturbation"])}.items()
    }
    return evaluate(cells, sides, Scoring(), made)


def _swapped(cells, held_out):
    """The cells with each held-out perturbation's name given to the next."""
    names = dict(zip(held_out, np.roll(held_out, 1), strict=True))
    out = cells.copy()
    out.obs["perturbation"] = [names.get(name, name) for name in cells.obs["perturbation"]]
    return out


def test_most_of_the_gap_from_no_change_to_the_ceiling_is_closed(found):
    correlation, error = found["pearson_delta"], found["mae_delta"]
    assert np.median(correlation[RIGHT] / correlation["ceiling"]) >= 0.6, found
    closed = (error["control_mean"] - error[RIGHT]) / (error["control_mean"] - error["ceiling"])
    assert np.median(closed) >= 0.6, found


def test_it_comes_within_a_tenth_of_the_additive_baseline(found):
    correlation = found["pearson_delta"]
    assert np.median(correlation[RIGHT] / correlation["additive"]) >= 0.9, found


def test_a_prompt_of_another_perturbation_loses_it(found):
    correlation, error = found["pearson_delta"], found["mae_delta"]
    assert np.median(correlation[WRONG] / correlation[RIGHT]) <= 0.2, found
    assert np.median(error[WRONG] / error["control_mean"]) >= 1, found
