"""Settings of the stage paper, and the form of one claim in config/claims.yaml."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from scfm.settings import Settings

SCALES = ("demo", "mini", "paper")
Scale = Literal["demo", "mini", "paper"]


class Paper(Settings):
    """How claims are judged and figures are drawn."""

    seed: int = 0
    """Seed of the bootstrap behind every interval."""
    bootstrap: int = Field(2000, ge=100)
    """Resamples of datasets and, within them, of seeds."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Mass of the percentile interval."""
    min_datasets: int = Field(2, ge=1)
    """Fewer datasets than this give no interval over datasets: the claim counts as not tested."""
    include_contaminated: bool = False
    """Also judge on datasets that share cells, donors or a study with the pretraining data."""
    dpi: int = Field(150, ge=50, le=600)
    """Resolution of the PNG figures."""


class Arm(Settings):
    """One side of a comparison."""

    run: str
    """Name of a pretraining run, or `pca` or `random`."""
    pooling: str
    """Pooling of the embedding, e.g. cls or mean."""


class Difference(Settings):
    """ours − baseline in one metric, paired by dataset and by the seeds that both have."""

    kind: Literal["difference"]
    task: str
    """Task of the tidy results, e.g. integration."""
    metric: str
    """Metric of the tidy results, e.g. AvgBio."""
    ours: Arm
    """The side that the claim is about."""
    baseline: Arm
    """The side that it is compared with."""


class Learnability(Settings):
    """One figure for each run and seed from a learnability table, summarised over the seeds."""

    kind: Literal["learnability"]
    table: Literal["summary", "families", "programs"]
    """Which file of learnability/<run>/<seed>/."""
    run: str
    """Name of the pretraining run."""
    column: str
    """Column of the table, or key of summary.json (dots go one level down)."""
    where: dict[str, str] = {}
    """Columns of the table and the value that a row must have; none for `summary`."""
    over_rows: Literal["min", "max", "median"] | None = None
    """How the rows of one seed become one figure; left out for `summary`."""
    p_column: str | None = None
    """Column with the (adjusted) p value; the claim then also needs it below 0.05 in every seed and row."""

    @model_validator(mode="after")
    def _rows_are_reduced(self) -> "Learnability":
        if self.table == "summary" and (self.over_rows or self.where or self.p_column):
            raise ValueError("over_rows, where and p_column belong to the tables families and programs, not to summary")
        if self.table != "summary" and self.over_rows is None:
            raise ValueError("over_rows must say how the rows of a seed become one figure")
        return self


class Agreement(Settings):
    """One figure of the agreement of two runs, with its p value, summarised over the seeds."""

    kind: Literal["agreement"]
    first: str
    """First run of the pair."""
    second: str
    """Second run of the pair."""
    column: str
    """Column of agreement.csv."""
    where: dict[str, str] = {}
    """Further columns of agreement.csv and the value that they must have, e.g. the universe."""
    p_column: str | None = None
    """Column with the p value; the claim then also needs p < 0.05 in every seed."""


class Check(Settings):
    """One row of check.csv, over all seeds of its run: the planted truth of the synthetic census."""

    kind: Literal["check"]
    name: str
    """Value of the column `quantity`, e.g. type_minus_noise; whichever run the study checks."""


class Corpus(Settings):
    """One count of the corpus, from its table of the split: one row a dataset (or donor, or cell) of either side."""

    kind: Literal["corpus"]
    column: Literal["unit", "cells"]
    """What is counted: the units that the split keeps whole, or cells."""
    split: Literal["train", "validation"]
    """Which side of the split."""


class Untested(Settings):
    """A claim whose experiment this study does not hold."""

    kind: Literal["untested"]
    missing: str
    """What is missing, as the end of the sentence 'not tested here: …'."""


Quantity = Annotated[Difference | Learnability | Agreement | Check | Corpus | Untested, Field(discriminator="kind")]


class Judge(Settings):
    """The test that the interval of our figure must pass."""

    rule: Literal["above", "at_least", "below", "near"]
    """above: whole interval > value; at_least: ≥ value; below: < value; near: within value ± margin."""
    value: float = 0.0
    """Threshold, or the middle of the equivalence region."""
    margin: float = Field(0.0, ge=0)
    """Half-width of the equivalence region; only for `near`."""

    @model_validator(mode="after")
    def _margin_belongs_to_near(self) -> "Judge":
        if (self.rule == "near") != (self.margin > 0):
            raise ValueError("a margin above 0 belongs to the rule near, and to it alone")
        return self


class Claim(Settings):
    """One claim and how it is judged."""

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    """Short unique name."""
    section: str
    """Section, table or figure of the paper; `validation` for checks of our own."""
    text: str
    """The claim in our own words."""
    published: str = ""
    """The published figure as printed, marked as published wherever it is shown; empty if there is none."""
    scale: Scale = "demo"
    """The smallest scale of study that can answer it."""
    quantity: Quantity
    """Our figure that answers it."""
    judge: Judge | None = None
    """How our figure is judged; left out only for untested claims."""

    @model_validator(mode="after")
    def _judged_unless_untested(self) -> "Claim":
        if (self.judge is None) != (self.quantity.kind == "untested"):
            raise ValueError("judge must be given, except for a quantity of kind untested")
        return self


class Inconsistency(Settings):
    """One point on which the paper disagrees with itself or with its released code."""

    topic: str
    """What it is about."""
    one: str
    """One statement."""
    other: str
    """What does not fit it."""
    reading: str
    """What this study does."""
    setting: str
    """Key or file where that is set."""


class Inconsistencies(Settings):
    """The file config/inconsistencies.yaml."""

    inconsistencies: list[Inconsistency] = Field(min_length=1)
    """Every point, in the order of the table."""


class Claims(Settings):
    """The file config/claims.yaml."""

    claims: list[Claim] = Field(min_length=1)
    """Every claim, in the order of the page."""

    @model_validator(mode="after")
    def _ids_are_unique(self) -> "Claims":
        ids = [claim.id for claim in self.claims]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"claim id {twice[0]} occurs twice")
        return self
