"""The one exception that users see as a sentence instead of a traceback, and what becomes one: a disk that refuses."""

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path


class ScfmError(Exception):
    """Bad input: one sentence that names the file, column or key, what was expected and what to do."""


REFUSALS = {
    errno.ENOSPC: "free some space or choose another folder",
    errno.EDQUOT: "free some of your quota or choose another folder",
    errno.EROFS: "choose another folder",
    errno.EACCES: "fix its rights or choose another folder",
}
"""What a file system answers to whom it gives no place, and what to do."""

CUT_SHORT = re.compile(r"\d+ requested and \d+ written|iostream error|unexpected pos \d+ vs \d+")
"""What numpy and torch say when the disk takes only a part, without the reason."""


def refusal(error: BaseException, path: Path | None = None) -> ScfmError | None:
    """The sentence for a disk that is full or a file that may not be written, if that is behind `error`; else None.

    Libraries tell it by errno, or only in words, or while they handle another error: the whole chain is looked at.

    Args:
        path: what was being written, where the error names no other file.
    """
    for link in _chain(error):
        code = _code(link)
        if code or (isinstance(link, OSError | RuntimeError) and CUT_SHORT.search(str(link))):
            reason = os.strerror(code) if code else "the disk took only a part of it"
            done, advice = "opened" if code == errno.EACCES else "written", REFUSALS[code or errno.ENOSPC]
            return ScfmError(f"{_file(link, path)}: cannot be {done} ({reason}); {advice}")
    return None


def _file(error: BaseException, path: Path | None) -> object:
    """What could not be written; temporary names beside `path` stand for it."""
    named = getattr(error, "filename2", None) or getattr(error, "filename", None)
    if path and (not named or Path(str(named)).is_relative_to(path.parent)):
        return path
    return named or f"a file in a temporary folder ({tempfile.gettempdir()}) or one of your home"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what a traceback would show as its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _code(error: BaseException) -> int | None:
    """The refusal's errno, as such or in the text, where HDF5, TileDB, Rust and torch put it."""
    if isinstance(error, OSError) and error.errno in REFUSALS:
        return error.errno
    text = str(error)
    return next((code for code in REFUSALS if os.strerror(code) in text or f"(os error {code})" in text), None)
