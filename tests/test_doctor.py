"""`scfm doctor`: what it finds missing, on folders and mirrors made for the test."""

import hashlib
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
import yaml

from scfm.doctor import as_text, examine
from scfm.doctor.cluster import slurm
from scfm.doctor.disk import disk
from scfm.doctor.installation import closed_form, devices
from scfm.doctor.mirror import mirror_files
from scfm.doctor.studies import Machine, what_is_missing
from scfm.errors import ScfmError
from scfm.resources import read_resources
from scfm.settings import read_yaml
from scfm.study import Study

ROOT = Path(__file__).parents[1]
LAPTOP, GPU_NODE, LOGIN_NODE = (False, 0), (False, 4), (True, 0)


@pytest.fixture
def clone(tmp_path):
    """A folder with the repository's settings, in which a test may write."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path


@pytest.fixture
def study(clone):
    """Function: what is missing for a study on a kind of machine; further keywords are keys of config.yaml."""

    def look(name, machine=LAPTOP, **keys):
        config = read_yaml(clone / "config" / "config.yaml") | {"study": name} | keys
        return what_is_missing(config, clone / "config", Machine(clone, machine[1], machine[0]))

    return look


@pytest.fixture
def roomy(monkeypatch):
    """A disk with 1,000 GB free."""
    monkeypatch.setattr("scfm.doctor.studies.free_gb", lambda folder: 1000.0)


def needed(name):
    """Resources that a study needs, from its files."""
    config = read_yaml(ROOT / "config" / "config.yaml") | {"study": name}
    study = Study(config, ROOT / "config")
    return {key: study.resources[key] for key in study.external}


def fill(folder, entries):
    """Files at the mirror paths; their names are their content."""
    for entry in entries:
        path = folder / entry.mirror
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(entry.mirror)


def right(clone):
    """Write into resources.yaml the digests of what `fill` writes."""
    path = clone / "config" / "resources.yaml"
    entries = yaml.safe_load(path.read_text())
    for entry in (entry for entry in entries.values() if "mirror" in entry):
        entry["mirror_sha256"] = hashlib.sha256(entry["mirror"].encode()).hexdigest()
    path.write_text(yaml.safe_dump(entries))
    return read_resources(path)


@pytest.mark.parametrize("name", ["tiny", "demo"])
def test_synthetic_studies_need_nothing(study, name, roomy):
    assert study(name).text() == "ready"


def test_files_without_url_stop_a_study_without_mirror(study, roomy):
    entries = needed("mini")
    nowhere = [entry.mirror for entry in entries.values() if entry.url is None]
    found = study("mini")
    assert 0 < len(nowhere) < len(entries)
    (line,) = found.missing
    assert line.startswith(f"{len(nowhere)} of {len(entries)} files are served by nobody: configure a mirror")
    assert nowhere[0] in line
    assert found.notes == [f"{len(entries) - len(nowhere)} of {len(entries)} files must be fetched by URL"]


def test_a_mirror_that_holds_all_makes_it_ready(study, clone, roomy):
    entries = right(clone)
    fill(clone / "mirror", [entries[name] for name in needed("mini")])
    assert study("mini", mirror=str(clone / "mirror")).text() == "ready"
    assert study("mini", mirror="mirror").text() == "ready"  # paths are from the clone on, as for Snakemake


def test_missing_and_wrong_files_of_the_mirror_are_named(study, clone, roomy):
    entries = [right(clone)[name] for name in needed("mini")]
    fill(clone / "mirror", entries)
    (clone / "mirror" / entries[0].mirror).unlink()
    (clone / "mirror" / entries[1].mirror).write_text("another release")
    found = study("mini", mirror=str(clone / "mirror"))
    assert found.missing == [
        f"1 of {len(entries)} files is missing in the mirror: {entries[0].mirror}",
        f"1 of {len(entries)} files is wrong in the mirror: {entries[1].mirror}",
    ]


def test_what_was_fetched_is_not_missing(study, clone, roomy):
    for name, entry in needed("mini").items():
        path = clone / "results" / "mini" / "resources" / name / entry.version(False) / entry.filename(False)
        path.parent.mkdir(parents=True)
        path.touch()
    assert study("mini").text() == "ready"


def test_a_mirror_that_is_not_there(study, clone, roomy):
    assert study("mini", mirror="nowhere").missing == [f"the mirror folder {clone / 'nowhere'} does not exist"]


@pytest.mark.parametrize(("machine", "device", "stops"), [
    (LAPTOP, "auto", True),
    (LAPTOP, "cpu", False),
    (GPU_NODE, "auto", False),
    (LOGIN_NODE, "auto", False),
])  # fmt: skip
def test_the_paper_study_needs_a_gpu(study, roomy, machine, device, stops):
    found = study("paper", machine, device=device)
    assert any("no GPU visible (" in line for line in found.missing) == stops
    assert any("--profile slurm" in line for line in found.notes) == (machine == LOGIN_NODE)
    assert "reads Census 2025-01-30 over the network" in found.notes


def test_a_gpu_that_is_asked_for(study, roomy):
    assert study("tiny", LAPTOP, device="gpu").missing == ["no GPU visible (device: cpu forces the CPU)"]
    assert study("tiny", GPU_NODE, device="gpu", gpus=4).missing == []
    assert study("tiny", GPU_NODE, device="gpu", gpus=8).missing == ["4 of 8 GPUs visible (device: cpu forces the CPU)"]


def test_space(study, monkeypatch):
    monkeypatch.setattr("scfm.doctor.studies.free_gb", lambda folder: 0.04)
    assert study("tiny").missing == ["about 0.1 GB needed in results and work, 0.0 free"]


def test_a_folder_that_cannot_be_made(study, clone, roomy):
    (clone / "file").touch()
    (line,) = study("tiny", results="file/results").missing
    assert line == f"{clone / 'file/results'} cannot be written (Not a directory)"


def test_settings_that_are_wrong_are_what_is_missing(study, clone, roomy):
    path = clone / "config" / "studies" / "tiny.yaml"
    path.write_text(path.read_text().replace("check_run: wced_hce", "check_run: bert"))
    assert "check_run 'bert'" in study("tiny").text()
    known = "demo, mini, mini_systems, paper, systems, tiny"
    with pytest.raises(ScfmError, match=f"'nope' does not exist; choose one of {known}"):
        study("nope")


def test_files_of_the_mirror_by_state(clone):
    entries = [entry for entry in right(clone).values() if entry.mirror]
    fill(clone / "mirror", entries[2:])
    (clone / "mirror" / entries[2].mirror).write_text("another release")
    path = clone / "config" / "resources.yaml"
    raw = yaml.safe_load(path.read_text())
    del [entry for entry in raw.values() if "mirror" in entry][3]["mirror_sha256"]
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    total = len(entries)
    assert mirror_files("mirror", clone, path) == [
        ("folder", str(clone / "mirror")),
        ("files", f"{total - 4} of {total} there with the right sha256"),
        ("files", f"1 of {total} there, sha256 not known: {entries[3].mirror}"),
        ("files", f"1 of {total} there with a wrong sha256: {entries[2].mirror}"),
        ("files", f"2 of {total} missing: {entries[0].mirror}, {entries[1].mirror}"),
    ]


def test_disk_says_what_can_be_written(tmp_path):
    rows = dict(disk(tmp_path / "a" / "b", tmp_path))
    free = shutil.disk_usage(tmp_path).free / 1e9
    assert rows["results"].startswith(f"{tmp_path / 'a' / 'b'}: ")
    assert float(rows["results"].split(": ")[1].split()[0]) == pytest.approx(free, abs=5)
    assert rows["work"].endswith("can be written")
    assert list(tmp_path.iterdir()) == []


def test_closed_form_against_torch():
    q, k, v = torch.randn(3, 9, 2, 16, generator=torch.Generator().manual_seed(1))
    starts = torch.tensor([0, 4, 9])
    for start, stop in ((0, 4), (4, 9)):
        own = (x[start:stop].transpose(0, 1)[None].double() for x in (q, k, v))
        expected = torch.nn.functional.scaled_dot_product_attention(*own)[0].transpose(0, 1)
        torch.testing.assert_close(closed_form(q, k, v, starts)[start:stop], expected)


def test_a_wrong_kernel_is_called_wrong(monkeypatch):
    from scfm.doctor.installation import attention
    from scfm.models import attention as module

    assert all("agrees with" in path.text and path.sound for path in attention())
    attend = module.attend
    monkeypatch.setattr(module, "attend", lambda *arguments: 1.01 * attend(*arguments))
    assert all("DIFFERS FROM" in path.text and not path.sound for path in attention())


@pytest.mark.parametrize("error", [RuntimeError("no kernel image"), ImportError("no module"), None])
def test_no_study_is_ready_where_attention_is_not_sound(clone, monkeypatch, error):
    from scfm.models import attention as module

    attend = module.attend

    def broken(*arguments):
        if error:
            raise error
        return 1.01 * attend(*arguments)

    assert "tiny" not in examine(clone / "config", "tiny").not_ready
    monkeypatch.setattr(module, "attend", broken)
    findings = examine(clone / "config", "tiny")
    assert findings.not_ready == {"tiny"}
    assert "not ready: attention is not sound on CPU" in dict(findings.sections["studies"])["tiny"]


def test_a_forced_cpu_needs_no_gpu_whose_attention_is_sound(clone):
    config = read_yaml(clone / "config/config.yaml") | {"study": "tiny"}
    machine = Machine(clone, gpus=1, cluster=False, unsound=frozenset({"GPU 0"}))
    found = what_is_missing(config, clone / "config", machine)
    assert found.missing == ["attention is not sound on GPU 0 (see above)"]
    assert what_is_missing(config | {"device": "cpu"}, clone / "config", machine).missing == []


def test_gpus_are_listed(monkeypatch):
    from types import SimpleNamespace

    about = SimpleNamespace(name="NVIDIA H200", total_memory=150e9, major=9, minor=0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: about)
    monkeypatch.setattr(torch.cuda, "device", lambda number: __import__("contextlib").nullcontext())
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert devices()[1:] == [("GPU 0", "NVIDIA H200, 150.0 GB, compute capability 9.0, with bf16")]


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Function: stand-ins for Slurm's programs, and nothing else on the path."""

    def make(**scripts):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
        for name in ("SLURM_STATUS_COMMAND", "SLURM_ACCOUNT"):
            monkeypatch.delenv(name, raising=False)

    return make


