import nbformat
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def notebook(pytestconfig):
    return nbformat.read(pytestconfig.rootpath / "notebooks/figure3.ipynb", as_version=4)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """One run, one dataset: of 10 T cells 6 are exact, 3 finer, 1 off; all 5 B cells are off, B is not in the tree."""
    tmp_path = tmp_path_factory.mktemp("ontology")
    whose = {"study": "demo", "run": "wced_hce", "seed": 0, "dataset": "blood"}
    rows = [
        ("leaf", "CL:1", "T cell", True, "CL:1", "T cell", "exact", 6),
        ("leaf", "CL:1", "T cell", True, "CL:2", "CD4 T cell", "finer", 3),
        ("leaf", "CL:1", "T cell", True, "CL:3", "NK cell", "off-lineage", 1),
        ("leaf", "CL:9", "B cell", False, "CL:3", "NK cell", "off-lineage", 5),
        ("greedy", "CL:1", "T cell", True, "CL:3", "NK cell", "off-lineage", 10),
    ]
    names = ["decode", "true_id", "true_name", "in_tree", "predicted_id", "predicted_name", "relation", "n"]
    pd.DataFrame(rows, columns=names).assign(**whose).to_csv(tmp_path / "types.csv", index=False)
    nodes = [("CL:0", "cell", 0, 1.0, 1.0), ("CL:1", "T cell", 1, 0.7, 0.9), ("CL:3", "NK cell", 1, 0.3, 0.1)]
    rows = [(true, n, *node) for true, n in (("CL:1", 10), ("CL:9", 5)) for node in nodes]
    names = ["true_id", "n", "node_id", "node_name", "depth", "probability", "greedy"]
    pd.DataFrame(rows, columns=names).assign(**whose).to_csv(tmp_path / "nodes.csv", index=False)
    return tmp_path


def run(notebook, tables, **parameters):
    """The notebook's names after its cells ran in this process; papermill does the same in a kernel."""
    import matplotlib

    matplotlib.use("Agg")
    given = {
        "types": str(tables / "types.csv"),
        "nodes": str(tables / "nodes.csv"),
        "out": str(tables / "out"),
        "dpi": 50,
    }
    names = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "figure3", "exec"), names)
            if "parameters" in cell.metadata.get("tags", []):
                names.update(given | parameters)
    names["plt"].close("all")
    return names


def test_notebook_is_clean_and_has_parameters(notebook):
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert next(cell.metadata.get("tags") for cell in code) == ["parameters"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.fixture(scope="module")
def names(notebook, tables):
    return run(notebook, tables)


def test_shares_and_panels(names, tables):
    assert names["shares"].loc[("blood", "wced_hce")].to_dict() == pytest.approx(
        {"exact": 6 / 15, "finer": 3 / 15, "coarser": 0, "off-lineage": 6 / 15}
    )
    assert names["example"] == "CL:1"  # B cells are no node of the tree
    assert list(names["path"].node_id) == ["CL:0", "CL:1", "CL:3"]
    assert sorted(path.name for path in (tables / "out").iterdir()) == ["figure3.pdf", "figure3.png"]


def test_the_same_tables_give_the_same_bytes(notebook, tables, names):
    run(notebook, tables, out=str(tables / "again"))
    for path in (tables / "out").iterdir():
        assert path.read_bytes() == (tables / "again" / path.name).read_bytes(), path.name


def test_an_unknown_run_is_named(notebook, tables):
    with pytest.raises(ValueError, match="'bert' has no node probabilities"):
        run(notebook, tables, run="bert", dataset="blood")


def test_datasets_of_other_species_are_left_out(notebook, tables, tmp_path):
    for kind in ("types", "nodes"):
        both = pd.read_csv(tables / f"{kind}.csv")
        pd.concat([both.assign(dataset="mouse"), both]).to_csv(tmp_path / f"{kind}.csv", index=False)
    found = run(notebook, tmp_path, skip="mouse other")
    assert {dataset for dataset, _ in found["bars"]} == {"blood"}
    assert found["chosen_dataset"] == "blood"
