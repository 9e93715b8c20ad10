"""Rules that put genes into families and programs, as data."""

import re
from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from scfm.errors import ScfmError
from scfm.settings import Settings, parse, read_yaml

GO_ID = re.compile(r"GO:\d{7}")


class Rule(Settings):
    """Which genes belong: exactly one condition, or several joined by any_of or all_of, less those of `exclude`."""

    symbols: tuple[str, ...] = ()
    """Approved symbols, each written out."""
    symbol_prefixes: tuple[str, ...] = ()
    """Beginnings of approved symbols."""
    symbol_regex: str | None = None
    """A regular expression that must match from the symbol's first character on."""
    go: tuple[str, ...] = ()
    """Gene Ontology terms; a gene annotated to any of them or to a descendant belongs."""
    go_direct: tuple[str, ...] = ()
    """Gene Ontology terms; only a gene annotated to the very term belongs."""
    tfclass: tuple[int, ...] = ()
    """TFClass superclasses, 0 to 9."""
    cell_type_specificity: tuple[str, ...] = ()
    """Values of 'RNA single cell type specificity' in the Human Protein Atlas."""
    housekeeping: bool = False
    """Every gene of the housekeeping list."""
    rest: bool = False
    """Every gene; the last rule of a list, and only that."""
    any_of: tuple["Rule", ...] = ()
    """Union of rules."""
    all_of: tuple["Rule", ...] = ()
    """Intersection of rules."""
    exclude: "Rule | None" = None
    """Genes of this rule are taken out again."""

    @field_validator("go", "go_direct")
    @classmethod
    def _go_ids(cls, terms: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [term for term in terms if not GO_ID.fullmatch(term)]
        if wrong:
            raise ValueError(f"'{wrong[0]}' is not a GO id such as GO:0005840")
        return terms

    @field_validator("tfclass")
    @classmethod
    def _superclasses(cls, numbers: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 0 <= number <= 9 for number in numbers):
            raise ValueError("TFClass superclasses are numbered 0 to 9")
        return numbers

    @field_validator("symbol_regex")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from error
        return pattern

    @model_validator(mode="after")
    def _one_condition(self) -> "Rule":
        named = [name for name in type(self).model_fields if name != "exclude" and getattr(self, name)]
        if not named:
            raise ValueError("a rule needs a condition, such as symbols, symbol_prefixes or go")
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} stand side by side; join them by any_of or all_of")
        return self

    @property
    def condition(self) -> str:
        """Name of the one field that is set, `exclude` aside."""
        return next(name for name in type(self).model_fields if name != "exclude" and getattr(self, name))


class GeneClass(Settings):
    """One family or program."""

    order: str
    """Number of the row in the paper's table, for example 4a."""
    name: str
    """Name as the tables print it."""
    group: str | None = None
    """Coarser name that several rows share; the row's own name if absent."""
    paper: int | None = None
    """Published number of genes."""
    rule: Rule
    """Which genes belong, unless an earlier row has them."""


class Choices(Settings):
    """Readings of the gene rules that the paper leaves open for all of them; the study's key `annotation`."""

    relations: tuple[str, ...] = ("is_a",)
    """GO relations followed from a term to its descendants: is_a, part_of, regulates and so on."""
    evidence: tuple[str, ...] | None = None
    """GO evidence codes that count; all if absent."""
    tfclass_by: Literal["first_label", "any_label", "cross_reference"] = "first_label"
    """A gene is a factor if its approved symbol is the first label of a genus, any label, or by cross-reference."""
    housekeeping_by: Literal["symbol", "alias"] = "symbol"
    """A name of the housekeeping list must be an approved symbol, or may also be a previous symbol or alias."""


class AnnotationSettings(Choices):
    """Families and programs in priority order, and the readings that the paper leaves open."""

    families: tuple[GeneClass, ...]
    """Functional families; the first that matches wins."""
    programs: tuple[GeneClass, ...]
    """Expression programs; the first that matches wins."""

    @field_validator("families", "programs")
    @classmethod
    def _total(cls, rows: tuple[GeneClass, ...]) -> tuple[GeneClass, ...]:
        names = [row.name for row in rows]
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise ValueError(f"'{twice[0]}' stands there twice")
        if [row.rule.rest for row in rows] != [False] * (len(rows) - 1) + [True]:
            raise ValueError("the last row, and no other, must have the rule 'rest: true'")
        return rows


class Reading(Choices):
    """One reading to compare with the study's; only keys that are given change anything."""

    rules: dict[str, Rule] = {}
    """Family or program to the rule in the place of its own."""
    resources: dict[
        Literal["hgnc", "gene_ontology", "go_annotation", "tfclass", "protein_atlas", "housekeeping"], str
    ] = {}
    """Annotation file to the resource in the place of its own."""

    def applied(self, settings: AnnotationSettings) -> AnnotationSettings:
        """The settings under this reading; another file is not part of them."""
        given = {name: getattr(self, name) for name in self.model_fields_set - {"rules", "resources"}}
        rows = {kind: tuple(map(self._ruled, getattr(settings, kind))) for kind in ("families", "programs")}
        return settings.model_copy(update=given | rows)

    def _ruled(self, row: GeneClass) -> GeneClass:
        return row.model_copy(update={"rule": self.rules[row.name]}) if row.name in self.rules else row


class Alternatives(Settings):
    """config/readings.yaml."""

    readings: dict[str, dict[str, Reading]]
    """Question to the answers to compare, each with its name."""

    def listed(self) -> list[tuple[str, str, Reading]]:
        """Question, name and content of each reading, in the order of the file."""
        return [(question, *answer) for question, answers in self.readings.items() for answer in answers.items()]

    @property
    def resources(self) -> list[str]:
        """Names of the resources that readings put in the place of the study's."""
        return list(dict.fromkeys(name for *_, reading in self.listed() for name in reading.resources.values()))


def read_alternatives(path: Path, settings: AnnotationSettings) -> Alternatives:
    """Read the readings to compare.

    Args:
        settings: families and programs whose rules the readings may change.

    Raises:
        ScfmError: the file is missing, a key is unknown, a rule is wrong or for what is neither family nor program, or
            would leave genes without either.
    """
    alternatives = parse(Alternatives, read_yaml(path), str(path))
    names = {row.name for row in (*settings.families, *settings.programs)}
    for question, answer, reading in alternatives.listed():
        for name in sorted(set(reading.rules) - names):
            raise ScfmError(
                f"{path}: '{name}' under '{question}: {answer}' is neither family nor program; correct the name"
            )
        parse(AnnotationSettings, reading.applied(settings).model_dump(), f"{path}: '{question}: {answer}'")
    return alternatives


def read_settings(families: Path, programs: Path, **readings: object) -> AnnotationSettings:
    """Read the two rule files and join them with a study's readings.

    Raises:
        ScfmError: a file is missing, a key is unknown, a rule has no condition or several.
    """
    data = {**read_yaml(families), **read_yaml(programs), **readings}
    return parse(AnnotationSettings, data, f"{families}, {programs}")
