"""The graph behind figure 1: stages, jobs and the files between them."""

import re
import sys
from types import SimpleNamespace

from clone import ROOT

sys.path.append(str(ROOT / "workflow"))

from flows import flows


def rule(name, stage, made, needed):
    """A rule that makes `made` and needs `needed`, both with `{w}` for its wildcard."""
    pattern = re.compile(re.escape(made).replace(r"\{w\}", "(?P<w>[a-z])"))
    return SimpleNamespace(
        name=name,
        stage=stage,
        is_producer=pattern.fullmatch,
        get_wildcards=lambda file: pattern.fullmatch(file).groupdict(),
        expand_input=lambda wildcards: (
            [path.replace("{w}", wildcards.get("w", "")) for path in needed],
            {},
            {},
            False,
        ),
    )


def test_jobs_and_files_are_counted_once():
    rules = [
        rule("build", "corpus", "cells", ["deposit"]),
        rule("train", "pretrain", "model-{w}", ["cells"]),
        rule("score", "benchmarks", "score-{w}", ["model-{w}", "cells"]),
        rule("table", "paper", "table", ["score-a", "score-b"]),
        rule("page", "paper", "page", ["table", "score-a"]),
    ]
    found = flows(rules, ["page"], lambda rule: rule.stage)
    assert found["stages"] == {
        "benchmarks": {"score": 2},
        "corpus": {"build": 1},
        "paper": {"page": 1, "table": 1},
        "pretrain": {"train": 2},
    }
    assert found["flows"] == [
        ["benchmarks", "paper", 2],  # score-a is read twice there
        ["corpus", "benchmarks", 1],
        ["corpus", "pretrain", 1],
        ["pretrain", "benchmarks", 2],
    ]
