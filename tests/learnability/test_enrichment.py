"""Winner rates, odds ratios and tests of groups."""

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact, hypergeom, mannwhitneyu

from scfm.learnability.absolute import absolute
from scfm.learnability.enrichment import adjust, enrichment, fisher, rates
from scfm.learnability.groups import crosstab, group_table
from scfm.learnability.null import draw_nulls, null_rates
from scfm.learnability.outcomes import score
from scfm.learnability.settings import Learnability, Resampling

SETTINGS = Learnability(permutations=Resampling(n=20))


def with_nulls(errors, annotation, settings=SETTINGS):
    scored = score(errors.merge(annotation, on="gene"), settings)
    return scored.join(null_rates(scored, draw_nulls(scored, settings)))


def scored_genes(simulated, annotated, **options):
    errors = simulated(n=800, **options)
    annotation = annotated(errors.gene)
    return with_nulls(errors, annotation), annotation


def test_published_odds_of_counts():
    # Published: 58 cilia winners of 510 annotated genes, 909 winners of 16,288 genes.
    ratio, low, high, p = fisher(58, 510, 909 - 58, 16_288 - 510)
    assert ratio == (58 / 452) / (851 / (15_778 - 851))
    assert low < ratio < high
    # Fisher's two-sided p adds the probabilities of all tables that are no more likely than the observed one.
    chances = hypergeom.pmf(np.arange(511), 16_288, 909, 510)
    assert np.isclose(p, chances[chances <= chances[58] * (1 + 1e-9)].sum(), rtol=1e-6)


def test_fisher_without_genes_or_winners():
    assert np.isnan(fisher(0, 0, 3, 10)).all()
    assert np.isnan(fisher(0, 5, 0, 10)).all()
    assert fisher(0, 5, 3, 10)[0] == 0
    assert fisher(2, 5, 0, 10)[0] == np.inf


def test_rates_with_both_denominators(simulated, annotated):
    scored, annotation = scored_genes(simulated, annotated, winners=0.1)
    table = rates(scored, annotation, "family")
    for name, row in table.iterrows():
        own = scored[scored.family == name]
        wins = (own.outcome == "winner").sum()
        assert row.annotated == 200
        assert row.evaluated == own.reliable.sum() < 200
        assert row.winners == wins
        assert row.winner_rate_annotated == wins / 200
        assert row.winner_rate_evaluated == wins / own.reliable.sum()
        # Wilson's interval in closed form.
        n, p, z = row.evaluated, row.winner_rate_evaluated, 1.959963984540054
        center, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        np.testing.assert_allclose(
            [row.winner_low, row.winner_high], [*(center + np.array([-half, half]))] / (1 + z * z / n)
        )


def test_enrichment_against_scipy(simulated, annotated):
    scored, _ = scored_genes(simulated, annotated, winners=0.1)
    table = enrichment(scored, "program", "unassigned")
    own = scored[scored.reliable]
    winner, z = own.outcome == "winner", own.z
    inside, reference = own.program == "constitutive", own.program == "unassigned"
    for suffix, outside in (("others", ~inside), ("reference", reference)):
        counts = [[(winner & side).sum(), (~winner & side).sum()] for side in (inside, outside)]
        expected = fisher_exact(counts)
        row = table.loc["constitutive"]
        assert np.isclose(row[f"odds_ratio_{suffix}"], expected.statistic)
        assert np.isclose(row[f"fisher_p_{suffix}"], expected.pvalue)
        assert np.isclose(row[f"mannwhitney_p_{suffix}"], mannwhitneyu(z[inside], z[outside]).pvalue)
    assert table.loc["unassigned"].filter(like="_reference").isna().all()


def test_benjamini_hochberg_by_hand():
    adjusted = adjust(pd.Series([0.01, np.nan, 0.04, 0.03, 0.5]))
    np.testing.assert_allclose(adjusted, [0.04, np.nan, 0.04 * 4 / 3, 0.04 * 4 / 3, 0.5])
    assert adjust(pd.Series([np.nan, np.nan])).isna().all()


def test_planted_family_is_enriched(simulated, annotated):
    errors = simulated(n=1200)
    annotation = annotated(errors.gene)
    kinase = (annotation.family == "Kinase").to_numpy()
    errors.loc[kinase[: len(errors)], "rescaled_mae"] *= np.where(np.arange(kinase.sum()) % 4 == 0, 0.6, 1)
    scored = with_nulls(errors, annotation)
    table = group_table(scored, annotation, "family", {}, SETTINGS).set_index("family")
    assert table.odds_low_others["Kinase"] > 1
    assert table.odds_low_reference["Kinase"] > 1
    assert table.fisher_q_others["Kinase"] < 1e-6
    assert table.odds_ratio_others["Synapse"] < 1


