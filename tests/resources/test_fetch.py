"""One resource from a mirror folder or by URL, verified and recorded."""

import hashlib
import io
import json
import zipfile

import pytest

from scfm.errors import ScfmError
from scfm.resources import Resource, read_record
from scfm.resources.fetch import fetch

OTHER = "0" * 64


@pytest.fixture
def call(tmp_path, quick):
    """Fetch a resource given by the fields that matter; the paths lie in `tmp_path`."""

    def run(folder=None, out=tmp_path / "out" / "file.bin", **fields):
        resource = Resource(title="A file", reader="tsv", licence="CC0", **fields)
        return fetch("thing", resource, folder, tmp_path / "work" / "thing.part", out, tmp_path / "thing.json", quick)

    run.out, run.record, run.work = tmp_path / "out" / "file.bin", tmp_path / "thing.json", tmp_path / "work"
    return run


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file.bin").write_bytes(b"copy")
    (folder / "sub" / "file.bin").chmod(0o444)
    return folder


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def nothing_left(call):
    """No file under a final name, nor a temporary beside it."""
    return not call.record.exists() and not (call.out.parent.exists() and any(call.out.parent.iterdir()))


def test_url_is_verified_and_recorded(site, call):
    call(url=site.url, sha256=digest(site.body), release="2025-03")
    assert call.out.read_bytes() == site.body
    assert not any(call.work.iterdir())
    record = read_record(call.record)
    assert record.model_dump() == {
        "name": "thing", "file": "file.bin", "size": len(site.body), "sha256": digest(site.body), "verified": "sha256",
        "source": site.url, "date": "2025-03-05", "release": "2025-03", "licence": "CC0", "reader": "tsv", "note": "",
    }  # fmt: skip


def test_without_digest_the_length_is_what_was_verified(site, call):
    assert call(url=site.url).verified == "length"


def test_without_digest_and_length_nothing_was_verified(site, call):
    site.length = False
    assert call(url=site.url).verified == "none"


def test_mirror_is_preferred_and_its_own_digest_counts(site, call, mirror):
    record = call(
        mirror, url=site.url, sha256=OTHER, release="new", mirror="sub/file.bin", mirror_sha256=digest(b"copy"),
        mirror_release="old",
    )  # fmt: skip
    assert call.out.read_bytes() == b"copy"
    assert site.asked == []
    assert (record.source, record.release, record.verified) == ("mirror:sub/file.bin", "old", "sha256")


def test_missing_mirror_file_is_never_fetched_by_url(site, call, mirror):
    with pytest.raises(
        ScfmError, match=r"absent.bin: resource 'thing' is missing in the mirror; put the file there, or"
    ):
        call(mirror, url=site.url, mirror="sub/absent.bin")
    assert site.asked == []
    assert nothing_left(call)


def test_a_resource_without_copy_says_where_to_fetch_it(site, call, mirror):
    with pytest.raises(ScfmError, match="no mirror copy is named for it; fetch without a mirror folder"):
        call(mirror, url=site.url)
    assert nothing_left(call)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package `bundle` 2.1 with the file data/cells.bin."""
    site_packages = tmp_path / "site-packages"
    (site_packages / "bundle" / "data").mkdir(parents=True)
    (site_packages / "bundle" / "data" / "cells.bin").write_bytes(b"cells")
    (site_packages / "bundle-2.1.dist-info").mkdir()
    (site_packages / "bundle-2.1.dist-info" / "METADATA").write_text("Name: bundle\nVersion: 2.1\n")
    monkeypatch.syspath_prepend(site_packages)


@pytest.mark.usefixtures("package")
def test_a_file_of_a_package_comes_from_there_mirror_or_not(call, mirror):
    for folder in (None, mirror):
        record = call(folder, package="bundle/data/cells.bin", sha256=digest(b"cells"))
        assert call.out.read_bytes() == b"cells"
        assert (record.source, record.release) == ("package:bundle/data/cells.bin", "2.1")
        assert record.verified == "sha256"


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("bundle/data/cells.bin", r"expected 0{64}; install another version of bundle than 2\.1"),
        ("bundle/data/absent.bin", r"absent\.bin: resource 'thing' is missing in bundle 2\.1; install another version"),
        ("no_such_package/a.bin", "package 'no_such_package', which it comes with, is not installed; install it"),
    ],
)
def test_a_package_without_the_right_file(call, inside, expected):
    with pytest.raises(ScfmError, match=expected):
        call(package=inside, sha256=OTHER)
    assert nothing_left(call)


def test_a_resource_without_url_needs_the_mirror(call):
    with pytest.raises(ScfmError, match="no URL serves this file, which stems from GSE1; configure a mirror folder"):
        call(mirror="sub/file.bin", source="GSE1")
    assert nothing_left(call)


def test_wrong_digest_by_url(site, call):
    with pytest.raises(ScfmError, match=f"sha256 is {digest(site.body)}, expected {OTHER}"):
        call(url=site.url, sha256=OTHER)
    assert nothing_left(call)
    assert not any(call.work.iterdir())


def test_wrong_digest_in_the_mirror(call, mirror):
    with pytest.raises(ScfmError, match=f"sha256 is {digest(b'copy')}, expected {OTHER}"):
        call(mirror, mirror="sub/file.bin", mirror_sha256=OTHER)
    assert nothing_left(call)


def test_truncated_download_leaves_only_the_partial_file(site, call):
    site.cuts = [50_000, 0, 0, 0]
    with pytest.raises(ScfmError, match=r"truncated.*go on from 50,000 bytes"):
        call(url=site.url)
    assert nothing_left(call)
    call(url=site.url)
    assert call.out.read_bytes() == site.body


def test_a_member_is_taken_out_of_the_archive(site, call):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("table.tsv", "a\tb\n")
    site.body = packed.getvalue()
    record = call(url=site.url, sha256=digest(site.body), member="table.tsv")
    assert call.out.read_text() == "a\tb\n"
    assert record.sha256 == digest(b"a\tb\n")
    with pytest.raises(ScfmError, match=r"the archive holds no file 'other.tsv'"):
        call(url=site.url, member="other.tsv")


def test_a_damaged_archive_is_named(site, call):
    with pytest.raises(ScfmError, match="not a whole zip archive"):
        call(url=site.url, member="table.tsv")
    assert nothing_left(call)


def test_a_folder_that_cannot_be_written(site, call, tmp_path):
    (tmp_path / "blocked").write_text("a file where a folder should be")
    with pytest.raises(ScfmError, match="blocked: cannot write here"):
        call(url=site.url, out=tmp_path / "blocked" / "file.bin")
    assert site.asked == []


def test_a_read_only_folder(site, call, monkeypatch):
    # Root may write anywhere, so the answer of the system is what is replaced.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(ScfmError, match="out: cannot write here"):
        call(url=site.url)
    assert site.asked == []


def test_a_full_disk(site, call, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr("scfm.resources.fetch.shutil.move", full)
    with pytest.raises(ScfmError, match=r"somewhere: cannot be written .No space left on device."):
        call(url=site.url)
    assert nothing_left(call)


def test_the_record_is_json_with_sorted_keys(call, mirror):
    call(mirror, mirror="sub/file.bin")
    keys = list(json.loads(call.record.read_text()))
    assert keys == sorted(keys)
