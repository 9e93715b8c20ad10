"""Winners under other parameters."""

import pytest

from scfm.learnability.outcomes import score
from scfm.learnability.sensitivity import sensitivity
from scfm.learnability.settings import Learnability


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
    assert table.default.sum() == 1
    assert table.jaccard[table.default].item() == pytest.approx(1)


def test_stricter_thresholds_give_fewer_winners(simulated):
    table = sensitivity(simulated(n=800), Learnability())
    for _, group in table.groupby(["half_width", "sparse_cut"]):
        assert group.sort_values("t").winners.is_monotonic_decreasing


def test_no_reliable_gene_gives_an_empty_table(simulated):
    assert sensitivity(simulated(n=5), Learnability(min_nonzero=10**6)).empty
