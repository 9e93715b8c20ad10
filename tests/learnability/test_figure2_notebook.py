"""The notebook of figure 2 draws whatever the stage writes."""

from pathlib import Path

import matplotlib
import nbformat
import numpy as np
import pytest
from matplotlib.image import imread

from scfm.files import write_json
from scfm.learnability.agreement import agreements
from scfm.learnability.analysis import analyse
from scfm.learnability.settings import Learnability, Resampling

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "figure2.ipynb"
FAST = Resampling(n=2)


def write_tables(folder, simulated, annotated, n, settings):
    tables = {}
    for seed, run in enumerate(["mlm", "wced"]):
        errors = simulated(n=n, seed=seed, winners=0.1, sd=0.1).assign(run=run)
        result = analyse(errors, annotated(errors.gene), settings)
        place = folder / run / "0"
        place.mkdir(parents=True)
        result.genes.to_parquet(place / "genes.parquet")
        result.families.to_csv(place / "families.csv", index=False)
        result.programs.to_csv(place / "programs.csv", index=False)
        write_json(place / "summary.json", result.summary)
        tables[run, "0"] = result.genes
    agreements(tables, [("mlm", "wced")]).to_csv(folder / "agreement.csv", index=False)


def draw(folder):
    """Run the code cells, with the parameters replaced as papermill replaces them."""
    matplotlib.use("Agg")
    names = {}
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, str(NOTEBOOK), "exec"), names)
        if "parameters" in cell.metadata.get("tags", []):
            names |= {"learnability": str(folder), "out": str(folder / "figure2"), "dpi": 50}


@pytest.mark.parametrize(("n", "min_nonzero"), [(300, 50), (30, 50), (30, 10**6)])
def test_figure_is_drawn(tmp_path, simulated, annotated, n, min_nonzero):
    write_tables(tmp_path, simulated, annotated, n, Learnability(min_nonzero=min_nonzero, permutations=FAST))
    with matplotlib.rc_context():
        draw(tmp_path)
    pixels = imread(tmp_path / "figure2" / "figure2.png")[..., :3]
    assert np.ptp(pixels) > 0.5
    assert (tmp_path / "figure2" / "figure2.pdf").read_bytes().startswith(b"%PDF")


def test_notebook_is_committed_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0].metadata.tags == ["parameters"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
