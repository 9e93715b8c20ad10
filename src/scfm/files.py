"""Writing files so that nothing half-written ever stands under a final name."""

import glob
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scfm.errors import ScfmError, refusal

ROOM = 1 << 16
"""Bytes without which it is of no use to begin."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Run a block that writes `path`; a disk that refuses ends it with a sentence.

    Raises:
        ScfmError: the disk is full or read-only, or rights are missing.
    """
    try:
        yield
    except ScfmError:
        raise
    except Exception as error:
        if sentence := refusal(error, path):
            raise sentence from error
        raise


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` only if the block succeeds.

    The block may create a file or a directory under the temporary name. The temporary name ends like
    `path`, so that libraries that look at the ending write the right format. A file replaces a file and a
    directory a directory, never one the other. What attempts that were killed have left under such names goes first.

    Raises:
        ScfmError: the folder of `path` cannot be written, the disk is full, or a file stands where a directory is to
            be, or the reverse.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(f"no write permission for {path.parent}")
    except OSError as error:
        raise ScfmError(
            f"{path.parent}: cannot write here ({error.strerror or error}); choose another folder or fix its rights"
        ) from error
    for stale in path.parent.glob(f".{'[0-9a-f]' * 8}.{glob.escape(path.name)}"):
        _remove(stale)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        with writing(path):
            yield temporary
        if path.exists() and path.is_dir() != temporary.is_dir():
            found, wanted = ("folder", "file") if path.is_dir() else ("file", "folder")
            raise ScfmError(f"{path}: is a {found}, but a {wanted} is to be written; choose another name or remove it")
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, data: object) -> None:
    """Write `data` as indented JSON with a stable key order."""
    with whole(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")


def must_be_writable(folder: Path, what: str) -> None:
    """Raise a sentence if `folder` cannot be made or written.

    Raises:
        ScfmError: the nearest part of its path that exists is not a folder, may not be written, or has no space left.
    """
    folder = Path(folder)
    nearest = next(part for part in (folder, *folder.absolute().parents) if part.exists())
    if not nearest.is_dir():
        raise ScfmError(f"{what}: '{folder}' cannot be made, since {nearest} is a file; name another folder")
    if not os.access(nearest, os.W_OK):
        raise ScfmError(f"{what}: '{folder}' cannot be written; name another folder or fix the rights of {nearest}")
    if shutil.disk_usage(nearest).free < ROOM:
        raise ScfmError(f"{what}: '{folder}' has no space left; free some or name another folder")


def must_exist(path: Path, what: str) -> Path:
    """Return `path`, or raise a sentence that says what is missing.

    Raises:
        ScfmError: `path` does not exist.
    """
    path = Path(path)
    if not path.exists():
        raise ScfmError(f"{path}: {what} not found; check the path")
    return path
