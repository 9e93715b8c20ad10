"""The language of gene rules: which genes match one, and what it says in words."""

import numpy as np

from scfm.annotation.settings import Rule
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
        ScfmError: the rule names a GO term that the ontology does not hold.
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
    parts = [*rule.any_of, *rule.all_of, *([rule.exclude] if rule.exclude else [])]
    return set(RESOURCES.get(rule.condition, ())).union(*map(resources, parts))


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
