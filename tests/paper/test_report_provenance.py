"""Digests and seeds that the report gives with each run."""

import json

from scfm.paper.provenance import config_digests, seeds


def write(path, **content):
    path.write_text(json.dumps(content))
    return path


def test_runs_of_the_same_settings_share_a_digest(tmp_path):
    configs = {
        ("wced", "0"): write(tmp_path / "a.json", settings={"layers": 1, "heads": 2}, seed=0, updates=3),
        ("wced", "1"): write(tmp_path / "b.json", settings={"heads": 2, "layers": 1}, seed=1, updates=4),
        ("mlm", "0"): write(tmp_path / "c.json", settings={"layers": 2, "heads": 2}, seed=0),
    }
    settings = {"benchmarks": {"pca": {"components": 5}, "scvi": None}, "concatenations": {"both": [{"run": "mlm"}]}}
    found = config_digests(configs, settings)
    assert set(found) == {"wced/0", "wced/1", "mlm/0", "pca", "both"}
    assert found["wced/0"]["digest"] == found["wced/1"]["digest"] != found["mlm/0"]["digest"]
    assert found["mlm/0"]["file"] == str(tmp_path / "c.json")
    # printf '{"components": 5}' | sha256sum
    assert found["pca"] == {"digest": "04ddd145be88", "file": ""}


def test_seeds_are_found_wherever_they_stand():
    settings = {"runs": {"mlm": {"seeds": [3, 4]}}, "paper": {"seed": 7, "seedling": 1}, "seed": 0, "batch": "seed"}
    table = seeds(settings)
    assert dict(zip(table.key, table.value, strict=True)) == {
        "runs.mlm.seeds.0": "3",
        "runs.mlm.seeds.1": "4",
        "paper.seed": "7",
        "seed": "0",
    }
