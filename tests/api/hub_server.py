"""A Hub on this machine: the parts of its protocol that publishing and fetching a model use."""

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit


class Hub:
    """Repositories in memory; `refuse` answers every request with that status, `cut` sends files by half."""

    def __init__(self) -> None:
        self.repos: dict[str, dict] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.token, self.refuse, self.cut = "right", 0, False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        """From here on nobody answers; a second call changes nothing."""
        if not self.thread.is_alive():
            return
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def files(self, name: str) -> dict[str, bytes]:
        """Of the latest version."""
        return list(self.repos[name]["versions"].values())[-1]

    def commit(self, name: str, changes: dict[str, bytes | None]) -> str:
        """A new version; None removes a file."""
        versions = self.repos[name]["versions"]
        files = {**(self.files(name) if versions else {}), **changes}
        sha = hashlib.sha1(f"{name}{len(versions)}".encode()).hexdigest()
        versions[sha] = {path: content for path, content in files.items() if content is not None}
        return sha


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments) -> None:
        """Nothing on the terminal."""

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def answer(self) -> None:
        path = urlsplit(self.path).path
        self.hub.requests.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.hub.refuse:
            return self.send(self.hub.refuse, {"error": "refused"})
        if path.startswith("/objects/"):
            self.hub.objects[path.removeprefix("/objects/")] = body
            return self.send(200, {})
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self.send(401, {}, {"X-Error-Message": "Invalid credentials in Authorization header"})
        if path == "/api/validate-yaml":
            return self.send(200, {})
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        match = re.fullmatch(r"(?:/api/models)?/([\w.-]+/[\w-]+)(?:\.git/info)?(/.*)?", path)
        if not match or match[1] not in self.hub.repos:
            return self.send(404, {}, {"X-Error-Code": "RepoNotFound"})
        return self.repository(match[1], *(match[2] or "/").split("/", 3)[1:], body=body)

    def create(self, wish: dict) -> None:
        name = f"{wish['organization']}/{wish['name']}"
        there = name in self.hub.repos
        if not there:
            self.hub.repos[name] = {"private": wish.get("visibility") == "private", "versions": {}}
            self.hub.commit(name, {".gitattributes": b""})
        return self.send(409 if there else 200, {"url": f"{self.hub.url}/{name}"})

    def repository(self, name: str, verb: str, revision: str = "main", file: str = "", *, body: bytes) -> None:
        repo = self.hub.repos[name]
        sha = list(repo["versions"])[-1] if revision == "main" else revision
        if verb == "lfs":
            return self.send(200, {"objects": [self.action(entry) for entry in json.loads(body)["objects"]]})
        if sha not in repo["versions"]:
            return self.send(404, {}, {"X-Error-Code": "RevisionNotFound"})
        files = repo["versions"][sha]
        if verb in ("", "revision"):
            return self.send(200, {"id": name, "sha": sha, "private": repo["private"], "siblings": []})
        if verb == "tree":
            return self.send(200, [_entry(path, content) for path, content in files.items()])
        if verb == "preupload":
            return self.send(200, {"files": [_mode(entry["path"]) for entry in json.loads(body)["files"]]})
        if verb == "commit":
            new = self.hub.commit(name, dict(filter(None, map(self.change, body.splitlines()))))
            return self.send(200, {"commitOid": new, "commitUrl": f"{self.hub.url}/{name}/commit/{new}"})
        if file not in files:
            return self.send(404, {}, {"X-Error-Code": "EntryNotFound"})
        content = files[file]
        facts = {"X-Repo-Commit": sha, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        cut = self.hub.cut and self.command == "GET"
        return self.send(200, content[: len(content) // 2] if cut else content, facts)

    def action(self, entry: dict) -> dict:
        return entry | {"actions": {"upload": {"href": f"{self.hub.url}/objects/{entry['oid']}"}}}

    def change(self, line: bytes) -> tuple[str, bytes | None] | None:
        entry = json.loads(line)
        value = entry["value"]
        if entry["key"] == "file":
            return value["path"], base64.b64decode(value["content"])
        if entry["key"] == "lfsFile":
            return value["path"], self.hub.objects[value["oid"]]
        return (value["path"], None) if entry["key"] == "deletedFile" else None

    def send(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(data)), "Connection": "close"} | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _entry(path: str, content: bytes) -> dict:
    return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


def _mode(path: str) -> dict:
    large = path.endswith((".safetensors", ".parquet"))
    return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
