"""A web server on this machine that misbehaves as asked, and the arguments of a fetch."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scfm.resources.download import Retries

MODIFIED = "Wed, 05 Mar 2025 10:00:00 GMT"


@dataclass
class Site:
    """What the server serves, how it behaves, and what it was asked."""

    body: bytes = bytes(range(256)) * 400
    etag: str | None = '"first"'
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the next answers end, one each; later answers are whole."""
    statuses: list[int] = field(default_factory=list)
    """Status codes of the next answers, one each; later answers are 200 or 206."""
    ranges: bool = True
    length: bool = True
    asked: list[str | None] = field(default_factory=list)
    """The Range header of each request."""
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self):
        site, asked = self.site, self.headers.get("Range")
        site.asked.append(asked)
        if site.statuses:
            self.send_error(site.statuses.pop(0))
            return
        start = 0
        if asked and site.ranges and self.headers.get("If-Range") in (site.etag, MODIFIED):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(site.body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(site.body)}")
                self.end_headers()
                return
        part = site.body[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(site.body) - 1}/{len(site.body)}")
        if site.etag:
            self.send_header("ETag", site.etag)
        self.send_header("Last-Modified", MODIFIED)
        if site.length:
            self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part[: site.cuts.pop(0)] if site.cuts else part)

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    served = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"site": served}))
    served.url = f"http://127.0.0.1:{server.server_port}/data/file.bin"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()


@pytest.fixture
def quick():
    """Three attempts without waiting."""
    return Retries(attempts=3, backoff=0.0, timeout=5.0)
