"""Projected hours of each run of the paper study, from the operations of its steps: a calculation, not a measurement.

    PYTHONPATH=src:benchmarks python benchmarks/hours.py --cpu 90

Operations are those of each network's own closed form on cells as long as the Census's, with the settings of
config/runs and config/studies/paper.yaml; cells are those that the paper published for its 10 % corpus. CellPLM reads
them in sets, PULSAR one set of vectors a donor and pass; the vectors themselves are not counted.
Hours assume that a GPU does `--rate` TFLOP/s, four of them four times as much, and that nothing else takes time.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from generate import cells_of, census_lengths
from torch import nn

from scfm.models.bmfm.network import Network as BmfmNetwork
from scfm.models.bmfm.settings import Bmfm
from scfm.models.cellplm.network import Network as CellplmNetwork
from scfm.models.cells import ragged
from scfm.models.lingshu.network import Network as LingshuNetwork
from scfm.models.lingshu.settings import Lingshu
from scfm.models.pulsar.network import Network as PulsarNetwork
from scfm.models.pulsar.settings import Pulsar
from scfm.models.stack.network import Network as StackNetwork
from scfm.models.stack.settings import Stack
from scfm.models.system import SystemSettings
from scfm.pretrain.settings import Run, parse_run
from scfm.settings import read_yaml
from scfm.study import Study

CELLS = {"train": 5.0e6, "validate": 1.2e6}
"""Of the paper's 10 % corpus."""
GENES = 19_300
CLASSES = {"cell_type": 794, "tissue": 300, "tissue_general": 60, "donor_id": 10_000, "sex": 3}
"""Labels of each group: cell types as published, the others assumed; they hardly count."""
DONORS = {"train": CLASSES["donor_id"], "validate": CLASSES["donor_id"] / 4}
"""Assumed."""


COLUMNS = (
    "run",
    "million parameters",
    "million cells × epochs",
    "tokens a cell",
    "TFLOP a cell",
    "EFLOP",
    "1 GPU, h",
    "4 GPUs, h",
    "core-years",
)


def network_of(model: SystemSettings, genes: int = GENES) -> nn.Module:
    """The network of a run at its start."""
    if isinstance(model, Bmfm):
        tree = torch.ones(1, CLASSES["cell_type"], dtype=torch.bool)
        return BmfmNetwork(model, genes, tree, 0, classes=CLASSES, lineage=tree)
    if isinstance(model, Lingshu):
        return LingshuNetwork(model, genes, {condition.column: ["a"] for condition in model.conditions}, seed=0)
    kind = PulsarNetwork if isinstance(model, Pulsar) else StackNetwork if isinstance(model, Stack) else CellplmNetwork
    return kind(model, genes, datasets=1, seed=0)


def cost(model: SystemSettings, mode: str, cells: int, genes: int = GENES) -> tuple[float, float]:
    """Tokens of a cell, and operations of a step on it, backward pass included: means over cells like the Census's.

    The cells are one set of a system that reads sets, in the second phase of STACK with a control for each cell under
    a condition; of PULSAR one donor has as many as it reads of each.
    """
    cells = model.sampling.cells if isinstance(model, Pulsar) else cells
    labels = {"set": np.zeros(cells, np.int64)}
    if isinstance(model, Pulsar):
        labels["vector"] = np.random.default_rng(0).normal(size=(cells, model.width)).astype(np.float32)
    if isinstance(model, Stack) and model.prompt:
        labels |= {model.prompt.condition: np.arange(cells) % 2, model.prompt.cell_type: np.zeros(cells, np.int64)}
    lengths = np.minimum(census_lengths(cells), genes // 2)
    batch = ragged(cells_of(lengths, genes), {} if isinstance(model, Bmfm) else labels)
    network, measured = network_of(model, genes), torch.ones(1, genes, dtype=torch.bool)
    view = network.view(batch, measured, torch.Generator().manual_seed(0), mode)
    return view.tokens / cells, network.flops(view).item() / cells


def cells_of_a_pass(model: SystemSettings) -> dict[str, float]:
    """Cells that training and validation read."""
    if isinstance(model, Pulsar):
        return {name: donors * model.sampling.cells for name, donors in DONORS.items()}
    return CELLS


def operations(run: Run, cells: int) -> tuple[float, float, float]:
    """Tokens of a training cell, operations of a step on it, and operations of the whole run with its validations."""
    tokens, step = cost(run.model, "train", cells)
    validations = run.training.epochs // run.training.validate_every * run.training.validation_passes
    forward = cost(run.model, "validate", cells)[1] / 3
    read = cells_of_a_pass(run.model)
    trained = read["train"] * run.training.epochs * step
    return tokens, step, run.corpus_fraction * (trained + read["validate"] * validations * forward)


def main() -> None:
    """Print a row for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=0.35 * 790, help="TFLOP/s of one GPU")
    parser.add_argument("--cpu", type=float, required=True, help="GFLOP/s of one core, as train.py measured them")
    parser.add_argument("--cells", type=int, default=200, help="over which a run is averaged")
    parser.add_argument("--runs", nargs="+", help="these alone, of the study or of config/runs")
    a = parser.parse_args()
    config = Path(__file__).parents[1] / "config"
    runs = dict(Study(read_yaml(config / "config.yaml") | {"study": "paper"}, config).runs)
    for name in set(a.runs or ()) - set(runs):
        runs[name] = parse_run(read_yaml(config / "runs" / f"{name}.yaml"), name)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for name, run in runs.items():
        if run.trained and (a.runs is None or name in a.runs):
            tokens, step, total = operations(run, a.cells)
            cells = f"{run.corpus_fraction * cells_of_a_pass(run.model)['train'] / 1e6:.1f} × {run.training.epochs}"
            size = sum(p.numel() for p in network_of(run.model).parameters()) / 1e6
            hours, years = total / a.rate / 1e12 / 3600, total / a.cpu / 1e9 / 3600 / 24 / 365
            figures = f"{step / 1e12:.2g} | {total / 1e18:,.1f} | {hours:,.1f} | {hours / 4:,.1f} | {years:,.1f}"
            print(f"| {name} | {size:,.1f} | {cells} | {tokens:,.1f} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
