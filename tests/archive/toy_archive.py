"""Files and records of a toy study, as Snakemake would leave them."""

import json
import os
from base64 import urlsafe_b64encode
from pathlib import Path

RESULTS = "results/toy"
EXTERNAL = f"{RESULTS}/resources/cells/0123abcd/cells.h5ad"
RECORD = {
    "name": "cells", "file": "cells.h5ad", "size": 5, "sha256": "ab" * 32, "verified": "sha256",
    "source": "https://example.org/cells.h5ad", "date": "2025-01-01", "release": "7", "licence": "CC BY 4.0",
    "reader": "h5ad", "note": "a note",
}  # fmt: skip
STORE = f"{RESULTS}/corpus/{'long' * 50}"
"""A folder whose name in base64 is longer than a file name may be."""
MODEL = f"{RESULTS}/pretrain/mlm/0/model.safetensors"
REPORT = f"{RESULTS}/report.html"


def write(root: Path, name: str, text: str, time: float = 1_700_000_000.25) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time, time))


def record(root: Path, rule: str, inputs: list[str], outputs: list[str], job: int, start: float) -> None:
    """What Snakemake leaves of a job: logs, and one record for each output."""
    write(root, f"logs/toy/{rule}.log", rule)
    facts = {"rule": rule, "input": inputs, "log": [f"logs/toy/{rule}.log"], "job_hash": job}
    for name in outputs:
        encoded = urlsafe_b64encode(name.encode()).decode()
        parts = [encoded[i : i + 254] for i in range(0, len(encoded), 254)]
        path = "/".join([*(f"@{part}" for part in parts[:-1]), parts[-1]])
        times = {"starttime": start, "endtime": start + 60}
        write(root, f".snakemake/metadata/{path}", json.dumps(facts | times))
