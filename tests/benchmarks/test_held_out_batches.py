from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score
from typer.testing import CliRunner

from scfm.benchmarks.commands import app
from scfm.benchmarks.heldout import heldout
from scfm.benchmarks.interval import Interval
from scfm.benchmarks.metrics.classification import bootstrap, held_out_scores
from scfm.benchmarks.settings import Split
from scfm.benchmarks.split import check_sides, hold_out
from scfm.benchmarks.task_settings import Heldout
from scfm.errors import ScfmError

FACTS = {"values": "counts", "contaminated": "false", "organism": "Homo sapiens"}


def cells(table: dict[str, dict[str, int]], donors: dict[str, str] | None = None, seen: str = "") -> pd.DataFrame:
    """obs of so many cells of each batch and type; the donor is the batch unless `donors` says otherwise."""
    rows = [(batch, kind) for batch, types in table.items() for kind, n in types.items() for _ in range(n)]
    obs = pd.DataFrame(rows, columns=["batch", "cell_type"], index=[f"c{i}" for i in range(len(rows))])
    return obs.assign(
        donor=obs.batch.map(donors) if donors else obs.batch, split="", contaminated=obs.batch.eq(seen), dataset="d"
    )


def batches_of(obs: pd.DataFrame, sides: np.ndarray) -> dict[str, set[str]]:
    return {side: set(obs.batch[sides == side]) for side in ("train", "dev", "test")}


EVEN = {name: {"T": 10, "B": 10} for name in "abcdefgh"}


@pytest.mark.parametrize("seed", range(20))
def test_whole_batches_and_their_donors_are_on_one_side(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = {f"b{i}": {kind: int(rng.integers(0, 9)) for kind in "TBN"} for i in range(12)}
    obs = cells(table, {f"b{i}": f"donor{i // 2}" for i in range(12)})
    sides = hold_out(obs, Split(test=0.3, seed=seed), "d")
    for column in ("batch", "donor"):
        parts = [set(obs.loc[sides == side, column]) for side in ("train", "dev", "test")]
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]
    assert (sides == "test").mean() >= 0.3
    assert set(obs.cell_type[sides == "train"]) == set(obs.cell_type)
    assert (sides == hold_out(obs, Split(test=0.3, seed=seed), "d")).all()


def test_shares_are_of_cells_and_the_seed_decides() -> None:
    obs = cells(EVEN)
    found = [batches_of(obs, hold_out(obs, Split(test=0.25, dev=0.1, seed=seed), "d")) for seed in range(5)]
    assert [{side: len(names) for side, names in parts.items()} for parts in found] == [
        {"train": 5, "dev": 1, "test": 2}
    ] * 5
    assert len({tuple(sorted(parts["test"])) for parts in found}) > 1


@pytest.mark.parametrize("seed", range(10))
def test_a_class_of_one_batch_stays_in_training(seed: int) -> None:
    obs = cells(EVEN | {"h": {"T": 10, "rare": 3}})
    assert "h" in batches_of(obs, hold_out(obs, Split(seed=seed), "d"))["train"]


def test_where_each_batch_has_a_class_of_its_own_the_fewest_are_lost() -> None:
    obs = cells({"a": {"T": 9, "x": 1, "y": 1}, "b": {"T": 9, "z": 1}})
    sides = hold_out(obs, Split(), "d")
    assert batches_of(obs, sides) == {"train": {"a"}, "dev": {"a"}, "test": {"b"}}


@pytest.mark.parametrize("seed", range(10))
def test_batches_seen_in_pretraining_are_not_held_out(seed: int) -> None:
    obs = cells({"a": {"T": 10}, "b": {"T": 5, "B": 5}, "seen": {"T": 5, "B": 5}}, seen="seen")
    assert batches_of(obs, hold_out(obs, Split(seed=seed), "d"))["test"] <= {"a", "b"}
    obs["contaminated"] = True
    assert (hold_out(obs, Split(seed=seed), "d") == "test").any()


