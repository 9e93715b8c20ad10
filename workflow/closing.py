"""The closing line of `make study`: where the report is, and how many claims hold."""

import csv
import sys
from collections import Counter
from pathlib import Path

import yaml


def main() -> None:
    shared = yaml.safe_load(Path("config/config.yaml").read_text())
    given = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    study, results = given.get("study", shared["study"]), given.get("results", shared["results"])
    folder = Path(results) / study
    with (folder / "claims.csv").open(newline="") as handle:
        verdicts = Counter(row["verdict"] for row in csv.DictReader(handle))
    counts = ", ".join(f"{n} {verdict}" for verdict, n in sorted(verdicts.items()))
    print(f"study {study}: claims: {counts}; open {folder.resolve() / 'report.html'}")


if __name__ == "__main__":
    main()
