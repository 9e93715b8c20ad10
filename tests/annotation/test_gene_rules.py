"""Each kind of rule on the handmade vocabulary, and what a rule must not be."""

import pytest

from scfm.annotation.rules import in_words, matches, readings, resources
from scfm.annotation.settings import AnnotationSettings, Rule
from scfm.errors import ScfmError
from scfm.settings import parse

ENRICHED = {"cell_type_specificity": ["Cell type enriched", "Group enriched"]}


def taken(rule, sources):
    found = matches(parse(Rule, rule, "rule"), sources)
    assert found.dtype == bool
    assert found.shape == (9,)
    return set(sources.genes[found])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"symbols": ["KIN1", "ABSENT"]}, {"KIN1"}),
        ({"symbol_prefixes": ["MT-", "KIN"]}, {"MT-ND1", "KIN1", "KIN2"}),
        ({"symbol_regex": r"OR\d"}, {"OR1A1"}),
        ({"symbol_regex": r"N"}, set()),
        ({"go": ["GO:0000002"]}, {"KIN1", "KIN2", "ORC1"}),
        ({"go": ["GO:0000022"]}, {"KIN1", "KIN2", "ORC1"}),
        ({"go": ["GO:0000004", "GO:0000003"]}, {"PART1", "KIN2"}),
        ({"go_direct": ["GO:0000002"]}, {"KIN1", "ORC1"}),
        ({"go_direct": ["GO:0000001"]}, set()),
        ({"tfclass": [2]}, {"ZNF1"}),
        ({"tfclass": [0, 4, 9]}, set()),
        (ENRICHED, {"KIN1", "KIN2"}),
        ({"cell_type_specificity": ["Cell type enhanced"]}, {"REG1"}),
        ({"housekeeping": True}, {"MTA1", "REG1"}),
        ({"any_of": [{"symbols": ["ORC1"]}, {"tfclass": [2]}]}, {"ORC1", "ZNF1"}),
        ({"all_of": [{"go": ["GO:0000002"]}, {"symbol_prefixes": ["KIN"]}]}, {"KIN1", "KIN2"}),
        ({"go": ["GO:0000002"], "exclude": ENRICHED}, {"ORC1"}),
        ({"rest": True, "exclude": {"symbol_regex": ".*1"}}, {"KIN2"}),
        (
            {"all_of": [{"any_of": [{"symbols": ["KIN1"]}, {"symbols": ["REG1"]}]}, {"housekeeping": True}]},
            {"REG1"},
        ),
    ],
)
def test_each_kind_of_rule(sources, rule, expected):
    assert taken(rule, sources()) == expected


def test_descendants_follow_only_the_chosen_relations(sources):
    rule = {"go": ["GO:0000002"]}
    assert taken(rule, sources(relations=["is_a", "part_of"])) == {"KIN1", "KIN2", "ORC1", "PART1"}
    assert taken(rule, sources(relations=["is_a", "regulates"])) == {"KIN1", "KIN2", "ORC1", "REG1"}
    assert taken(rule, sources(relations=["part_of"])) == {"KIN1", "ORC1", "PART1"}


def test_not_qualifiers_never_count(sources):
    everything = taken({"go": ["GO:0000001"]}, sources(relations=["is_a", "part_of", "regulates"]))
    assert everything == {"KIN1", "KIN2", "REG1", "PART1", "ORC1"}


def test_evidence_codes_can_be_chosen(sources):
    assert taken({"go": ["GO:0000002"]}, sources(evidence=["IDA"])) == {"KIN1", "ORC1"}
    with pytest.raises(ScfmError, match=r"evidence: no row .* has one of the codes XYZ, only IDA, IEA; correct"):
        sources(evidence=["XYZ"])


def test_labels_of_tfclass_by_reading(sources):
    assert taken({"tfclass": [1, 2]}, sources()) == {"ZNF1"}
    assert taken({"tfclass": [1, 2]}, sources(tfclass_by="any_label")) == {"ZNF1", "KIN1", "MTA1"}


def test_cross_references_need_an_ontology_file(sources, tmp_path):
    with pytest.raises(ScfmError, match=r"tfclass_by: .* has no cross-references"):
        sources(tfclass_by="cross_reference")
    path = tmp_path / "tfclass.obo"
    path.write_text(
        "format-version: 1.2\n\n[Term]\nid: 1.1.1.1.1\nname: c-Fun (ZNF1)\nsubset: Genus\n"
        'xref: UNIPROT:P00005 "HUMAN"\nxref: UNIPROT:P00001 "MOUSE_REVIEWED"\n'
        'xref: ENSEMBL:ENSG00000000004 "without antibody"\n'
    )
    assert taken({"tfclass": [1]}, sources({"tfclass": path}, tfclass_by="cross_reference")) == {"REG1", "KIN2"}
    assert taken({"tfclass": [1]}, sources({"tfclass": path}, tfclass_by="any_label")) == {"ZNF1"}


