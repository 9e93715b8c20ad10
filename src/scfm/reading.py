"""Turning what libraries raise on a missing or damaged file into one sentence."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scfm.errors import ScfmError

DAMAGED = (ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile)
"""What parsers and decompressors raise on a file that is cut short or of another format."""


@contextmanager
def reading(path: Path, resource: str, expected: str) -> Iterator[None]:
    """Run a block that reads `path`.

    Args:
        resource: name of the resource the file belongs to, for the message.
        expected: what the file should be, for the message.

    Raises:
        ScfmError: the file is missing, or the block fails on its content.
    """
    if not Path(path).is_file():
        raise ScfmError(f"{path}: file not found; check the resource '{resource}'")
    try:
        yield
    except DAMAGED as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ScfmError(f"{path}: cannot be read ({reason}); expected {expected}, fetch it again") from error