def test_dev_is_part_of_the_training_batches_where_none_can_be_spared() -> None:
    obs = cells({"a": {"T": 40, "B": 20, "single": 1}, "b": {"T": 10, "B": 10}})
    sides = hold_out(obs, Split(dev=0.2), "d")
    assert batches_of(obs, sides) == {"train": {"a"}, "dev": {"a"}, "test": {"b"}}
    dev = obs.cell_type[sides == "dev"].value_counts()
    assert dev.to_dict() == {"T": 8, "B": 4}


def test_cells_of_unknown_type_are_on_no_side() -> None:
    obs = cells(EVEN)
    obs.loc[obs.index[::3], "cell_type"] = "unknown"
    assert ((hold_out(obs, Split(), "d") == "") == (obs.cell_type == "unknown")).all()


def test_an_unknown_donor_links_nothing_and_without_batches_the_donor_is_the_unit() -> None:
    obs = cells(EVEN).assign(donor="unknown")
    assert batches_of(obs, hold_out(obs, Split(), "d"))["test"]
    obs = cells(EVEN)
    obs["batch"] = "unknown"
    sides = hold_out(obs, Split(), "d")
    assert not set(obs.donor[sides == "test"]) & set(obs.donor[sides != "test"])


@pytest.mark.parametrize("donors", [None, dict.fromkeys("abcdefgh", "one")])
def test_one_batch_or_one_donor_is_one_sentence(donors: dict | None) -> None:
    obs = cells(EVEN, donors) if donors else cells({"a": {"T": 5, "B": 5}})
    with pytest.raises(ScfmError, match="linked by their batch or donor where held-out batches need two groups"):
        hold_out(obs, Split(), "d")


def test_a_published_split_stands() -> None:
    obs = cells(EVEN)
    obs["split"] = obs.batch.map({"a": "test", "b": "dev"}).fillna("train")
    assert (hold_out(obs, Split(), "d") == obs.split).all()
    without_dev = obs.assign(split=obs.split.replace("dev", "train"))
    sides = hold_out(without_dev, Split(dev=0.1), "d")
    assert (sides == "dev").sum() == 14
    assert ((sides == "test") == (obs.split == "test")).all()
    with pytest.raises(ScfmError, match="batch 'a' stands on both sides of the split"):
        hold_out(obs.assign(split=["train", "test"] * 80), Split(), "d")
    with pytest.raises(ScfmError, match="split holds 'fold1'"):
        hold_out(obs.assign(split="fold1"), Split(), "d")
    with pytest.raises(ScfmError, match="no cell of a known type is in the part 'test'"):
        hold_out(obs.assign(split="train"), Split(), "d")


def test_a_donor_on_both_sides_is_one_sentence() -> None:
    obs = cells(EVEN, dict.fromkeys("abcdefgh", "one"))
    with pytest.raises(ScfmError, match="donor 'one' stands on both sides"):
        check_sides(obs, np.where(obs.batch == "a", "test", "train"), "d")


