import numpy as np
import pandas as pd
import pytest

from scfm.corpus.settings import Split
from scfm.corpus.split import coverage_split, split_cells
from scfm.errors import ScfmError


def table(cells=200, datasets=4, donors=5, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"soma_joinid": np.arange(cells), "dataset_id": rng.integers(datasets, size=cells).astype(str)}
    )
    frame["donor_id"] = rng.integers(donors, size=cells).astype(str)
    frame["cell_type_ontology_term_id"] = rng.choice(["A", "B", "C", "unknown"], size=cells)
    return frame


def test_coverage_rule_on_a_literal_example():
    types = {
        "wide": set("abcde"),  # first: nothing is covered yet
        "second": set("abcd"),  # covered by wide, validation lacks all of them
        "new": set("abf"),  # f is new
        "again": set("abc"),  # covered on both sides
        "rare": set("ef"),  # covered by wide and new, validation lacks e and f
        "unlabelled": set(),  # nothing that validation could lack
    }
    assert coverage_split(types) == {
        "wide": "train",
        "second": "validation",
        "again": "train",
        "new": "train",
        "rare": "validation",
        "unlabelled": "train",
    }


def test_coverage_rule_breaks_ties_by_name():
    assert coverage_split({"b": {"x"}, "a": {"x"}}) == {"a": "train", "b": "validation"}


@pytest.mark.parametrize(
    ("by", "unit"), [("dataset", ["dataset_id"]), ("donor", ["dataset_id", "donor_id"]), ("cell", ["soma_joinid"])]
)
def test_nothing_stands_on_both_sides(by, unit):
    cells = table()
    side, report = split_cells(cells, Split(by=by, fraction=0.3))
    assert cells.assign(side=side).groupby(unit)["side"].nunique().max() == 1
    assert set(side) == {"train", "validation"}
    assert report["cells"].sum() == len(cells)
    np.testing.assert_array_equal(side, split_cells(cells, Split(by=by, fraction=0.3))[0])


def test_share_of_cells_is_exact():
    side, _ = split_cells(table(1000), Split(by="cell", fraction=0.2))
    assert (side == "validation").sum() == 200


def test_a_donor_name_means_another_person_in_another_dataset():
    cells = table(40, datasets=2, donors=1)
    side, report = split_cells(cells, Split(by="donor", fraction=0.5))
    assert report["unit"].tolist() == ["0:0", "1:0"]
    assert (side == "validation").any()


@pytest.mark.parametrize(("by", "sizes"), [("donor", (20, 1, 1)), ("cell", (1, 1, 1)), ("dataset", (20, 1, 3))])
def test_a_single_unit_cannot_be_split(by, sizes):
    cells, datasets, donors = sizes
    with pytest.raises(ScfmError, match=f"by '{by}'"):
        split_cells(table(cells, datasets, donors), Split(by=by))
