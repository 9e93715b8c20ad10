"""Versions, devices, and whether attention computes here what it should."""

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from scfm import __version__
from scfm.paper.provenance import PACKAGES

GB = 1e9
PLUGIN = "snakemake-executor-plugin-slurm"
LENGTHS, HEADS, HEAD_WIDTH = (3, 1, 5), 2, 16
"""Tokens of the cells of the tiny input, heads, width of a head."""
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}
"""Largest difference from the closed form that rounding explains, for values of order one."""


def versions(folder: Path | None) -> list[tuple[str, str]]:
    """Python, scfm with its commit, and the packages; those that differ from constraints.txt say so."""
    import torch

    tested = _constraints(folder.parent / "constraints.txt") if folder else {}
    rows = [("python", f"{platform.python_version()}, {platform.platform(terse=True)}")]
    rows.append(("scfm", ", ".join(filter(None, (__version__, _commit())))))
    for package in (*PACKAGES, PLUGIN):
        if package == "scfm":
            continue
        text = _version(package)
        if package == "torch":
            text += f", CUDA {torch.version.cuda}" if torch.version.cuda else ", built without CUDA"
        if tested.get(package, text).split("+")[0] != text.split(",")[0].split("+")[0]:
            text += f" (tested: {tested[package]})"
        rows.append((package.replace("snakemake-executor-plugin-", "plugin "), text))
    return rows


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _constraints(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines() if path.is_file() else []
    return dict(line.split("==") for line in lines if "==" in line)


def _commit() -> str:
    """Commit of the clone that this library lies in; empty where it lies in none."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return ""
    try:
        asked = [
            subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True).stdout.strip()
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        ]
    except (OSError, subprocess.CalledProcessError):
        return f"clone {root}, commit not known"
    return f"commit {asked[0]}{' with edits' if asked[1] else ''} of {root}"


def devices() -> list[tuple[str, str]]:
    """CPU cores that this process may use, memory, and each visible GPU."""
    import torch

    page = os.sysconf("SC_PAGE_SIZE")
    total, free = (os.sysconf(name) * page / GB for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = [("CPU", f"{cores} cores, {total:.1f} GB of memory, {free:.1f} GB of it unused")]
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        with torch.cuda.device(number):
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        rows.append(
            (
                f"GPU {number}",
                f"{about.name}, {about.total_memory / GB:.1f} GB, compute capability {about.major}.{about.minor}, "
                f"{'with' if bf16 else 'without'} bf16",
            )
        )
    return rows if len(rows) > 1 else [*rows, ("GPU", "none visible")]


@dataclass(frozen=True)
class Attention:
    """One path of `scfm.models.attention` on one device."""

    device: str
    """CPU, or GPU and its number."""
    text: str
    """The path, and its distance from the closed form or why it fails."""
    sound: bool
    """Whether it runs and agrees with the closed form."""


def attention() -> list[Attention]:
    """The paths that `scfm.models.attention` takes on each device."""
    import torch

    paths = [("CPU", "padded", torch.device("cpu"), torch.float32)]
    for number in range(torch.cuda.device_count()):
        device = torch.device("cuda", number)
        paths.append((f"GPU {number}", "variable-length kernel", device, torch.bfloat16))
        paths.append((f"GPU {number}", "padded", device, torch.float32))
    checks = [(label, path, *_agreement(device, dtype)) for label, path, device, dtype in paths]
    return [Attention(label, f"{path}, {text}", sound) for label, path, text, sound in checks]


def _agreement(device, dtype) -> tuple[str, bool]:
    """What to say of attention on a device, and whether it is sound."""
    import torch

    from scfm.models.attention import attend

    kind = str(dtype).removeprefix("torch.")
    starts = torch.tensor([0, *LENGTHS], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, sum(LENGTHS), HEADS, HEAD_WIDTH, generator=generator).to(dtype)
    try:
        given = [x.to(device) for x in (query, key, value, starts)]
        found = attend(*given, max(LENGTHS)).double().cpu()
    except (ImportError, NotImplementedError, RuntimeError) as error:
        return f"{kind}: fails ({' '.join(str(error).split())[:200]})", False
    distance = float((found - closed_form(query, key, value, starts)).abs().max())
    sound = distance <= TOLERANCE[kind]
    verdict = "agrees with" if sound else "DIFFERS FROM"
    return f"{kind}: {verdict} the closed form on a tiny input (largest difference {distance:.0e})", sound


def closed_form(query, key, value, starts):
    """softmax(q kᵀ / √width) v of each cell by itself, float64 [tokens, heads, width]."""
    import torch

    cells = []
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        q, k, v = (x[start:stop].double().transpose(0, 1) for x in (query, key, value))
        cells.append((torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-1) @ v).transpose(0, 1))
    return torch.cat(cells)
