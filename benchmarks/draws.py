"""What Lingshu-Cell's draws keep of a toy of 64 genes, by steps and by guidance: the tables of docs/systems.md.

    PYTHONPATH=src:tests/models python benchmarks/draws.py      # a minute of training, and two of drawing

The toy is that of tests/models/test_lingshu_cells.py, which holds the least of these figures.
"""

import time

import numpy as np
from lingshu_toy import HELD_OUT, TYPES, Screen, alike, correlations, depth_ratio, drawn, moments, told_apart, trained

CELLS = 1000


def by_steps(screen, network):
    """A line for each number of steps, of control cells."""
    real = [screen.real(kind, 0, 4000) for kind in range(TYPES)]
    print("steps | means r | spreads r | pairs r | slope | spread of depths | AUROC | CPU-s for 1,000 cells")
    for steps in (1, 2, 3, 4, 16, 64, None):
        start = time.process_time()
        if steps:
            made = [drawn(network, kind, 0, CELLS, seed=kind, steps=steps) for kind in range(TYPES)]
        else:
            made = [screen.real(kind, 0, CELLS, seed=77) for kind in range(TYPES)]
        spent = (time.process_time() - start) / TYPES
        means, spreads = (alike(moments(made, moment), moments(real, moment)) for moment in (np.mean, np.std))
        own, known = correlations(made), correlations(real)
        slope = np.polyfit(known, own, 1)[0]
        figures = (means, spreads, alike(own, known), slope, depth_ratio(made, real), told_apart(made, real))
        print(steps or "real", *(f"{x:.3f}" for x in figures), f"{spent:.1f}", sep=" | ", flush=True)


def by_guidance(screen, network):
    """A line for each strength of guidance, of held-out pairs in 3 steps."""
    print("w | r of changes | their size over the true one | mean absolute error")
    for w in (-1.0, 0.0, 1.0, 2.0):
        found, sizes, errors = [], [], []
        for kind, perturbation in HELD_OUT:
            control, true = (np.log1p(screen.real(kind, p, 4000)).mean(0) for p in (0, perturbation))
            made = np.log1p(drawn(network, kind, perturbation, CELLS, guidance=w, steps=3)).mean(0)
            found.append(alike(made - control, true - control))
            sizes.append(np.abs(made - control).mean() / np.abs(true - control).mean())
            errors.append(np.abs(made - true).mean())
        print(f"{w:g}", *(f"{np.mean(x):.3f}" for x in (found, sizes, errors)), sep=" | ", flush=True)


if __name__ == "__main__":
    toy = Screen()
    model = trained(toy)
    by_steps(toy, model)
    by_guidance(toy, model)
