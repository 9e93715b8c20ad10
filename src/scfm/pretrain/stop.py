"""When a training must stop before its end: a signal came, or its time is up."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

from scfm.errors import ScfmError

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(ScfmError):
    """A training was asked to stop before its end; its checkpoint waits."""


class Stop:
    """Whether to stop, asked between updates: a handler that did more would meet an update half done."""

    def __init__(self, max_minutes: float | None) -> None:
        self.signal: int | None = None
        self.max_minutes = max_minutes
        self.deadline = float("inf") if max_minutes is None else time.monotonic() + 60 * max_minutes

    @property
    def reason(self) -> str | None:
        """What asks to stop, None as long as nothing does."""
        if self.signal is not None:
            return f"by {signal.Signals(self.signal).name}"
        return f"after max_time ({self.max_minutes:g} minutes)" if time.monotonic() >= self.deadline else None


@contextmanager
def stop_on_request(max_minutes: float | None) -> Iterator[Stop]:
    """Turn SIGTERM and SIGINT into a request to stop, as long as the block runs.

    After a SIGTERM further ones are ignored for good: batch systems send several, and the process is about to end.

    Args:
        max_minutes: time from now after which to stop too; None for no limit.
    """
    stop = Stop(max_minutes)

    def note(number: int, frame: object) -> None:
        stop.signal = number

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            ended = number == stop.signal == signal.SIGTERM
            signal.signal(number, signal.SIG_IGN if ended else handler)


@contextmanager
def spare_new_processes() -> Iterator[None]:
    """Let SIGTERM and SIGINT not reach the processes that are started in the block; this one meets them by its end.

    A process that is not forked needs seconds until it can ignore them itself.
    """
    resource_tracker.ensure_running()  # its start would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_stop(worker: int = 0) -> None:
    """Let the main process decide: it still needs its loader when both get the signal."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