def test_slurm(programs, tmp_path, monkeypatch):
    programs(sbatch="echo slurm 24.05.1", squeue="", scancel="", sacct="echo accounting is off >&2; exit 1")
    assert slurm(tmp_path)[0][1].startswith("there, but no slurm.conf")
    (tmp_path / "slurm.conf").touch()
    monkeypatch.setenv("SLURM_ACCOUNT", "lab7")
    rows = dict(slurm(tmp_path))
    assert rows["sbatch"] == f"slurm 24.05.1, set up by {tmp_path / 'slurm.conf'}"
    assert rows["SLURM_ACCOUNT"] == "lab7"
    assert rows["SLURM_STATUS_COMMAND"] == "not set"
    assert rows["sacct"] == "does not answer (accounting is off); set SLURM_STATUS_COMMAND=squeue"
    (tmp_path / "bin" / "sacct").write_text("#!/bin/sh\n")
    assert dict(slurm(tmp_path))["sacct"] == "answers"


def test_no_slurm(programs, tmp_path):
    programs()
    assert slurm(tmp_path) == [("sbatch", "not here: studies run on this machine only")]


def test_everything_is_said_in_aligned_lines(clone):
    findings = examine(clone / "config", mirror=clone / "nowhere")
    assert list(findings.sections) == ["versions", "devices", "attention", "disk", "mirror", "slurm", "studies"]
    named = [name for name, _ in findings.sections["studies"]]
    assert named == ["demo", "mini", "mini_systems", "paper", "systems", "tiny"]
    assert findings.not_ready >= {"mini", "mini_systems", "paper"}
    assert dict(findings.sections["versions"])["scanpy"].split()[0] == version("scanpy")
    lines = as_text(findings).splitlines()
    column = lines[1].index(lines[1].split()[1])
    rows = [line for line in lines if line.startswith("  ")]
    assert all(line[column - 1] == " " and line[column] != " " for line in rows)
    assert max(map(len, rows)) <= 110


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--study", "tiny"], 0), (["--study", "mini"], 1)])
def test_command(clone, words, code):
    offline = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin", "HOME": str(clone)}
    command = [sys.executable, "-m", "scfm", "doctor", *words]
    done = subprocess.run(command, cwd=clone, env=offline, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, "")
    assert ("served by nobody" in done.stdout) == (words != ["--study", "tiny"])


def test_outside_of_a_clone(tmp_path):
    findings = examine(None)
    assert [text for _, text in findings.sections["studies"]] == [
        "not in a clone of the repository: disk, mirror, Slurm and studies are left out (see --config-folder)"
    ]
    assert "disk" not in findings.sections
    with pytest.raises(ScfmError, match="study 'mini': no folder 'config' here"):
        examine(None, "mini")


def test_no_network_is_touched(clone):
    code = """
import socket
def refuse(*arguments, **options):
    raise SystemExit("network")
socket.socket.connect = socket.getaddrinfo = refuse
from scfm.doctor import examine
from pathlib import Path
print(len(examine(Path("config")).sections))
"""
    offline = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin", "HOME": str(clone)}
    done = subprocess.run([sys.executable, "-c", code], cwd=clone, env=offline, capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("7", 0), done.stderr
