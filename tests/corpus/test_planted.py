"""Datasets beside the synthetic census: what is planted is there, and the census does not change."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from scfm.corpus.commands import app
from scfm.corpus.settings import Synthetic
from scfm.corpus.synthetic.cells import cell_types
from scfm.corpus.synthetic.planted import disease, perturbation, signature
from scfm.settings import as_json

CENSUS = Synthetic(kind="synthetic", cells=1000, genes=400, planted=60, types=6, holdout_cells=100)
DEMO = yaml.safe_load((Path(__file__).parents[2] / "config/studies/demo.yaml").read_text())


@pytest.fixture(scope="module")
def screen():
    return perturbation(CENSUS)


@pytest.fixture(scope="module")
def cortex():
    return disease(CENSUS)


def test_drugs_mechanisms_doses_and_vehicle(screen):
    cells = screen.obs
    assert cells.groupby("mechanism")["product_name"].nunique().to_dict() == {
        "Vehicle": 1,
        "mechanism A": 6,
        "mechanism B": 4,
        "mechanism C": 4,
        "mechanism D": 4,
        "mechanism E": 1,
    }
    assert cells.groupby("dose").size().to_dict() == {0: 60, 100: 19 * 5, 10000: 19 * 20}
    assert set(cells.loc[cells["dose"] == 0, "product_name"]) == {"Vehicle"}
    assert (cells.groupby("product_name")["viability"].nunique() == 1).all()
    assert cells.loc[cells["viability"] >= 0.85, "product_name"].nunique() == 3  # two without effect, and vehicle
    assert cells["cell_type"].nunique() == 1


def test_drugs_of_a_mechanism_are_alike_and_more_so_at_a_high_dose(screen):
    cells = screen.obs.reset_index(drop=True)
    log = np.log1p(screen.X.toarray())
    mean = {
        key: log[rows].mean(0) for key, rows in cells.groupby(["mechanism", "product_name", "dose"]).indices.items()
    }
    vehicle = mean["Vehicle", "Vehicle", 0]
    shift = {
        key: value - vehicle for key, value in mean.items() if key[2] == 10000 and key[0] in "mechanism B mechanism C"
    }
    names = sorted(shift)
    matrix = np.corrcoef([shift[name] for name in names])
    same = np.array([[a[0] == b[0] for b in names] for a in names]) & ~np.eye(len(names), dtype=bool)
    other = np.array([[a[0] != b[0] for b in names] for a in names])
    assert matrix[same].mean() > matrix[other].mean() + 0.1

    rows = {dose: cells.index[(cells["mechanism"] == "mechanism B") & (cells["dose"] == dose)] for dose in (100, 10000)}
    direction = log[rows[10000][::2]].mean(0) - vehicle
    along = {
        dose: (log[own].mean(0) - vehicle) @ direction for dose, own in ((100, rows[100]), (10000, rows[10000][1::2]))
    }
    assert 0.5 * along[10000] > along[100]


def test_state_share_donors_and_signature(cortex):
    cells = cortex.obs
    first = cells["cell_type"] == cells["cell_type"].value_counts().idxmax()
    assert not cells.loc[~first, "planted_state"].any()
    shares = cells[first].groupby("condition")["planted_state"].mean()
    assert shares["case"] == pytest.approx(0.4, abs=0.1)
    assert shares["control"] == pytest.approx(0.1, abs=0.08)
    assert (cells.groupby("donor_id")["condition"].nunique() == 1).all()
    assert cells.groupby("condition")["donor_id"].nunique().to_dict() == {"case": 3, "control": 3}
    state = cells["planted_state"].to_numpy()
    up, down = signature(CENSUS)
    for genes, sign in ((up, 1), (down, -1)):
        counts = cortex[:, genes].X.toarray()
        ratio = np.log(counts[state].mean(0) / counts[first & ~state].mean(0))
        assert (sign * ratio > 0.5).all()


def test_cells_are_of_the_census(screen, cortex):
    kinds = cell_types(CENSUS)["id"].tolist()
    assert set(screen.obs["cell_type_ontology_term_id"]) == set(kinds[:1])
    assert set(cortex.obs["cell_type_ontology_term_id"]) == set(kinds[:3])
    for adata in (screen, cortex):
        assert adata.var_names.is_unique
        assert (adata.X.data == np.rint(adata.X.data)).all()


def test_settings_decide_all(screen, tmp_path):
    again = perturbation(CENSUS)
    assert (again.X != screen.X).nnz == 0
    assert again.obs.equals(screen.obs)
    other = perturbation(CENSUS.model_copy(update={"seed": 1}))
    assert other.X.shape != screen.X.shape or (other.X != screen.X).nnz > 0


def test_the_default_study_looks_for_what_is_planted():
    source = Synthetic(**DEMO["corpus"]["source"])
    wanted = DEMO["benchmarks"]["disease"]
    assert (wanted["up"], wanted["down"]) == signature(source)
    assert wanted["cell_type"] == disease(source).obs["cell_type"].value_counts().idxmax()
    assert {wanted["case"], wanted["control"]} == {"case", "control"}


def test_command(tmp_path):
    options = ["--settings", as_json(CENSUS), "--out", str(tmp_path / "d.h5ad")]
    result = CliRunner().invoke(app, ["plant", "disease", *options])
    assert result.output.strip() == "corpus plant disease: 420 cells, 400 genes"
    result = CliRunner().invoke(app, ["plant", "weather", *options])
    assert "kind 'weather' is unknown; write one of perturbation, disease, screen" in str(result.exception)