def test_housekeeping_by_alias(sources):
    assert taken({"housekeeping": True}, sources(housekeeping_by="alias")) == {"MTA1", "KIN1", "REG1"}


@pytest.mark.parametrize("term", ["GO:0123456", "GO:0000009"])
def test_a_term_that_is_unknown_or_obsolete(sources, term):
    with pytest.raises(ScfmError, match=rf"{term}: not a live term of .*gene_ontology\.obo; correct the rule"):
        taken({"go": [term]}, sources())
    with pytest.raises(ScfmError, match=term):
        taken({"go_direct": [term]}, sources())


def test_an_unknown_relation(sources):
    with pytest.raises(ScfmError, match=r"'partof' occurs nowhere in .*; choose from is_a, part_of, regulates"):
        taken({"go": ["GO:0000002"]}, sources(relations=["is_a", "partof"]))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({}, "a rule needs a condition"),
        ({"exclude": {"rest": True}}, "a rule needs a condition"),
        ({"any_of": [{}]}, "a rule needs a condition"),
        ({"symbols": ["A"], "tfclass": [1]}, "symbols and tfclass stand side by side; join them by any_of or all_of"),
        ({"symbol_prefix": ["A"]}, "did you mean 'symbol_prefixes'"),
        ({"go": ["GO:42"]}, "'GO:42' is not a GO id"),
        ({"tfclass": [10]}, "numbered 0 to 9"),
        ({"symbol_regex": "OR("}, "not a regular expression"),
        ({"symbols": "A"}, "symbols"),
    ],
)
def test_a_wrong_rule_is_one_sentence(rule, message):
    with pytest.raises(ScfmError, match=message) as caught:
        parse(Rule, rule, "families.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "the last row"),
        ([("a", {"symbols": ["A"]})], "the last row"),
        ([("a", {"rest": True}), ("b", {"rest": True})], "the last row"),
        ([("a", {"rest": True}), ("b", {"symbols": ["A"]})], "the last row"),
        ([("a", {"symbols": ["A"]}), ("a", {"rest": True})], "'a' stands there twice"),
    ],
)
def test_a_list_of_rules_must_give_every_gene_one_name(rows, message):
    rows = [{"order": str(i), "name": name, "rule": rule} for i, (name, rule) in enumerate(rows)]
    good = [{"order": "1", "name": "all", "rule": {"rest": True}}]
    for families, programs in ((rows, good), (good, rows)):
        with pytest.raises(ScfmError, match=message):
            parse(AnnotationSettings, {"families": families, "programs": programs}, "test")


def test_rules_in_words():
    rule = parse(
        Rule,
        {
            "any_of": [
                {"go": ["GO:0000002", "GO:0000003"]},
                {"all_of": [{"symbol_prefixes": ["A", "B", "C"]}, {"housekeeping": True}]},
            ],
            "exclude": {"tfclass": [2]},
        },
        "rule",
    )
    assert in_words(rule, ("is_a", "part_of")) == (
        "(GO:0000002 or GO:0000003 with descendants by is_a or part_of or (symbol starts with A, B or C and in the "
        "housekeeping list)), but not (TFClass superclass 2)"
    )
    assert resources(rule) == {"gene_ontology", "go_annotation", "housekeeping", "tfclass"}


def test_readings_of_a_rule_in_words(settings):
    rule = parse(Rule, {"any_of": [{"go_direct": ["GO:0000002"]}, {"tfclass": [2]}]}, "rule")
    assert readings(rule, settings()) == ["all evidence codes", "TFClass by first label"]
    rule = parse(Rule, {"go": ["GO:0000002"], "exclude": {"housekeeping": True}}, "rule")
    chosen = settings(relations=["is_a", "part_of"], evidence=["IDA", "IMP"], housekeeping_by="alias")
    assert readings(rule, chosen) == [
        "descendants by is_a or part_of", "evidence IDA or IMP", "housekeeping list by alias",
    ]  # fmt: skip
    assert readings(parse(Rule, {"symbols": ["A"]}, "rule"), chosen) == []
