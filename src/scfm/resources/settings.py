"""Where an external file comes from, and how its bytes are known to be right."""

import hashlib
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

from pydantic import Field, model_validator

from scfm.settings import Settings, parse, read_yaml

SHA256 = r"^[0-9a-f]{64}$"


class Resource(Settings):
    """One external file: its upstream address and its copy in a mirror folder, which may be another release; or its
    place in an installed package."""

    title: str
    """What the file is."""
    reader: str
    """Format, by the word for its reader."""
    licence: str
    """Terms of use as the provider states them."""
    release: str | None = None
    """Release that `url` serves."""
    url: str | None = Field(default=None, pattern=r"^https?://")
    """Address of the file itself; absent if nobody serves this file, so that only a mirror can."""
    member: str | None = None
    """File to take out of the zip archive that `url` serves."""
    file: str | None = Field(default=None, pattern=r"^[^/]+$")
    """Name of the fetched file, where that of `url` says nothing."""
    package: str | None = Field(default=None, pattern=r"^[^/]+/.+")
    """Installed package and path inside it, for a file that comes with one; taken from there, mirror or not."""
    sha256: str | None = Field(default=None, pattern=SHA256)
    """Digest of what `url` serves (of the archive, if `member` is given), or of the package's file; absent if not
    known."""
    mirror: str | None = None
    """Path of the copy in the mirror folder."""
    mirror_release: str | None = None
    """Release of the copy in the mirror folder."""
    mirror_sha256: str | None = Field(default=None, pattern=SHA256)
    """Digest of the copy in the mirror folder."""
    source: str | None = None
    """Where a file without `url` stems from: accession, repository."""
    note: str | None = None
    """What a user must know: how the copy differs from upstream, what had to be derived."""

    @model_validator(mode="after")
    def _reachable(self) -> "Resource":
        if self.package:
            if self.sha256 is None or self.url or self.mirror or self.member or self.release:
                raise ValueError("a file of a package needs sha256, and no url, member, release or mirror")
            return self
        if self.url is None and self.mirror is None:
            raise ValueError("neither url nor mirror is given, so the file cannot be fetched")
        if self.url is None and (self.member or self.sha256 or self.release):
            raise ValueError("member, sha256 and release describe what url serves, but url is absent")
        if self.mirror is None and (self.mirror_sha256 or self.mirror_release):
            raise ValueError("mirror_sha256 and mirror_release describe the mirror's copy, but mirror is absent")
        return self

    def filename(self, mirrored: bool) -> str:
        """Name of the fetched file: as in the mirror, or as upstream.

        Args:
            mirrored: whether a mirror folder is configured.
        """
        if mirrored and self.mirror:
            return PurePosixPath(self.mirror).name
        return self.file or PurePosixPath(self.member or self.package or urlparse(self.url or self.mirror).path).name

    def version(self, mirrored: bool) -> str:
        """Eight hexadecimal digits that change with whatever makes the fetched file another one.

        Args:
            mirrored: whether a mirror folder is configured.
        """
        upstream = (self.package, self.sha256) if self.package else (self.url, self.member, self.sha256, self.release)
        copy = (self.mirror, self.mirror_sha256, self.mirror_release)
        return hashlib.sha256(repr(copy if mirrored and self.mirror else upstream).encode()).hexdigest()[:8]


class Record(Settings):
    """What was fetched: one line of the manifest."""

    name: str
    """Key in config/resources.yaml."""
    file: str
    """File name."""
    size: int
    """Bytes."""
    sha256: str
    """Digest of the file."""
    verified: str
    """How its bytes were checked: sha256, or length (Content-Length) if no digest is known, or none."""
    source: str
    """The URL; or mirror: and the path in the mirror folder; or package: and the path in the package."""
    date: str
    """Day the file was last modified at its source; the day it was fetched if the source does not say."""
    release: str
    """Release of the file; empty if unknown."""
    licence: str
    """Terms of use."""
    reader: str
    """Format."""
    note: str
    """What a user must know about the file."""


def read_resources(path: Path) -> dict[str, Resource]:
    """Read config/resources.yaml: resource name to where the file comes from.

    Raises:
        ScfmError: the file is missing, a key is unknown or a value is wrong.
    """
    return {name: parse(Resource, entry, f"{path}: {name}") for name, entry in read_yaml(path).items()}
