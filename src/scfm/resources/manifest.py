"""The manifest: one line per fetched file."""

import csv
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from scfm.errors import ScfmError
from scfm.files import must_exist, whole
from scfm.resources.settings import Record
from scfm.settings import parse


def read_record(path: Path) -> Record:
    """Read the JSON record that a fetch left.

    Raises:
        ScfmError: the file is missing or not a record.
    """
    return parse(Record, must_exist(path, "record of a fetched resource").read_text(), str(path))


def write_manifest(records: Iterable[Path], out: Path) -> int:
    """Write the records as one tab-separated table, sorted by name; return the number of rows.

    Raises:
        ScfmError: a record is missing or malformed, or two have the same name.
    """
    rows = sorted(map(read_record, records), key=lambda record: record.name)
    twice = [first.name for first, second in pairwise(rows) if first.name == second.name]
    if twice:
        raise ScfmError(f"resource '{twice[0]}': two records were given; pass each record once")
    with whole(out) as temporary, temporary.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(Record.model_fields), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(record.model_dump() for record in rows)
    return len(rows)
