"""Settings of a perturbation task: which cells count, what is held out, how predictions are scored."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from scfm.settings import Settings


class Quality(Settings):
    """Cells and conditions that are looked at."""

    min_cells: Annotated[int, Field(ge=2)] = 20
    """A perturbation with fewer cells in a background is left out of that background."""
    min_controls: Annotated[int, Field(ge=2)] = 20
    """A background with fewer control cells is left out: nothing there can be compared."""


class Holdout(Settings):
    """What is held out of training: perturbations, combinations or backgrounds."""

    kind: Literal["perturbations", "combinations", "backgrounds"] = "perturbations"
    """`perturbations`: single perturbations, in all backgrounds, with every combination that holds one of them.
    `combinations`: pairs, by how many of the two were seen alone. `backgrounds`: cell types, lines or donors; of those
    held out only the controls are known."""
    seen: Literal[0, 1, 2] = 2
    """For `combinations`: partners that training has seen alone; the others occur in no training cell."""
    prompted: bool = False
    """For `perturbations`: each held-out perturbation is asked for in one background, and its cells in the others are
    a prompt, shown when predicting and never in training (STACK's in-context task)."""
    test: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Share held out of what can be, at least one; without `folds`. Of perturbations and backgrounds one is left to
    train on."""
    folds: Annotated[int, Field(ge=2)] | None = None
    """Parts, each held out once, at most as many as can be held out; null: one split. Not for `combinations` with
    fewer than two seen, whose training side differs with each pair."""
    seed: int = 0
    """Seed of what is held out."""

    @property
    def name(self) -> str:
        """What tables call it: combinations_2_seen, perturbations_prompted."""
        return self.kind + (f"_{self.seen}_seen" if self.kind == "combinations" else "_prompted" * self.prompted)

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> "Holdout":
        if self.prompted and self.kind != "perturbations":
            raise ValueError("prompted is for held-out perturbations; leave it out or set kind to perturbations")
        if self.folds and self.kind == "combinations" and self.seen < 2:
            raise ValueError("folds need combinations with two seen partners; leave folds out")
        return self


class Scoring(Settings):
    """How predicted cells are compared with real ones."""

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """False discovery rate below which a gene counts as changed."""
    resamples: Annotated[int, Field(ge=100)] = 2000
    """Draws of as many perturbations as there are, with replacement."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Mass of the percentile interval."""
    seed: int = 0
    """Seed of those draws, of the halves of the ceiling and of the baselines' cells."""


class Atlas(Settings):
    """A perturbed atlas: every cell type of a reference under every perturbation of a screen."""

    cells: Annotated[int, Field(ge=2)] = 100
    """Cells of a type that are rewritten under each perturbation; all of them where it has fewer."""
    min_cells: Annotated[int, Field(ge=2)] = 20
    """A type or perturbation with fewer cells is left out; one that is named below is refused."""
    types: tuple[str, ...] = ()
    """Cell types of the reference; empty: all."""
    perturbations: tuple[str, ...] = ()
    """Perturbations of the screen, in the common form; empty: all."""
    prompt: Annotated[int, Field(ge=2)] = 512
    """Most cells that are shown of a perturbation, drawn from all its backgrounds."""
    min_genes: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Least share of the model's genes that screen and reference must hold; the others count as 0."""
    confident: float = 2.5
    """Log odds from which a cell counts as one of the condition; those of the paper's atlas."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """False discovery rate below which a gene counts as changed."""
    seed: int = 0
    """Seed of which cells are rewritten and shown, and of the rewriting."""
