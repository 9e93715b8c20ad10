"""How the C library of Linux treats memory that was given back to it."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Numbers of glibc's mallopt."""
LARGEST = 32 * 1024**2
"""Bytes; what is larger always comes from the kernel. The largest limit that glibc takes."""


def keep_freed_memory() -> None:
    """Use freed memory again instead of returning it, in this process and from now on.

    A step that works block after block needs the same memory each time. By default most of it goes back to the kernel,
    which clears it page by page before it comes again: a quarter of the time of reading, 6 to 11 % (MLM) and 5 to 17 %
    (WCED) of small training steps (benchmarks/freed.py), nothing of embedding. Without glibc nothing happens. Measured
    on two cores; the one arena is one lock for all threads, which on many cores may cost more than it saves.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_ARENA_MAX, 1)  # threads have arenas of their own, which return what they hold whatever the limits
