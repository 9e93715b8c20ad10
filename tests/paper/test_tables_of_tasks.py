import pandas as pd
import pytest

from scfm.errors import ScfmError
from scfm.paper.tables.by_dataset import MEASURES, held_out, metric_by_dataset
from scfm.paper.tables.mouse import mouse
from scfm.paper.tidy import summarise


def with_mouse(make, tidy):
    rows = [("wced", "cls", "marrow", "integration_mus_musculus", "score", seed, 0.1) for seed in (0, 1)]
    rows += [("wced", "cls", name, "probe_mus_musculus", "macro_f1", 0, 0.2) for name in ("marrow", "brain")]
    return pd.concat([tidy, make(rows)], ignore_index=True)


def test_mouse_has_its_own_table(make, tidy):
    table = mouse(with_mouse(make, tidy))
    assert table["measure"].tolist() == ["integration score", "probe macro_f1"]
    assert table["marrow"].tolist() == ["0.100 ± 0.000", "0.200"]
    assert table["brain"].tolist() == ["", "0.200"]


@pytest.mark.parametrize("name", ["5", "macro-f1"])
def test_human_tables_are_the_same_with_mouse_and_without(make, tidy, name):
    both = [metric_by_dataset(table, *MEASURES[name]) for table in (tidy, with_mouse(make, tidy))]
    assert both[0].equals(both[1])
    assert summarise(tidy).dataset.nunique() == 3


def test_fine_tuning_is_a_row_among_the_probes_of_held_out_batches(make):
    rows = [
        ("wced", pooling, "blood", task, "macro_f1", 0, value)
        for pooling, task, value in (
            ("cls", "heldout", 0.5),
            ("finetuned", "finetune", 0.7),
            ("finetuned", "finetune_mus_musculus", 0.1),
        )
    ]
    table = held_out(make(rows))
    assert table[["pooling", "blood"]].to_numpy().tolist() == [["cls", "0.500"], ["finetuned", "0.700"]]


def test_without_mouse_the_table_is_refused(tidy):
    with pytest.raises(ScfmError, match="no measurement integration_mus_musculus/score"):
        mouse(tidy)
