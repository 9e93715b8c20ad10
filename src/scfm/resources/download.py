"""One file over HTTP, resumed where an earlier attempt stopped."""

import json
import sys
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests
import urllib3
from tqdm import tqdm

from scfm.errors import ScfmError
from scfm.files import write_json

CHUNK = 1 << 18
"""Bytes read at a time."""

TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses that a later attempt may not meet."""


@dataclass(frozen=True)
class Retries:
    """How often to try, and how long to wait."""

    attempts: int = 5
    """Attempts in a row that bring no new byte before giving up."""
    backoff: float = 1.0
    """Seconds before the second attempt; doubled each time, up to a minute."""
    timeout: float = 60.0
    """Seconds without an answer or a byte after which an attempt has failed."""


@dataclass(frozen=True)
class Downloaded:
    """What the server said about a complete file."""

    length_known: bool
    """The number of bytes was checked against the server's."""
    modified: str | None
    """Day of the Last-Modified header, ISO format."""


class _Interrupted(Exception):
    """An attempt ended early; the next goes on where it stopped."""


def download(url: str, partial: Path, retries: Retries) -> Downloaded:
    """Bring the whole of `url` into `partial`, going on from the bytes that are there.

    Bytes of an earlier attempt are kept only if the server confirms by ETag or date that the file is the same. What
    identifies it stands beside `partial` with the ending .json.

    Raises:
        ScfmError: the server refuses, cannot be reached or cuts the file short on every attempt.
    """
    failures = 0
    while True:
        before = partial.stat().st_size if partial.exists() else 0
        try:
            return _attempt(url, partial, retries.timeout)
        except _Interrupted as error:
            after = partial.stat().st_size if partial.exists() else 0
            failures = 1 if after > before else failures + 1
            if failures >= retries.attempts:
                raise ScfmError(
                    f"{url}: {error}; check the connection and run again to go on from {after:,} bytes, "
                    "or configure a mirror folder"
                ) from error
            print(f"{url}: {error}; trying again", file=sys.stderr)
            time.sleep(min(60.0, retries.backoff * 2 ** (failures - 1)))


def _attempt(url: str, partial: Path, timeout: float) -> Downloaded:
    state = partial.with_name(partial.name + ".json")
    offset, headers = _resume_headers(url, partial, state)
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            if response.status_code == 416:
                if response.headers.get("Content-Range") == f"bytes */{offset}":
                    return Downloaded(True, _modified(response))  # an earlier attempt had brought the last byte
                partial.unlink(missing_ok=True)
                raise _Interrupted(f"the server has no bytes from {offset:,} on")
            _refuse(url, response)
            if response.status_code != 206 or _range_start(response) != offset:
                # The old bytes go first: they must never stand beside what identifies another file.
                partial.unlink(missing_ok=True)
                if response.status_code == 206:
                    raise _Interrupted(f"the server sent another range than from {offset:,} on")
                offset = 0
                write_json(state, {"url": url, "validator": _validator(response)})
            length = response.headers.get("Content-Length")
            total = offset + int(length) if length is not None else None
            _save(response.raw, partial, offset, total)
            return Downloaded(total is not None, _modified(response))
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _Interrupted(_reason(error)) from error


def _resume_headers(url: str, partial: Path, state: Path) -> tuple[int, dict[str, str]]:
    """Bytes to keep, and the headers that ask for the rest; the bytes come as stored, never decoded."""
    headers = {"Accept-Encoding": "identity"}
    if not (partial.exists() and state.exists()):
        return 0, headers
    known = json.loads(state.read_text())
    if known["url"] != url or not known["validator"]:
        return 0, headers
    offset = partial.stat().st_size
    return offset, {**headers, "Range": f"bytes={offset}-", "If-Range": known["validator"]} if offset else headers


def _modified(response: requests.Response) -> str | None:
    header = response.headers.get("Last-Modified")
    return parsedate_to_datetime(header).date().isoformat() if header else None


def _validator(response: requests.Response) -> str | None:
    """What identifies the served bytes: a strong ETag, else the date of modification."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _refuse(url: str, response: requests.Response) -> None:
    status = f"the server answers {response.status_code} {response.reason}"
    if response.status_code in TRANSIENT:
        raise _Interrupted(status)
    if response.status_code not in (200, 206):
        raise ScfmError(f"{url}: {status}; correct the url in config/resources.yaml or configure a mirror folder")


def _range_start(response: requests.Response) -> int:
    """First byte of a partial answer: `Content-Range: bytes 100-199/200` gives 100."""
    return int(response.headers.get("Content-Range", "bytes 0-").removeprefix("bytes ").split("-")[0])


def _save(raw: urllib3.HTTPResponse, partial: Path, offset: int, total: int | None) -> None:
    """Append the body to `partial` after its first `offset` bytes; a body that is too short raises IncompleteRead."""
    slow_log = 0.1 if sys.stderr.isatty() else 30.0
    bar = tqdm(total=total, initial=offset, unit="B", unit_scale=True, desc=partial.name, mininterval=slow_log)
    with bar, partial.open("r+b" if offset else "wb") as handle:
        handle.seek(offset)
        for block in raw.stream(CHUNK, decode_content=False):
            handle.write(block)
            bar.update(len(block))


def _reason(error: Exception) -> str:
    """A short phrase for what ended an attempt."""
    cause = error.__cause__
    if isinstance(cause, urllib3.exceptions.IncompleteRead) and isinstance(cause.expected, int):
        return f"the file was truncated, {cause.expected:,} of the announced bytes did not come"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "the server does not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "the server cannot be reached"
    return f"the connection broke ({type(error).__name__})"
