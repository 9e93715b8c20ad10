"""Winners under other parameters."""

import pytest

from scfm.learnability.null import draw_nulls, null_winners
from scfm.learnability.outcomes import score
from scfm.learnability.sensitivity import sensitivity
from scfm.learnability.settings import Learnability, Resampling


def test_every_combination_is_counted_as_the_rule_counts_it(simulated):
    errors, settings = simulated(n=800, winners=0.05), Learnability()
    table = sensitivity(errors, settings)
    grid = settings.sensitivity
    assert len(table) == len(grid.t) * len(grid.half_width) * len(grid.sparse_cut)
    for row in table.itertuples():
        other = {"t": row.t, "half_width": row.half_width, "sparse_cut": row.sparse_cut}
        scored = score(errors, settings.model_copy(update=other))
        assert row.winners == (scored.outcome == "winner").sum()
        assert row.losers == (scored.outcome == "loser").sum()
        assert row.sparse_winners == ((scored.outcome == "winner") & scored["sparse"]).sum()
        assert row.winner_rate == row.winners / scored.reliable.sum()
    assert table.default.sum() == 1
    assert table.jaccard[table.default].item() == pytest.approx(1)


def test_stricter_thresholds_give_fewer_winners(simulated):
    table = sensitivity(simulated(n=800), Learnability())
    for _, group in table.groupby(["half_width", "sparse_cut"]):
        assert group.sort_values("t").winners.is_monotonic_decreasing


def test_null_rate_of_the_defaults_is_that_of_the_null_model(simulated):
    errors, settings = simulated(n=2000, winners=0.05, sd=0.2), Learnability(permutations=Resampling(n=40, seed=2))
    table = sensitivity(errors, settings)
    record = null_winners(draw_nulls(errors, settings))["sign"]
    # Other draws of the same model.
    assert table.null_rate_sign[table.default].item() == pytest.approx(record["rate"], rel=0.1)
    one_cut = table[table.sparse_cut == 0.65].sort_values("t")
    for _, group in one_cut.groupby("half_width"):
        assert group.null_rate_sign.is_monotonic_decreasing


def test_no_reliable_gene_gives_an_empty_table(simulated):
    assert sensitivity(simulated(n=5), Learnability(min_nonzero=10**6)).empty
