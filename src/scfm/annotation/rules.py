"""The language of gene rules: which genes match one, and what it says in words."""

import numpy as np

from scfm.annotation.settings import AnnotationSettings, Rule
from scfm.annotation.sources import Sources

RESOURCES = {
    "go": ("gene_ontology", "go_annotation"),
    "go_direct": ("gene_ontology", "go_annotation"),
    "tfclass": ("tfclass",),
    "cell_type_specificity": ("protein_atlas",),
    "housekeeping": ("housekeeping",),
}
"""Condition to the resources that it asks."""


def matches(rule: Rule, sources: Sources) -> np.ndarray:
    """Bool [genes]: the genes of the vocabulary that the rule takes.

    Raises:
        NotInFile: the rule names a GO term that the ontology does not hold.
    """
    found = _condition(rule, sources)
    return found & ~matches(rule.exclude, sources) if rule.exclude else found


def _condition(rule: Rule, sources: Sources) -> np.ndarray:
    names = sources.genes.str
    match rule.condition:
        case "symbols":
            return sources.genes.isin(rule.symbols).to_numpy()
        case "symbol_prefixes":
            return names.startswith(rule.symbol_prefixes).to_numpy(dtype=bool)
        case "symbol_regex":
            return names.match(rule.symbol_regex).to_numpy(dtype=bool)
        case "go" | "go_direct" as kind:
            return sources.has_go(getattr(rule, kind), descendants=kind == "go")
        case "tfclass":
            return sources.has_superclass(rule.tfclass)
        case "cell_type_specificity":
            return np.isin(sources.specificity, rule.cell_type_specificity)
        case "housekeeping":
            return sources.housekeeping
        case "any_of":
            return np.logical_or.reduce([matches(part, sources) for part in rule.any_of])
        case "all_of":
            return np.logical_and.reduce([matches(part, sources) for part in rule.all_of])
        case "rest":
            return np.ones(len(sources.genes), dtype=bool)


def resources(rule: Rule) -> set[str]:
    """Names of the resources that the rule asks."""
    return {name for condition in _conditions(rule) for name in RESOURCES.get(condition, ())}


def readings(rule: Rule, settings: AnnotationSettings) -> list[str]:
    """What the settings say of the conditions of the rule, as phrases for a table."""
    codes = "all evidence codes" if settings.evidence is None else f"evidence {_list(settings.evidence)}"
    phrases = {
        "go": (f"descendants by {_list(settings.relations)}", codes),
        "go_direct": (codes,),
        "tfclass": (f"TFClass by {settings.tfclass_by.replace('_', ' ')}",),
        "housekeeping": (f"housekeeping list by {settings.housekeeping_by}",),
    }
    asked = _conditions(rule)
    return list(dict.fromkeys(words for name in phrases if name in asked for words in phrases[name]))


def _conditions(rule: Rule) -> set[str]:
    parts = [*rule.any_of, *rule.all_of, *([rule.exclude] if rule.exclude else [])]
    return {rule.condition}.union(*map(_conditions, parts))


def in_words(rule: Rule, relations: tuple[str, ...]) -> str:
    """The rule as a phrase for a table; `relations` are the GO relations that are followed down."""
    value = getattr(rule, rule.condition)
    match rule.condition:
        case "symbols":
            words = f"symbol is {_list(value)}"
        case "symbol_prefixes":
            words = f"symbol starts with {_list(value)}"
        case "symbol_regex":
            words = f"symbol matches {value}"
        case "go":
            words = f"{_list(value)} with descendants by {_list(relations)}"
        case "go_direct":
            words = f"{_list(value)} itself"
        case "tfclass":
            words = f"TFClass superclass {_list(value)}"
        case "cell_type_specificity":
            words = f"HPA single-cell type specificity is {_list(value)}"
        case "housekeeping":
            words = "in the housekeeping list"
        case "rest":
            words = "the rest"
        case "any_of":
            words = " or ".join(_bracketed(part, relations) for part in value)
        case "all_of":
            words = " and ".join(_bracketed(part, relations) for part in value)
    return f"({words}), but not ({in_words(rule.exclude, relations)})" if rule.exclude else words


def _bracketed(rule: Rule, relations: tuple[str, ...]) -> str:
    words = in_words(rule, relations)
    return f"({words})" if rule.any_of or rule.all_of or rule.exclude else words


def _list(values: tuple) -> str:
    *first, last = map(str, values)
    return f"{', '.join(first)} or {last}" if first else last
