"""Where the cells of a study come from decides which jobs read them, and what they are given."""

import pytest
import yaml

STUDY = "config/studies/local.yaml"


@pytest.fixture
def local(fresh, tmp_path):
    """Function that writes a study on a mouse h5ad and a human 10x folder; keys are laid over its corpus."""
    folder = tmp_path / "filtered_feature_bc_matrix"
    folder.mkdir()
    (tmp_path / "mouse.h5ad").touch()
    rows = [
        ("pbmc", f"file:{folder}", "Homo sapiens", "counts"),
        ("marrow", f"file:{tmp_path}/mouse.h5ad", "Mus musculus", "counts"),
    ]
    sheet = fresh.folder / "config" / "datasets.tsv"
    header = sheet.read_text().splitlines()[0].split("\t")
    for row in rows:
        fields = {"panel": "false"} | dict(zip(("name", "resource", "organism", "values"), row, strict=True))
        sheet.write_text(sheet.read_text() + "\t".join(fields.get(column, "") for column in header) + "\n")

    def write(**corpus):
        study = yaml.safe_load((fresh.folder / "config/studies/mini.yaml").read_text())
        source = {"kind": "files", "datasets": ["pbmc", "marrow"]}
        study["corpus"] = {**study["corpus"], "source": source, "parts": 3, **corpus}
        study["datasets"] = {"ours": {name: {"role": "pretrain"} for name in source["datasets"]}}
        (fresh.folder / STUDY).write_text(yaml.safe_dump(study))
        return fresh

    return write


TARGET = ("results/local/corpus/shards/manifest.json", "--config", "study=local")


def test_deposits_are_read_in_place(local, tmp_path):
    jobs = {job.name: job for job in local().jobs(*TARGET)}
    ranges = {f"{rule} {part:04d}" for rule in ("scan", "scatter_part") for part in range(3)}
    fetched = {name for name in jobs if name.startswith("fetch ")}
    assert set(jobs) == {"convert pbmc", "select", "gather_shards", *ranges, *fetched}
    assert {name.split("/")[0] for name in fetched} == {"fetch hgnc", "fetch mouse_orthologs"}
    assert jobs["convert pbmc"].input == [str(tmp_path / "filtered_feature_bc_matrix")]
    for name in ranges:
        files = [path for path in jobs[name].input if path.endswith(".h5ad")]
        assert files == ["results/local/corpus/deposits/pbmc.h5ad", str(tmp_path / "mouse.h5ad")]


def test_a_species_without_orthologs_is_one_sentence(local):
    clone = local(genes={"orthologs": {}})
    done = clone.run(*TARGET, "-n")
    assert done.returncode == 1
    assert "cells of mus_musculus need the orthologs of its genes; name their resource" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_list_of_cells_is_an_input(local, tmp_path):
    (tmp_path / "cells.csv").write_text("soma_joinid\n1\n")
    jobs = {job.rule: job for job in local(joinids=str(tmp_path / "cells.csv")).jobs(*TARGET)}
    assert str(tmp_path / "cells.csv") in jobs["select"].input