def random_answers(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.choice(list("abcde"), n, p=[0.5, 0.3, 0.1, 0.07, 0.03])
    return truth, np.where(rng.random(n) < 0.6, truth, rng.choice(list("abxy"), n))


def test_scores_agree_with_scikit_learn() -> None:
    truth, predicted = random_answers()
    found = {one.metric: one for one in held_out_scores(truth, predicted, set("abcxy"), Interval())}
    assert found["accuracy"].value == pytest.approx(accuracy_score(truth, predicted))
    macro = f1_score(truth, predicted, labels=sorted(set(truth)), average="macro", zero_division=0)
    assert found["macro_f1"].value == pytest.approx(macro)
    assert found["unseen"].value == pytest.approx(np.isin(truth, ["d", "e"]).mean())
    assert {one.n for one in found.values()} == {300}
    for name in ("accuracy", "macro_f1"):
        assert found[f"{name}_low"].value < found[name].value < found[f"{name}_high"].value


def test_the_interval_agrees_with_drawing_cells_one_by_one() -> None:
    truth, predicted = random_answers()
    low, high = bootstrap(truth, predicted, Interval(resamples=4000))
    rng, drawn = np.random.default_rng(1), []
    for _ in range(600):
        rows = rng.integers(len(truth), size=len(truth))
        t, p = truth[rows], predicted[rows]
        drawn.append((f1_score(t, p, labels=sorted(set(t)), average="macro", zero_division=0), accuracy_score(t, p)))
    slow = np.quantile(drawn, [0.025, 0.975], axis=0)
    assert np.array([low, high]) == pytest.approx(slow, abs=0.02)


def test_perfect_and_hopeless_answers_have_no_width() -> None:
    truth = np.array(["a", "b"] * 20)
    for predicted, value in ((truth, 1.0), (np.full(40, "c"), 0.0)):
        low, high = bootstrap(truth, predicted, Interval())
        assert [*low, *high] == [value] * 4


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def embeddings(obs: pd.DataFrame, vectors: np.ndarray) -> Path:
        facts = {**FACTS, "name": "d", "tasks": "heldout"}
        uns = {"run": "r", "seed": 3, "datasets": {"d": facts}}
        path = tmp_path / "embeddings.h5ad"
        anndata.AnnData(obs=obs, obsm={"cls": vectors.astype(np.float32)}, uns=uns).write_h5ad(path)
        return path

    return embeddings


def separate(obs: pd.DataFrame) -> np.ndarray:
    """Vectors that tell the types apart."""
    kinds = pd.Categorical(obs.cell_type)
    return 10 * np.eye(len(kinds.categories))[kinds.codes] + np.random.default_rng(0).normal(size=(len(obs), 1))


def test_separate_classes_are_learnt_and_an_unseen_one_counts_as_wrong(write: Callable) -> None:
    obs = cells({"a": {"T": 20, "B": 20}, "b": {"T": 15, "B": 15, "new": 10}})
    obs["split"] = obs.batch.map({"a": "train", "b": "test"})
    table = heldout(write(obs, separate(obs)), Heldout(), "s").set_index("metric")
    assert table.loc["accuracy", ["value", "n", "split"]].tolist() == [30 / 40, 40, "test"]
    assert table.loc["unseen", "value"] == 10 / 40
    assert table.loc["macro_f1", "value"] < 2 / 3 + 1e-9


def test_the_classifier_never_sees_the_held_out_cells(write: Callable) -> None:
    # Test vectors of the two types are exchanged: whoever learnt on them would be right.
    obs = cells({"a": {"T": 20, "B": 20}, "b": {"T": 20, "B": 20}})
    obs["split"] = obs.batch.map({"a": "train", "b": "test"})
    vectors = separate(
        obs.assign(cell_type=obs.cell_type.where(obs.batch == "a", obs.cell_type.map({"T": "B", "B": "T"})))
    )
    table = heldout(write(obs, vectors), Heldout(), "s").set_index("metric")
    assert table.loc["accuracy", "value"] == 0


def test_contamination_is_that_of_the_held_out_cells(write: Callable) -> None:
    obs = cells(EVEN, seen="a")
    for held, said in (("a", "true"), ("b", "false")):
        obs["split"] = np.where(obs.batch == held, "test", "train")
        assert set(heldout(write(obs, separate(obs)), Heldout(), "s")["contaminated"]) == {said}


def test_bad_embeddings_are_one_sentence(write: Callable) -> None:
    obs = cells(EVEN)
    with pytest.raises(ScfmError, match="no cell of a known type is in the part 'train'"):
        heldout(write(obs, separate(obs)), Heldout(), "s")
    obs["split"] = np.where(obs.batch == "a", "test", "train")
    obs.loc[obs.batch != "a", "cell_type"] = "T"
    with pytest.raises(ScfmError, match="dataset 'd': the training cells are all 'T'"):
        heldout(write(obs, separate(obs)), Heldout(), "s")


def test_command_writes_the_same_bytes_twice(write: Callable, tmp_path: Path) -> None:
    obs = cells(EVEN)
    obs["split"] = hold_out(obs, Split(), "d")
    path = write(obs, separate(obs))
    for name in ("one", "two"):
        words = ["heldout", "--embeddings", str(path), "--study", "s", "--out", str(tmp_path / f"{name}.csv")]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
    assert "mean macro_f1 cls 1.000" in result.output
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
