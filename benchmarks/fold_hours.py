"""Projected hours of the trainings of task perturbation in the paper study: a calculation, not a measurement.

    PYTHONPATH=src:benchmarks python benchmarks/fold_hours.py

Each system is trained anew on each fold that it has a way to predict, with the keys of config/studies/paper.yaml, on
one GPU. Operations are those of each network's closed form, as in `hours.py`; numbers of cells and genes are those of
the mirror's files, of the others assumed. Validation and what is drawn, which is little, are left out.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

from hours import cost

from scfm.benchmarks.anew import run_on
from scfm.pretrain.settings import Run
from scfm.settings import read_yaml
from scfm.study import Study


class Screen(NamedTuple):
    """A dataset of perturbed cells."""

    cells: int
    """Training cells of a fold."""
    genes: int
    """Protein-coding genes."""
    folds: int
    """Folds that both systems have a way to predict."""


SCREENS = {
    "kang_ifnb": Screen(1_500, 8_642, 6),
    "perturb_norman": Screen(2_600, 445, 1),
    "norman": Screen(70_000, 19_300, 1),
    "sciplex3": Screen(95_000, 19_300, 3),
}
"""The first two are files of the mirror, the others assumed."""


def operations(run: Run, screen: Screen) -> tuple[float, float]:
    """Operations of a step on a cell, and of all trainings on a screen."""
    cells = run.model.sets.cells
    step = cost(run.model, "train", cells if cells > 1 else 32, screen.genes)[1]
    return step, step * screen.cells * run.training.epochs * screen.folds


def main() -> None:
    """Print a row for each system and screen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=0.35 * 790, help="TFLOP/s of one GPU")
    a = parser.parse_args()
    config = Path(__file__).parents[1] / "config"
    study = Study(read_yaml(config / "config.yaml") | {"study": "paper"}, config)
    columns = ("run", "screen", "thousand cells × epochs × folds", "GFLOP a cell", "EFLOP", "1 GPU, h")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name, base in study.predicting.items():
        for dataset, screen in SCREENS.items():
            run = run_on(base, dataset, study.benchmarks.perturbation)
            step, total = operations(run, screen)
            size = f"{screen.cells / 1e3:,.1f} × {run.training.epochs} × {screen.folds}"
            figures = f"{step / 1e9:,.1f} | {total / 1e18:,.3f} | {total / a.rate / 1e12 / 3600:,.2f}"
            print(f"| {name} | {dataset} | {size} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
