from pathlib import Path

import nbformat
import pandas as pd
import pytest

from scfm.benchmarks.results import Measurement, tidy


@pytest.fixture(scope="module")
def names(pytestconfig, tmp_path_factory):
    """The notebook's names after its cells ran in this process, on two datasets and two runs with a seed each."""
    import matplotlib

    matplotlib.use("Agg")
    folder = tmp_path_factory.mktemp("figure6")
    for dataset, classes in (("screen", 4), ("other", 3)):
        for run, mean in (("pca", 0.8), ("wced", 0.6)):
            rows = [Measurement("auroc", mean + 0.1 * (-1) ** i, n=50, fold=f"0.{i}") for i in range(2)]
            rows += [Measurement("auroc", mean, n=100), Measurement("classes", classes, n=100)]
            rows += [Measurement("drugs", 16, n=100), Measurement("recall", 0.1, n=50, fold="0.0")]
            pooling = "pca" if run == "pca" else "cls"
            whose = {"study": "s", "run": run, "pooling": pooling, "dataset": dataset, "task": "moa"}
            tidy(rows, **whose, seed=0, contaminated=False).to_csv(folder / f"{dataset}-{run}.csv", index=False)
    root = pytestconfig.rootpath
    given = {"tidy": " ".join(map(str, sorted(folder.glob("*.csv")))), "out": str(folder / "out"), "dpi": 50}
    given["published"] = str(root / "config/published/figure6.csv")
    names = {}
    for cell in nbformat.read(root / "notebooks/figure6.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "figure6", "exec"), names)
            if "parameters" in cell.metadata.get("tags", []):
                names.update(given)
    names["plt"].close("all")
    return names


def test_a_panel_for_each_dataset_and_one_for_the_published_figures(names):
    titles = [axis.get_title(loc="left") for axis in names["axes"][:, 0]]
    assert len(titles) == 3
    assert any(title.startswith("screen: 4 classes, 16 drugs") for title in titles)
    assert titles[-1] == "published, sci-Plex 3: 9 classes, 39 drugs"


def test_marks_are_the_folds_their_mean_and_their_spread(names):
    folds = names["folds"]
    assert sorted(folds.value) == pytest.approx(sorted([0.9, 0.7, 0.7, 0.5] * 2)), (
        "the rows over all folds are left out"
    )
    axis = names["axes"][0, 0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["pca", "wced  cls"]
    assert [text.get_text() for text in axis.texts] == ["0.800 ± 0.141", "0.600 ± 0.141"]


def test_published_figures_are_as_printed(names, pytestconfig):
    axis = names["axes"][-1, 0]
    table = pd.read_csv(pytestconfig.rootpath / "config/published/figure6.csv")
    labels = [label.get_text() for label in axis.get_yticklabels()]
    values = [float(text.get_text()) for text in axis.texts]
    assert dict(zip(labels, values, strict=True)) == dict(zip(table.model, table.published_auroc, strict=True))
    assert values == sorted(values, reverse=True)
    assert all(line.get_markerfacecolor() == "none" for line in axis.lines if line.get_marker() == "D")


def test_files(names):
    folder = Path(names["out"])
    assert (folder / "figure6.png").stat().st_size > 1000
    assert (folder / "figure6.pdf").stat().st_size > 1000