def test_absolute_medians(simulated, annotated):
    scored, _ = scored_genes(simulated, annotated)
    scored.loc[scored.family == "Kinase", "rescaled_mae_null"] = 0.0
    table = absolute(scored, "family", Learnability())
    own = scored[scored.reliable & (scored.family == "Synapse")]
    assert table.median_rescaled_mae["Synapse"] == own.rescaled_mae.median()
    assert table.median_auc["Synapse"] == own.auc[own.n - own.n_nonzero >= 20].median()
    assert absolute(scored, "family", Learnability(min_zeros=10**6)).median_auc.isna().all()
    assert table.share_beating_null["Synapse"] == 1
    assert np.isclose(table.median_improvement["Synapse"], 0.2)
    assert table.share_beating_null["Kinase"] == 0
    assert np.isnan(table.median_improvement["Kinase"])


def test_family_without_a_gene_has_a_row(simulated, annotated):
    scored, annotation = scored_genes(simulated, annotated)
    table = group_table(scored, annotation, "family", {"Histone": "Chromatin", "Synapse": "Synapse"}, Learnability())
    assert list(table.family) == ["Histone", "Synapse", "Kinase", "Peptidase", "Unclassified"]
    histone = table.iloc[0]
    assert histone.family_group == "Chromatin"
    assert histone.annotated == 0
    assert histone.evaluated == 0
    assert histone.winners == 0
    assert np.isnan(histone.winner_rate_annotated)
    assert np.isnan(histone.median_auc)
    assert table.annotated.dtype.kind == "i"
    assert table.annotated.sum() == 800


def test_no_reliable_gene_gives_zero_counts(simulated, annotated):
    errors = simulated(n=50)
    annotation = annotated(errors.gene)
    settings = SETTINGS.model_copy(update={"min_nonzero": 10**6})
    scored = with_nulls(errors, annotation, settings)
    table = group_table(scored, annotation, "program", {}, settings)
    assert (table.evaluated == 0).all()
    assert table.winner_rate_evaluated.isna().all()
    assert (table.winner_rate_annotated == 0).all()
    assert table.fisher_q_others.isna().all()
    assert table.null_rate_evaluated_sign.isna().all()


def test_every_winner_rate_of_a_group_has_a_null_beside_it(simulated, annotated):
    scored, annotation = scored_genes(simulated, annotated, winners=0.05)
    for by in ("family", "family_group", "program"):
        table = group_table(scored, annotation, by, {}, SETTINGS).set_index(by)
        for name, row in table.iterrows():
            own = scored[scored.reliable & (scored[by] == name)]
            for null in ("shuffle", "sign"):
                wins = own[f"null_{null}"].sum()
                assert np.isclose(row[f"null_winners_{null}"], wins)
                assert np.isclose(row[f"null_rate_annotated_{null}"], wins / row.annotated)
                assert np.isclose(row[f"null_rate_evaluated_{null}"], wins / row.evaluated)


def test_shuffled_z_gives_a_group_the_rate_of_its_zero_fraction(simulated, annotated):
    # Half as many winners where genes are sparse: a family of sparse genes alone should win as they do.
    errors = simulated(n=4000, sd=0.2, winners=0.0)
    dense = errors.zero_fraction < 0.5
    errors.loc[dense & (errors.index % 10 == 0), "rescaled_mae"] *= 0.4
    annotation = annotated(errors.gene).assign(family=np.where(dense, "dense", "sparse"))
    rates = group_table(with_nulls(errors, annotation), annotation, "family", {}, SETTINGS).set_index("family")
    np.testing.assert_allclose(rates.null_rate_evaluated_shuffle, rates.winner_rate_evaluated, atol=0.01)
    assert rates.winner_rate_evaluated["dense"] > 2 * rates.winner_rate_evaluated["sparse"]


def test_groups_of_families_are_tested_together(simulated, annotated):
    scored, annotation = scored_genes(simulated, annotated, winners=0.1)
    groups = {"Kinase": "Enzyme", "Peptidase": "Enzyme", "Synapse": "Synapse", "Unclassified": "Unclassified"}
    annotation["family_group"] = annotation.family.map(groups)
    scored["family_group"] = scored.family.map(groups)
    table = group_table(scored, annotation, "family_group", {"MHC": None, "Enzyme": None}, SETTINGS)
    assert list(table.family_group) == ["MHC", "Enzyme", "Synapse", "Unclassified"]
    families = group_table(scored, annotation, "family", {}, SETTINGS).set_index("family")
    enzyme = table.set_index("family_group").loc["Enzyme"]
    assert enzyme.winners == families.winners["Kinase"] + families.winners["Peptidase"]
    assert table.reference.eq("Unclassified").all()


def test_crosstab_sums_to_the_genes(simulated, annotated):
    scored, _ = scored_genes(simulated, annotated, winners=0.1)
    table = crosstab(scored)
    assert len(table) == 12
    assert table.annotated.sum() == 800
    assert table.evaluated.sum() == scored.reliable.sum()
    assert table.winners.sum() == (scored.outcome == "winner").sum()
