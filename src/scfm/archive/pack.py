"""One tar file of all that some results stem from; the same results give the same bytes."""

import hashlib
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import yaml

from scfm.archive.crate import METADATA, describe
from scfm.archive.records import FOLDER, Origin, read_records, trace
from scfm.archive.workflow import workflow_files
from scfm.errors import ScfmError
from scfm.files import whole

MANIFEST = "manifest-sha256.txt"


@dataclass(frozen=True)
class Request:
    """What to pack; names are relative to the top folder of the clone."""

    study: str
    given: dict
    """Keys that make the study together with config/config.yaml."""
    targets: tuple[str, ...]
    """What the study is for; packed with all that it stems from."""
    results: str
    """Folder of the study's results."""
    timings: str
    """Folder of the jobs' measurements, of which Snakemake keeps no record."""
    temporary: str
    """Folder of outputs that Snakemake deleted by intention; only their records are packed."""
    shards: str
    """Folder of the training shards, of which Snakemake knows but the manifest."""
    with_shards: bool
    """Whether to pack the shards, and not their manifest alone."""

    @property
    def config(self) -> str:
        """Name of the file that holds `given` in the archive."""
        return f"{self.results}/config.yaml"


@dataclass(frozen=True)
class Packed:
    """What was written."""

    files: int
    size: int
    """Bytes of the archive."""


def pack(request: Request, out: Path, root: Path = Path()) -> Packed:
    """Pack `request` of the clone `root` to `out`.

    Raises:
        ScfmError: results outside the clone, a file without record or of no known origin, a file that is gone, or
            `out` cannot be written.
    """
    if Path(request.results).is_absolute():
        raise ScfmError(
            f"results: '{request.results}' is no folder of the clone, so that another clone would not find the results "
            "there; keep them in a folder with a relative name"
        )
    origin = trace(request.targets, read_records(root))
    workflow = workflow_files(root)
    strange = sorted(origin.inputs - set(workflow))
    if strange:
        raise ScfmError(
            f"{strange[0]}: neither made by a job nor part of the workflow, so it cannot be packed; let a job make it"
        )
    names = sorted({*workflow, *_made(request, origin, root)})
    end = max(record.end for record in origin.outputs.values())
    with whole(out) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
            digests = {name: _add(tar, root / name, name) for name in names}
            # Without this folder, Snakemake takes its records for those of an old version and says so.
            tar.addfile(_entry(str(FOLDER.with_name("incomplete")), end, tarfile.DIRTYPE))
            _add_text(tar, request.config, _config(request), end, digests)
            crate = describe(request, origin, digests, root)
            _add_text(tar, METADATA, crate, end, digests)
            manifest = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()) if digest)
            _add_text(tar, MANIFEST, manifest, end, digests)
        size = temporary.stat().st_size
    return Packed(sum(digest is not None for digest in digests.values()), size)


def _made(request: Request, origin: Origin, root: Path) -> Iterable[str]:
    """Names of files and folders that the jobs left: outputs, logs, measurements, shards, records."""
    for name, record in origin.outputs.items():
        yield str(record.path)
        yield from (log for log in record.log if (root / log).exists())
        if name.startswith(f"{request.temporary}/"):
            continue
        if not (root / name).exists():
            raise ScfmError(
                f"{name}: is gone, though other results stem from it; make it again with 'snakemake {name}'"
            )
        yield from (name, *_below(root, name))
    yield from _below(root, request.timings)
    yield from _below(root, request.shards) if request.with_shards else ()


def _below(root: Path, folder: str) -> Iterable[str]:
    return (str(path.relative_to(root)) for path in (root / folder).rglob("*"))


class _Hashed:
    """A file that is digested while it is read."""

    def __init__(self, handle: BinaryIO) -> None:
        self.handle, self.sha256 = handle, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self.handle.read(size)
        self.sha256.update(block)
        return block


def _entry(name: str, time: float, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    """Facts of an entry without those of this machine: owned by nobody in particular, readable by all."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.mtime, entry.mode = kind, time, 0o755 if kind == tarfile.DIRTYPE else 0o644
    return entry


def _add(tar: tarfile.TarFile, path: Path, name: str) -> str | None:
    """Add a file, or a folder without its files; return the file's SHA-256."""
    try:
        status, folder = path.stat(), path.is_dir()
        handle = None if folder else path.open("rb")
    except OSError as error:
        raise ScfmError(
            f"{path}: cannot be read any more ({error.strerror}); make it again, then pack again"
        ) from error
    if handle is None:
        tar.addfile(_entry(name, status.st_mtime, tarfile.DIRTYPE))
        return None
    entry = _entry(name, status.st_mtime)
    entry.size = status.st_size
    entry.mode |= status.st_mode & 0o111
    with handle:
        reader = _Hashed(handle)
        tar.addfile(entry, reader)
    return reader.sha256.hexdigest()


def _add_text(tar: tarfile.TarFile, name: str, text: str, time: float, digests: dict[str, str | None]) -> None:
    """Add a file of the archive's own, dated like the results."""
    data = text.encode()
    entry = _entry(name, time)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
    digests[name] = hashlib.sha256(data).hexdigest()


def _config(request: Request) -> str:
    """The settings as a file for --configfile."""
    use = f"# snakemake all --cores 1 --configfile {request.config}\n"
    return use + yaml.safe_dump(request.given, sort_keys=True)
