"""A disk that refuses is told from other errors, however a library wraps it."""

import errno

import pytest

from scfm.errors import ScfmError, refusal
from scfm.files import must_be_writable, whole, writing

FULL = OSError(errno.ENOSPC, "No space left on device")


def chained(outer, inner, cause=True):
    """`outer`, raised from `inner` or while it was handled."""
    try:
        try:
            raise inner
        except OSError as error:
            if cause:
                raise outer from error
            raise outer  # noqa: B904
    except Exception as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        OSError("[Errno 28] Can't write data (errno = 28, error message = 'No space left on device', buf = 0x7f)"),
        RuntimeError("IO Error: Cannot write to file 'x'; POSIX write error:No space left on device"),
        ValueError("Error while serializing: I/O error: something (os error 28)"),
        chained(RuntimeError("the writer failed"), FULL),
        chained(KeyError("while closing"), FULL, cause=False),
    ],
)
def test_full_disk(tmp_path, error):
    said = str(refusal(error, tmp_path / "table.csv"))
    assert said == (
        f"{tmp_path / 'table.csv'}: cannot be written (No space left on device); "
        "free some space or choose another folder"
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EDQUOT, ("cannot be written", "quota")),
        (errno.EROFS, ("cannot be written", "Read-only file system", "choose another folder")),
        (errno.EACCES, ("cannot be opened", "Permission denied", "fix its rights")),
    ],
)
def test_other_refusals(code, words):
    import os

    said = str(refusal(OSError(code, os.strerror(code), "/data/x")))
    assert said.startswith("/data/x: ")
    assert all(word in said for word in words)
    assert "\n" not in said


@pytest.mark.parametrize("text", ["1000000 requested and 32752 written", "basic_ios::clear: iostream error"])
def test_writes_cut_short_without_reason(tmp_path, text):
    said = str(refusal(OSError(text) if "requested" in text else RuntimeError(text), tmp_path / "x.npy"))
    assert said.startswith(f"{tmp_path / 'x.npy'}: cannot be written (the disk took only a part of it); free some")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("28"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "x"),
        KeyError("iostream error"),
        OSError("truncated file"),
    ],
)
def test_other_errors_keep_their_traceback(error):
    assert refusal(error) is None
    with pytest.raises(type(error)), writing("x"):
        raise error


def test_a_cause_that_was_hidden_does_not_count():
    with pytest.raises(ValueError, match="a bug") as caught:  # noqa: PT012
        try:
            raise FULL
        except OSError:
            raise ValueError("a bug") from None
    assert refusal(caught.value) is None


def test_the_file_that_the_error_names_counts_unless_it_is_the_temporary_one(tmp_path):
    out = tmp_path / "out.csv"
    with pytest.raises(ScfmError, match=rf"^{out}: cannot be written"), whole(out) as part:
        raise OSError(errno.ENOSPC, "No space left on device", str(part))
    with pytest.raises(ScfmError, match=r"^/mirror/in.csv: cannot be opened"), whole(out):
        raise OSError(errno.EACCES, "Permission denied", "/mirror/in.csv")
    with pytest.raises(ScfmError, match=rf"^{out}: cannot be written"), whole(out) as part:
        raise OSError(errno.ENOSPC, "No space left on device", "/mirror/in.csv", None, str(part))  # a copy
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_is_refused_before_anything_begins(tmp_path, monkeypatch):
    must_be_writable(tmp_path / "results", "results")
    monkeypatch.setattr("scfm.files.ROOM", 1 << 60)
    with pytest.raises(ScfmError, match=r"^results: '.*/results' has no space left; free some"):
        must_be_writable(tmp_path / "results", "results")
