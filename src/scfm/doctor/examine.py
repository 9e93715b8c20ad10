"""All sections, and their layout."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

from scfm.doctor.cluster import slurm
from scfm.doctor.disk import disk
from scfm.doctor.installation import attention, devices, versions
from scfm.doctor.mirror import mirror_files
from scfm.doctor.studies import Machine, what_is_missing
from scfm.errors import ScfmError
from scfm.settings import parse, read_yaml
from scfm.study_file import Shared

Rows = list[tuple[str, str]]
"""Label and text of each line of a section."""

WIDTH = 110


@dataclass(frozen=True)
class Findings:
    """What `scfm doctor` prints, and its verdict."""

    sections: dict[str, Rows]
    """Title to lines."""
    not_ready: frozenset[str]
    """Studies that cannot run here as things are."""


def examine(folder: Path | None, study: str | None = None, mirror: Path | None = None) -> Findings:
    """Look at the installation, and with a clone's folder `config` at everything around a study.

    Args:
        folder: the folder `config` of a clone; without it, only the library and the devices are looked at.
        study: look at this study only; else at every file of config/studies.
        mirror: instead of the mirror folder of config.yaml.

    Raises:
        ScfmError: the study does not exist, or is asked for without a clone.
    """
    paths = attention()
    sections = {"versions": versions(folder), "devices": devices(), "attention": [(p.device, p.text) for p in paths]}
    if folder is None:
        if study:
            raise ScfmError(f"study '{study}': no folder 'config' here; run this in a clone or give --config-folder")
        note = "not in a clone of the repository: disk, mirror, Slurm and studies are left out (see --config-folder)"
        return Findings(sections | {"studies": [("", note)]}, frozenset())
    given = {} if mirror is None else {"mirror": str(mirror.absolute())}
    config = read_yaml(folder / "config.yaml") | given
    shared = parse(Shared, config, f"{folder}/config.yaml")
    root = folder.absolute().parent
    sections["disk"] = disk(root / shared.results, root / shared.work)
    sections["mirror"] = mirror_files(shared.mirror, root, folder / "resources.yaml")
    sections["slurm"] = slurm(root)
    machine = Machine.here(root, frozenset(path.device for path in paths if not path.sound))
    names = [study] if study else sorted(path.stem for path in (folder / "studies").glob("*.yaml"))
    missing = {name: what_is_missing(config | {"study": name}, folder, machine) for name in names}
    sections["studies"] = [(name, found.text()) for name, found in missing.items()]
    return Findings(sections, frozenset(name for name, found in missing.items() if found.missing))


def as_text(findings: Findings) -> str:
    """Sections one after another, labels in one column, long lines folded under their text."""
    column = 4 + max(len(label) for rows in findings.sections.values() for label, _ in rows)
    lines = []
    for title, rows in findings.sections.items():
        lines += ["", title]
        for label, text in rows:
            first = f"  {label}".ljust(column)
            lines += textwrap.wrap(
                text, WIDTH, initial_indent=first, subsequent_indent=" " * column, break_on_hyphens=False
            )
    return "\n".join(lines[1:])
