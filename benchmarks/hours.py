"""Projected hours of each run of the paper study, from the operations of its steps: a calculation, not a measurement.

    PYTHONPATH=src:benchmarks python benchmarks/hours.py

Operations are those of `scfm.models.bmfm.flops` on cells as long as the Census's, with the settings of config/runs and
config/studies/paper.yaml; cells are those that the paper published for its 10 % corpus. Hours assume that a GPU does
`--rate` TFLOP/s, four of them four times as much, and that nothing else takes time.
"""

import argparse
from pathlib import Path

import torch
from generate import cells_of, census_lengths

from scfm.models.bmfm.flops import step_flops
from scfm.models.bmfm.network import Network
from scfm.models.bmfm.settings import Bmfm
from scfm.models.bmfm.view import make_view
from scfm.models.cells import ragged
from scfm.pretrain.settings import Run
from scfm.settings import read_yaml
from scfm.study import Study

CELLS = {"train": 5.0e6, "validate": 1.2e6}
"""Of the paper's 10 % corpus."""
GENES = 19_300
CLASSES = {"cell_type": 794, "tissue": 300, "tissue_general": 60, "donor_id": 10_000, "sex": 3}
"""Labels of each group: cell types as published, the others assumed; they hardly count."""


def cost(model: Bmfm, mode: str, cells: int) -> tuple[float, float]:
    """Tokens of a cell, and operations of a step on it, backward pass included: means over cells like the Census's."""
    tree = torch.ones(1, CLASSES["cell_type"], dtype=torch.bool)
    network, draw = Network(model, GENES, tree, 0, classes=CLASSES, lineage=tree), torch.Generator().manual_seed(0)
    batch, measured = ragged(cells_of(census_lengths(cells), GENES), {}), torch.ones(1, GENES, dtype=torch.bool)
    view = make_view(batch, model, measured, draw, mode)
    return len(view.gene) / cells, step_flops(network, view).item() / cells


def operations(run: Run, cells: int) -> tuple[float, float, float]:
    """Tokens of a training cell, operations of a step on it, and operations of the whole run with its validations."""
    tokens, step = cost(run.model, "train", cells)
    validations = run.training.epochs // run.training.validate_every * run.training.validation_passes
    forward = cost(run.model, "validate", cells)[1] / 3
    trained = CELLS["train"] * run.training.epochs * step
    return tokens, step, run.corpus_fraction * (trained + CELLS["validate"] * validations * forward)


def main() -> None:
    """Print a row for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=0.35 * 790, help="TFLOP/s of one GPU")
    parser.add_argument("--cpu", type=float, required=True, help="GFLOP/s of one core, as train.py measured them")
    parser.add_argument("--cells", type=int, default=200, help="over which a run is averaged")
    a = parser.parse_args()
    config = Path(__file__).parents[1] / "config"
    runs = Study(read_yaml(config / "config.yaml") | {"study": "paper"}, config).runs
    print("| run | million cells × epochs | tokens a cell | TFLOP a cell | EFLOP | 1 GPU, h | 4 GPUs, h | core-years |")
    print("|---|---|---|---|---|---|---|---|")
    for name, run in runs.items():
        if run.trained:
            tokens, step, total = operations(run, a.cells)
            cells = f"{run.corpus_fraction * CELLS['train'] / 1e6:.1f} × {run.training.epochs}"
            hours, years = total / a.rate / 1e12 / 3600, total / a.cpu / 1e9 / 3600 / 24 / 365
            figures = f"{step / 1e12:.2f} | {total / 1e18:,.1f} | {hours:,.1f} | {hours / 4:,.1f} | {years:,.1f}"
            print(f"| {name} | {cells} | {tokens:,.0f} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
