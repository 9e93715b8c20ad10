"""The synthetic screen: planted effects are there, and nothing else of the census changes."""

import numpy as np
import pytest
from typer.testing import CliRunner

from scfm.corpus.commands import app
from scfm.corpus.synthetic.cells import cell_table, cell_types
from scfm.corpus.synthetic.counts import draw_counts
from scfm.corpus.synthetic.genes import gene_table
from scfm.corpus.synthetic.planted import perturbation
from scfm.corpus.synthetic.screen import CONTROL, screen
from scfm.corpus.synthetic_settings import Screen, Synthetic
from scfm.errors import ScfmError
from scfm.settings import as_json

CENSUS = Synthetic(kind="synthetic", cells=1000, genes=400, planted=60, types=6, holdout_cells=100)
ASKED = Screen(types=3, perturbations=8, cells=60, controls=100, additive=3, interacting=2)


def with_screen(**changes):
    return CENSUS.model_copy(update={"screen": ASKED.model_copy(update=changes)})


@pytest.fixture(scope="module")
def planted():
    return screen(with_screen())


def test_types_perturbations_pairs_and_controls(planted):
    cells = planted.obs
    assert planted.shape == (3 * (13 * 60 + 100), 128)
    assert cells.groupby(["cell_type", "perturbation"]).size().groupby("perturbation").nunique().max() == 1
    kinds = cells.groupby("perturbation")["planted"].first().value_counts().to_dict()
    assert kinds == {"single": 8, "additive": 3, "interacting": 2, CONTROL: 1}
    singles = set(cells["perturbation"][cells["planted"] == "single"])
    assert singles <= set(planted.var_names)
    pairs = cells["perturbation"][cells["planted"].isin(["additive", "interacting"])].unique()
    assert all(set(name.split("+")) <= singles and name == "+".join(sorted(name.split("+"))) for name in pairs)
    assert set(cells["cell_type_ontology_term_id"]) == set(cell_types(CENSUS)["id"].head(3))
    assert (planted.X.data == np.rint(planted.X.data)).all()


def test_planted_effects_are_in_the_counts(planted):
    names, seen, wanted = planted.uns["effect_perturbations"].tolist(), [], []
    for number, term in enumerate(planted.uns["effect_types"]):
        own = (planted.obs["cell_type_ontology_term_id"] == term).to_numpy()
        mean = {name: planted.X[own & (planted.obs["perturbation"] == name).to_numpy()].mean(0).A1 for name in names}
        for row, name in enumerate(names[:-1]):
            often = (mean[CONTROL] > 0.5) & (mean[name] > 0)
            seen.append(np.log(mean[name][often] / mean[CONTROL][often]))
            wanted.append(planted.uns["effects"][number, row, often])
        assert not planted.uns["effects"][number, -1].any()
    slope, offset = np.polyfit(np.concatenate(wanted), np.concatenate(seen), 1)
    assert slope == pytest.approx(1, abs=0.05)
    assert offset == pytest.approx(0, abs=0.1)  # the log of a noisy mean is below the mean's
    assert np.corrcoef(np.concatenate(wanted), np.concatenate(seen))[0, 1] > 0.9
    assert np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(seen, wanted, strict=True)]) > 0.85


def test_pairs_add_up_or_do_not_and_types_scale(planted):
    effects = planted.uns["effects"]
    number = {name: row for row, name in enumerate(planted.uns["effect_perturbations"])}
    kind = planted.obs.groupby("perturbation")["planted"].first()
    for name in kind.index[kind.isin(["additive", "interacting"])]:
        sums = sum(effects[:, number[one]] for one in name.split("+"))
        assert np.allclose(effects[:, number[name]], sums, atol=1e-5) == (kind[name] == "additive"), name
    singles = effects[:, [number[name] for name in kind.index[kind == "single"]]]
    like = [np.corrcoef(a, b)[0, 1] for a, b in zip(singles[0], singles[1], strict=True)]
    assert 0.7 < np.mean(like) < 0.999
    same = screen(with_screen(type_sd=0)).uns["effects"]
    assert np.allclose(same, same[:1])


def test_the_census_and_other_planted_data_do_not_change():
    other = with_screen()
    cells, types, genes = cell_table(CENSUS), cell_types(CENSUS), gene_table(CENSUS)
    before, after = (draw_counts(cells, types, genes, settings) for settings in (CENSUS, other))
    assert cell_table(other).equals(cells)
    assert (before != after).nnz == 0
    assert (perturbation(CENSUS).X != perturbation(other).X).nnz == 0


def test_size_and_seed_decide_all(planted):
    again = screen(with_screen())
    assert (again.X != planted.X).nnz == 0
    assert again.obs.equals(planted.obs)
    small = screen(with_screen(genes=40, types=1, additive=0, interacting=0))
    assert small.shape == (8 * 60 + 100, 40)
    assert screen(with_screen(genes=None, types=1)).n_vars == 400
    assert screen(with_screen().model_copy(update={"seed": 1})).obs["perturbation"].tolist() != (
        planted.obs["perturbation"].tolist()
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (CENSUS, "corpus.source.screen is null"),
        (with_screen(types=7), "7 types where the census has 6"),
        (with_screen(genes=500), "500 genes or targets"),
        (with_screen(perturbations=130), "130 genes or targets"),
        (with_screen(additive=40), "42 pairs of 8 perturbations, which make 28"),
    ],
)
def test_sizes_that_do_not_fit_are_a_sentence(settings, words):
    with pytest.raises(ScfmError, match=words):
        screen(settings)


def test_screen_command(tmp_path):
    out = tmp_path / "screen.h5ad"
    result = CliRunner().invoke(app, ["plant", "screen", "--settings", as_json(with_screen()), "--out", str(out)])
    assert result.output.strip() == "corpus plant screen: 2,640 cells, 128 genes"
    assert out.exists()
