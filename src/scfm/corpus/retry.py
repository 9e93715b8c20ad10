"""Reading what may be out of reach for a while."""

import time
from collections.abc import Callable
from typing import TypeVar

from scfm.corpus.settings import Retry
from scfm.errors import ScfmError

Result = TypeVar("Result")
LONGEST = 60.0
"""Seconds that a pause is never longer than."""


def patiently(
    read: Callable[[], Result],
    faults: tuple[type[Exception], ...],
    what: str,
    retry: Retry,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Call `read` until it succeeds, with doubled pauses between the attempts.

    Args:
        faults: exceptions that a later attempt may not meet; others are raised at once.
        what: what is read, for the message.

    Raises:
        ScfmError: the last attempt failed as well.
    """
    for attempt in range(1, retry.attempts + 1):
        try:
            return read()
        except faults as error:
            if attempt == retry.attempts:
                raise ScfmError(
                    f"{what}: cannot be read after {attempt} attempts ({reason(error)}); check the location and the "
                    "network, or raise corpus.retry"
                ) from error
        sleep(min(LONGEST, retry.seconds * 2 ** (attempt - 1)))
    raise AssertionError("unreachable: a retry has at least one attempt")


def reason(error: Exception) -> str:
    """A library's message in one line, without the list of calls and the closing stop."""
    return " ".join(str(error).split(" At:\n")[0].split(" At: ")[0].split()).rstrip(".") or type(error).__name__
