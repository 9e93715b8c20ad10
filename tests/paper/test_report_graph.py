"""The workflow as it ran, from records, against a graph whose form is known."""

import json
import re

import pytest
from report_inputs import write_records

from scfm.errors import ScfmError
from scfm.paper.rule_graph import Rule, draw, read_graph, reduced


def test_rules_come_from_the_records(tmp_path):
    records = write_records(tmp_path / "records", tmp_path)
    rules = read_graph([tmp_path / "table5.csv", tmp_path / "metrics.csv", tmp_path / "unknown.csv"], records)
    assert {name: rule.after for name, rule in rules.items()} == {
        "table5": {"train", "gather"},
        "train": {"gather"},
        "gather": set(),
        "report": {"table5", "train"},
    }
    assert {name: rule.stage for name, rule in rules.items()} == {
        "table5": "paper",
        "train": "pretrain",
        "gather": "corpus",
        "report": "paper",
    }
    assert reduced(rules)["table5"] == {"train"}  # gather comes before it anyway


def test_names_too_long_for_one_file_are_found(tmp_path):
    from base64 import urlsafe_b64encode

    name = "results/" + "x" * 250 + ".csv"
    encoded = urlsafe_b64encode(name.encode()).decode()
    (tmp_path / f"@{encoded[:254]}").mkdir()
    record = {"rule": "long", "log": [], "job_hash": 1, "input": []}
    (tmp_path / f"@{encoded[:254]}" / encoded[254:]).write_text(json.dumps(record))
    assert set(read_graph([name], tmp_path)) == {"long", "report"}


def test_without_records_nothing_is_drawn(tmp_path):
    assert draw(read_graph([tmp_path / "a.csv"], tmp_path / "none")) == ""


def test_a_damaged_record_is_named(tmp_path):
    records = write_records(tmp_path / "records", tmp_path)
    for path in records.iterdir():
        path.write_text("{}")
    with pytest.raises(ScfmError, match=r"not a record of Snakemake \(KeyError\)"):
        read_graph([tmp_path / "table5.csv"], records)


def test_every_line_runs_from_left_to_right_between_boxes():
    after = {"a": "", "b": "a", "c": "a", "d": "bc", "e": "ad", "f": ""}
    rules = {name: Rule("corpus", {(name, k) for k in range(2)}, set(befores)) for name, befores in after.items()}
    drawn = draw(rules)
    boxes = {name: (float(x), float(y)) for name, x, y in _boxes(drawn)}
    assert set(boxes) == set(after)
    assert len(set(boxes.values())) == len(boxes)
    lines = re.findall(r'd="M([\d.]+) ([\d.]+)C.*? ([\d.]+) ([\d.]+)"', drawn)
    assert len(lines) == sum(map(len, reduced(rules).values())) == 5
    assert all(float(x1) < float(x2) for x1, _, x2, _ in lines)
    assert drawn.count("× 2") == len(after)


def _boxes(drawn):
    return re.findall(r'<title>(\w+) .*?</title><rect x="([\d.]+)" y="([\d.]+)"', drawn)
