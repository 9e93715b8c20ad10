"""Which files of config/resources.yaml a mirror folder holds."""

from functools import cache
from pathlib import Path

from scfm.resources.fetch import sha256
from scfm.resources.settings import Resource, read_resources

STATES = {
    "right": "there with the right sha256",
    "unknown": "there, sha256 not known",
    "wrong": "there with a wrong sha256",
    "missing": "missing",
}


def mirror_files(mirror: str | None, root: Path, resources: Path) -> list[tuple[str, str]]:
    """The mirror folder, and its files by state; names of all that are not simply right."""
    if mirror is None:
        return [("folder", "none configured: files are fetched from their URLs (mirror: in config.yaml, or --mirror)")]
    folder = root / mirror
    if not folder.is_dir():
        return [("folder", f"{folder}: there is no such folder")]
    named = {name: entry for name, entry in read_resources(resources).items() if entry.mirror}
    states = {name: state(folder, entry) for name, entry in named.items()}
    rows = [("folder", str(folder))]
    for key, words in STATES.items():
        found = [named[name].mirror for name in named if states[name] == key]
        if found:
            listed = "" if key == "right" else ": " + ", ".join(found)
            rows.append(("files", f"{len(found)} of {len(named)} {words}{listed}"))
    return rows


def state(folder: Path, entry: Resource) -> str:
    """Key of STATES for the copy of one resource."""
    path = folder / entry.mirror
    if not path.is_file():
        return "missing"
    if entry.mirror_sha256 is None:
        return "unknown"
    return "right" if _digest(path) == entry.mirror_sha256 else "wrong"


@cache
def _digest(path: Path) -> str:
    """Each file is read once, whatever number of studies needs it."""
    return sha256(path)
