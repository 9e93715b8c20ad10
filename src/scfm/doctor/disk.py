"""Free space, and whether it can be written."""

import shutil
import tempfile
from pathlib import Path

GB = 1e9


def disk(results: Path, work: Path) -> list[tuple[str, str]]:
    """Free space of the folders of results, of work and of temporary files, and whether they can be written."""
    folders = {"results": results, "work": work, "temporary": Path(tempfile.gettempdir())}
    rows = []
    for label, folder in folders.items():
        refused = refused_to_write(folder)
        state = f"cannot be written ({refused})" if refused else "can be written"
        rows.append((label, f"{folder}: {free_gb(folder):.1f} GB free, {state}"))
    return rows


def free_gb(folder: Path) -> float:
    """Free space, in GB of 10^9 bytes, where `folder` is or would be made."""
    return shutil.disk_usage(_nearest(folder)).free / GB


def refused_to_write(folder: Path) -> str:
    """Why no file can be made in `folder`, or where it would be made; empty if one can."""
    try:
        with tempfile.TemporaryFile(dir=_nearest(folder)) as handle:
            handle.write(b"x")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _nearest(folder: Path) -> Path:
    """The nearest part of the path that exists."""
    return next(part for part in (folder, *folder.absolute().parents) if part.exists())
