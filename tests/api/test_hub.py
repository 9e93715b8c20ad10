"""Publish to a Hub on this machine through `huggingface_hub` itself, and load from it."""

import errno
import shutil
import sys

import numpy as np
import pytest
from hub_server import Hub

import scfm
from scfm import cli
from scfm.api.hub_errors import hub_sentences
from scfm.errors import ScfmError
from scfm.files import write_json

PARTS = {"model.safetensors", "config.json", "genes.parquet", "labels.json", "metrics.csv", "gene_errors.parquet"}
GIVEN = {"licence": "cc-by-4.0", "verbose": False}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The Hub of the test; what `huggingface_hub` reads from the environment once, when imported, is set there."""
    from huggingface_hub import constants

    hub = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield hub
    hub.close()


@pytest.fixture
def folder(toy_model, tmp_path):
    """A copy of the model directory with a file of another kind in it."""
    folder = shutil.copytree(toy_model, tmp_path / "model")
    (folder / "thesis.txt").write_text("mine")
    return folder


def refuse(call, *words):
    with pytest.raises(ScfmError) as error:
        call()
    text = str(error.value)
    assert "\n" not in text
    assert all(word in text for word in words), text


def test_what_is_published_is_what_is_loaded(hub, folder, toy_adata, capsys):
    version = scfm.push_to_hub(folder, "lab/toy", licence="cc-by-4.0", datasets=["lab/cells"])
    assert capsys.readouterr().out.strip().endswith(version)
    files = hub.files("lab/toy")
    assert set(files) == PARTS | {"README.md", ".gitattributes"}
    assert all(files[name] == (folder / name).read_bytes() for name in PARTS)
    assert b'scfm.from_pretrained("hf:lab/toy")' in files["README.md"]
    assert not hub.repos["lab/toy"]["private"]
    loaded = scfm.from_pretrained("hf:lab/toy", device="cpu")
    expected = scfm.load(folder, "cpu").embed(toy_adata, "cls")["cls"]
    np.testing.assert_array_equal(loaded.embed(toy_adata, "cls")["cls"], expected)
    scfm.embed(toy_adata, version, verbose=False)
    np.testing.assert_array_equal(toy_adata.obsm["X_scfm"], expected)


def test_versions_stay_and_a_file_that_is_gone_goes_there_too(hub, folder):
    write_json(folder / "calibration.json", {"temperature": 2.0, "cells": 9})
    first = scfm.push_to_hub(folder, "lab/toy", **GIVEN)
    (folder / "calibration.json").unlink()
    second = scfm.push_to_hub(folder, "lab/toy", **GIVEN)
    assert "calibration.json" not in hub.files("lab/toy")
    assert scfm.from_pretrained(first).temperature == 2.0
    assert scfm.from_pretrained("hf:lab/toy", revision=first.split("@")[1]).temperature == 2.0
    assert [scfm.from_pretrained(name).temperature for name in (second, "hf:lab/toy")] == [1.0, 1.0]


def test_private_stays_private(hub, folder):
    scfm.push_to_hub(folder, "lab/secret", private=True, **GIVEN)
    assert hub.repos["lab/secret"]["private"]
    scfm.push_to_hub(folder, "lab/open", **GIVEN)
    before = len(hub.repos["lab/open"]["versions"])
    refuse(lambda: scfm.push_to_hub(folder, "lab/open", private=True, **GIVEN), "public already")
    assert len(hub.repos["lab/open"]["versions"]) == before


def test_nothing_is_sent_of_what_is_not_to_be_published(hub, folder, tmp_path):
    refuse(lambda: scfm.push_to_hub(folder, "lab/toy"), "licence: none is given", "--licence")
    refuse(lambda: scfm.push_to_hub(tmp_path / "none", "lab/toy", **GIVEN), "none", "not found")
    refuse(lambda: scfm.push_to_hub(tmp_path, "lab/toy", **GIVEN), "not found")
    refuse(lambda: scfm.push_to_hub(folder, "toy", **GIVEN), "'toy'", "owner/name")
    refuse(lambda: scfm.push_to_hub(folder, "-lab/toy", **GIVEN), "-lab/toy")
    (folder / "labels.json").write_text("{")
    refuse(lambda: scfm.push_to_hub(folder, "lab/toy", **GIVEN), "damaged")
    assert not hub.repos
    assert not [line for line in hub.requests if line.startswith(("POST", "PUT"))]


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, ("does not know you", "log in")), (403, ("no right",)), (404, ("not found", "404")), (507, ("507",))],
)
def test_a_refusal_of_the_hub_is_a_sentence(hub, folder, status, words):
    hub.refuse = status
    refuse(lambda: scfm.push_to_hub(folder, "lab/toy", **GIVEN), "hf:lab/toy", *words)
    refuse(lambda: scfm.from_pretrained("hf:lab/toy"), "hf:lab/toy", *words)


def test_what_is_not_there_or_not_for_you_is_a_sentence(hub, folder, tmp_path):
    refuse(lambda: scfm.from_pretrained("hf:lab/none"), "hf:lab/none", "not found")
    scfm.push_to_hub(folder, "lab/toy", **GIVEN)
    refuse(lambda: scfm.from_pretrained("hf:lab/toy@v9"), "no revision 'v9'")
    refuse(lambda: scfm.from_pretrained("hf:lab/toy", cache=tmp_path / "c", token="wrong"), "does not know you")
    refuse(lambda: scfm.push_to_hub(folder, "lab/toy", token="wrong", **GIVEN), "does not know you")
    hub.commit("lab/toy", {"config.json": None})
    refuse(lambda: scfm.from_pretrained("hf:lab/toy"), "no model of scfm", "config.json")
    refuse(lambda: scfm.from_pretrained("hf:toy"), "owner/name")
    refuse(lambda: scfm.from_pretrained("lab/toy"), "directory not found", "hf:lab/toy")
    refuse(lambda: scfm.from_pretrained(folder, revision="v1"), "revision")


def test_without_the_hub_what_was_fetched_whole_still_loads(hub, folder):
    scfm.push_to_hub(folder, "lab/toy", **GIVEN)
    scfm.from_pretrained("hf:lab/toy")
    hub.close()
    assert scfm.from_pretrained("hf:lab/toy").about["run"] == "toy_hce"
    refuse(lambda: scfm.from_pretrained("hf:lab/other"), "cannot be reached", hub.url)
    refuse(lambda: scfm.push_to_hub(folder, "lab/toy", **GIVEN), "cannot be reached", hub.url)


def test_a_download_that_is_cut_short_leaves_nothing_under_a_final_name(hub, folder, tmp_path):
    scfm.push_to_hub(folder, "lab/toy", **GIVEN)
    hub.cut = True
    refuse(lambda: scfm.from_pretrained("hf:lab/toy"), "hf:lab/toy", "incomplete")
    assert not [path for path in (tmp_path / "cache").rglob("snapshots/*/*") if path.stat().st_size]
    hub.cut = False
    assert scfm.from_pretrained("hf:lab/toy").about["run"] == "toy_hce"


def test_a_full_disk_and_a_missing_package_are_sentences(monkeypatch, folder):
    def full():
        with hub_sentences("hf:lab/toy"):
            raise OSError(errno.ENOSPC, "No space left on device", "/cache/blob")

    refuse(full, "/cache/blob", "No space left", "free some space")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    refuse(lambda: scfm.push_to_hub(folder, "lab/toy", **GIVEN), "pip install 'scfm[hub]'")
    refuse(lambda: scfm.from_pretrained("hf:lab/toy"), "pip install 'scfm[hub]'")


def test_an_error_that_is_nobodys_refusal_is_shown_as_it_is():
    with pytest.raises(ZeroDivisionError), hub_sentences("hf:lab/toy"):
        _ = 1 / 0


def test_a_directory_loads_as_ever_and_calibrate_needs_one(folder, toy_adata):
    assert scfm.from_pretrained(folder, device="cpu").about["run"] == "toy_hce"
    refuse(lambda: scfm.calibrate(toy_adata, "hf:lab/toy"), "hf:lab/toy", "name the directory")


def test_commands(hub, folder, toy_adata, tmp_path, monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["scfm", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return captured.err if end.value.code else captured.out

    assert "licence mit; hf:lab/toy@" in call("push", folder, "lab/toy", "--licence", "mit")
    assert call("card", folder, "--licence", "mit").startswith("---\nlicense: mit\n")
    toy_adata.write_h5ad(tmp_path / "in.h5ad")
    line = call("embed", tmp_path / "in.h5ad", tmp_path / "out.h5ad", "--model", "hf:lab/toy")
    assert line.startswith("embed: 40 cells")
    assert call("push", folder, "lab/toy").startswith("scfm: error: licence: none is given")
