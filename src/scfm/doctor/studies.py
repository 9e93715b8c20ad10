"""What is missing on this machine for one study."""

from dataclasses import dataclass
from pathlib import Path

from scfm.doctor.cluster import configuration
from scfm.doctor.disk import free_gb, refused_to_write
from scfm.doctor.mirror import state
from scfm.errors import ScfmError
from scfm.study import Study

DISK_GB = {"demo": 0.1, "mini": 1.0, "paper": 100.0}
"""Space for results and work, by scale. demo is measured, mini rounded up from its 55 MB of input; paper: 5 million
cells of 2,000 expressed genes at 4 bytes, in shards and, while these are made, once more; and the checkpoints."""
LISTED = 4
"""Names that a line spells out."""


@dataclass(frozen=True)
class Machine:
    """What a study may need of the machine."""

    root: Path
    """The clone; results and work are below unless their paths are absolute."""
    gpus: int
    """Visible GPUs."""
    cluster: bool
    """Whether jobs can be sent to Slurm."""
    unsound: frozenset[str] = frozenset()
    """Devices on which attention fails or computes something else: CPU, GPU 0."""

    @classmethod
    def here(cls, root: Path, unsound: frozenset[str]) -> "Machine":
        """This machine."""
        import torch

        return cls(root, torch.cuda.device_count(), configuration() is not None, unsound)


@dataclass(frozen=True)
class Needs:
    """What one study lacks, and what else it is good to know."""

    missing: list[str]
    """Each of these stops it."""
    notes: list[str]
    """These do not."""

    def text(self) -> str:
        """One paragraph."""
        verdict = "not ready: " + "; ".join(self.missing) if self.missing else "ready"
        return "; ".join([verdict, *self.notes])


def what_is_missing(config: dict, folder: Path, machine: Machine) -> Needs:
    """Compare a study's settings with the machine.

    Args:
        config: the content of config.yaml, with the study's name.
        folder: the folder `config`.

    Raises:
        ScfmError: the study does not exist.
    """
    if not (folder / "studies" / f"{config['study']}.yaml").is_file():
        Study(config, folder)  # says which there are
    try:
        study = Study(config, folder)
    except ScfmError as error:
        return Needs([str(error)], [])
    machinery = (_gpu(study, machine), _attention(study, machine))
    parts = (_files(study, machine.root), _disk(study, machine.root), *machinery, _census(study))
    return Needs([text for part in parts for text in part.missing], [text for part in parts for text in part.notes])


def _files(study: Study, root: Path) -> Needs:
    """External files: fetched already, of an installed package, in the mirror, by URL, or from nowhere."""
    mirror = study.shared.mirror
    names, total = _not_fetched(study, root), len(study.external)
    entries = {name: study.resources[name] for name in names}
    if mirror is None:
        nowhere = [entry.mirror for entry in entries.values() if entry.url is None]
        by_url = len(entries) - len(nowhere)
        notes = [f"{by_url} of {total} files must be fetched by URL"] if by_url else []
        return Needs(_lack(nowhere, total, "served by nobody: configure a mirror that holds"), notes)
    if not (root / mirror).is_dir():
        return Needs([f"the mirror folder {root / mirror} does not exist"] if entries else [], [])
    states = {name: state(root / mirror, entry) if entry.mirror else "missing" for name, entry in entries.items()}
    missing = [entries[name].mirror or name for name in names if states[name] == "missing"]
    wrong = [entries[name].mirror for name in names if states[name] == "wrong"]
    return Needs([*_lack(missing, total, "missing in the mirror:"), *_lack(wrong, total, "wrong in the mirror:")], [])


def _not_fetched(study: Study, root: Path) -> list[str]:
    mirrored = study.shared.mirror is not None
    folder = root / study.shared.results / study.name / "resources"
    entries = {name: study.resources[name] for name in study.external if not study.resources[name].package}
    paths = {n: folder / n / entry.version(mirrored) / entry.filename(mirrored) for n, entry in entries.items()}
    return [name for name, path in paths.items() if not path.is_file()]


def _lack(names: list[str], total: int, what: str) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    verb = "is" if len(names) == 1 else "are"
    return [f"{len(names)} of {total} files {verb} {what} {', '.join(names[:LISTED])}{more}"]


def _disk(study: Study, root: Path) -> Needs:
    folders = [root / study.shared.results, root / study.shared.work]
    missing = [f"{path} cannot be written ({why})" for path in folders if (why := refused_to_write(path))]
    free, needed = min(map(free_gb, folders)), DISK_GB[study.scale]
    if free < needed:
        missing.append(f"about {needed:g} GB needed in results and work, {free:.1f} free")
    return Needs(missing, [])


def _gpu(study: Study, machine: Machine) -> Needs:
    """As the rule `train` asks: at paper scale GPUs are needed unless the CPU is forced."""
    shared = study.shared
    wanted = 0 if shared.device == "cpu" or (shared.device == "auto" and study.scale != "paper") else shared.gpus
    if machine.gpus >= wanted:
        return Needs([], [])
    seen = f"{machine.gpus} of {wanted} GPUs visible" if machine.gpus else "no GPU visible"
    if machine.cluster:
        return Needs([], [f"{seen} here: run it with --profile slurm, where jobs ask for theirs"])
    return Needs([f"{seen} (device: cpu forces the CPU)"], [])


def _attention(study: Study, machine: Machine) -> Needs:
    """A GPU that is visible is one that models run on, unless the CPU is forced."""
    used = {name for name in machine.unsound if name == "CPU" or study.shared.device != "cpu"}
    return Needs([f"attention is not sound on {name} (see above)" for name in sorted(used)], [])


def _census(study: Study) -> Needs:
    source = study.corpus.source
    return Needs([], [f"reads Census {source.release} over the network"] if source.kind == "census" else [])
