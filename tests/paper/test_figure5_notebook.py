import nbformat
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def notebook(pytestconfig):
    return nbformat.read(pytestconfig.rootpath / "notebooks/figure5.ipynb", as_version=4)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two seeds of a run fine-tuned and probed on a human and a mouse dataset; the probe also on a third."""
    folder = tmp_path_factory.mktemp("figure5")
    for seed in (0, 1):
        for task, pooling in (("finetune", "finetuned"), ("heldout", "cls")):
            rows = []
            for dataset, species in (("blood", ""), ("marrow", "_mus_musculus"), ("gut", "")):
                if (task, dataset) == ("finetune", "gut"):
                    continue
                value = 0.8 + 0.1 * seed if task == "finetune" else 0.5
                for metric, shift in (
                    ("macro_f1", 0),
                    ("macro_f1_low", -0.1),
                    ("macro_f1_high", 0.05),
                    ("accuracy", 0),
                ):
                    rows.append(("wced", pooling, dataset, task + species, metric, seed, value + shift, 52, "false"))
            names = ["run", "pooling", "dataset", "task", "metric", "seed", "value", "n", "contaminated"]
            table = pd.DataFrame(rows, columns=names).assign(study="s", split="test", fold="")
            table.to_csv(folder / f"{task}{seed}.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def run(notebook, tables):
    """Function: the notebook's names after its cells ran in this process; papermill does the same in a kernel."""
    import matplotlib

    matplotlib.use("Agg")

    def execute(out):
        files = {
            task: " ".join(str(tables / f"{task}{seed}.csv") for seed in (0, 1)) for task in ("finetune", "heldout")
        }
        names = {}
        for cell in notebook.cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, "figure5", "exec"), names)
                if "parameters" in cell.metadata.get("tags", []):
                    names.update(files | {"out": str(out), "dpi": 50})
        names["plt"].close("all")
        return names

    return execute


def test_notebook_is_clean_and_has_parameters(notebook):
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert next(cell.metadata.get("tags") for cell in code) == ["parameters"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_means_intervals_and_panels(run, tables):
    names = run(tables / "out")
    assert names["datasets"] == ["blood", "marrow"]
    assert names["means"].loc[("blood", "wced", "finetuned")].tolist() == pytest.approx([0.85, 0.75, 0.90])
    assert names["means"].loc[("marrow", "wced", "cls")].tolist() == pytest.approx([0.5, 0.4, 0.55])
    assert names["title"]("marrow") == "marrow\n(mouse, n = 52 held-out cells)"
    assert sorted(path.name for path in (tables / "out").iterdir()) == ["figure5.pdf", "figure5.png"]
    run(tables / "again")
    for path in (tables / "out").iterdir():
        assert path.read_bytes() == (tables / "again" / path.name).read_bytes(), path.name
