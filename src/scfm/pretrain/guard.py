"""One trainer per work folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scfm.errors import ScfmError


@contextmanager
def sole_trainer(folder: Path) -> Iterator[None]:
    """Hold a lock on `folder` that the kernel releases with the process.

    Raises:
        ScfmError: another process trains there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ScfmError(f"{folder}: another process trains this run; wait for it or end it") from error
        yield
