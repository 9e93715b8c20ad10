"""Snakemake's records (`.snakemake/metadata`): which job wrote a file, when, and from what."""

import json
from base64 import urlsafe_b64decode
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from scfm.errors import ScfmError

FOLDER = Path(".snakemake") / "metadata"


@dataclass(frozen=True)
class Record:
    """What is recorded of one output, a file or a folder."""

    path: Path
    """Where the record itself stands, relative to the top folder."""
    rule: str
    input: tuple[str, ...]
    log: tuple[str, ...]
    job: int
    start: float
    """Seconds since 1970, UTC, as `end`."""
    end: float


@dataclass
class Origin:
    """All that some files stem from."""

    outputs: dict[str, Record] = field(default_factory=dict)
    """Files and folders that jobs wrote, by name."""
    inputs: set[str] = field(default_factory=set)
    """Files that no job wrote."""


def read_records(root: Path) -> dict[str, Record]:
    """Every record in the top folder `root`, by the name of the output.

    A record's file is named by the output's name in base64, split into folders (with @) where that is too long.

    Raises:
        ScfmError: a record is not of the form that this version of Snakemake writes.
    """
    records = {}
    for path in sorted(p for p in (root / FOLDER).rglob("*") if p.is_file()):
        try:
            encoded = "".join(part.removeprefix("@") for part in path.relative_to(root / FOLDER).parts)
            name, data = urlsafe_b64decode(encoded).decode(), json.loads(path.read_text())
            own = data["rule"], tuple(data["input"]), tuple(data["log"]), data["job_hash"]
            records[name] = Record(path.relative_to(root), *own, data["starttime"], data["endtime"])
        except (ValueError, KeyError, TypeError) as error:
            raise ScfmError(
                f"{path}: not a record of Snakemake ({type(error).__name__}); delete it, then run the study again"
            ) from error
    return records


def trace(targets: Iterable[str], records: dict[str, Record]) -> Origin:
    """Follow the records from `targets` back to the files that no job wrote; a job comes with all its outputs.

    Raises:
        ScfmError: a target has no record.
    """
    jobs = defaultdict(list)
    for name, record in records.items():
        jobs[record.rule, record.log, record.job].append(name)
    origin, new = Origin(), set(targets)
    unknown = sorted(new - set(records))
    if unknown:
        raise ScfmError(
            f"{unknown[0]}: Snakemake has no record of it in {FOLDER}; make it again without --drop-metadata and with "
            "the file backend of records"
        )
    while new:
        name = new.pop()
        if name not in records:
            origin.inputs.add(name)
            continue
        record = records[name]
        origin.outputs |= {other: records[other] for other in jobs[record.rule, record.log, record.job]}
        new |= set(record.input) - set(origin.outputs) - origin.inputs
    return origin
