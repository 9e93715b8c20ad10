"""Settings of one STACK model; defaults are the paper's (Large)."""

from typing import Literal

from pydantic import Field, model_validator

from scfm.models.sets import Sets
from scfm.models.system import SystemSettings
from scfm.settings import Settings


class Transformer(Settings):
    """From counts of a cell to its gene modules, and layers along both axes of the table."""

    modules: int = Field(100, ge=1)
    """Tokens of a cell, each a learned dense mix of all genes."""
    width: int = Field(16, ge=1)
    """Width of a token."""
    layers: int = Field(9, ge=1)
    """Layers, each with attention within cells, attention across cells and a feed-forward part."""
    heads: int = Field(8, ge=1)
    """Heads of the attention within a cell; divides `width`."""
    set_heads: int = Field(8, ge=1)
    """Heads of the attention across cells; divides `modules` x `width`."""
    ffn: int = Field(64, ge=1)
    """Width of the feed-forward part of a token."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout of the tokens before the first layer (its share is ours)."""
    across_cells: bool = True
    """False leaves out the attention across cells: the ablation of what the set is worth."""

    @property
    def cell_width(self) -> int:
        """Width of a flattened cell."""
        return self.modules * self.width

    @model_validator(mode="after")
    def _heads_divide(self) -> "Transformer":
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        if self.cell_width % self.set_heads:
            raise ValueError(f"modules x width ({self.cell_width}) must be a multiple of set_heads ({self.set_heads})")
        return self


class Masking(Settings):
    """The share of genes that a batch hides, drawn uniformly; the same genes in all its cells."""

    least: float = Field(0.1, gt=0, lt=1)
    """Least share."""
    most: float = Field(0.8, gt=0, lt=1)
    """Largest share."""

    @model_validator(mode="after")
    def _ordered(self) -> "Masking":
        if self.most < self.least:
            raise ValueError(f"most ({self.most}) must not be below least ({self.least})")
        return self


class Sliced(Settings):
    """Pull of the cell vectors of a set, less their mean, to a standard normal law: a sliced Wasserstein distance."""

    weight: float = Field(0.01, ge=0)
    """Weight of the term."""
    projections: int = Field(64, ge=1)
    """Random directions."""
    least: int = Field(32, ge=2)
    """Least number of cells of a set that a step draws."""
    most: int = Field(128, ge=2)
    """Largest number."""

    @model_validator(mode="after")
    def _ordered(self) -> "Sliced":
        if self.most < self.least:
            raise ValueError(f"most ({self.most}) must not be below least ({self.least})")
        return self


class Prompt(Settings):
    """The second phase: some cells of a condition are shown, and others are rewritten as if they were under it."""

    rows: int = Field(512, ge=2)
    """Most cells of a window."""
    condition: str = "condition"
    """Column of the cells with their condition, or their donor."""
    control: str | None = "control"
    """Its value for cells that are rewritten; none: cells of any other condition are."""
    controls: int = Field(0, ge=0)
    """Most control cells that join each set, dealt anew from all of them in each pass, beside `sets.cells` (ours); 0:
    those of its own group alone."""
    cell_type: str = "cell_type_ontology_term_id"
    """Column of the kind that a rewritten cell shares with the cell that it should become."""
    share: float = Field(0.25, gt=0, lt=1)
    """Share of a window that is the prompt: cells under the condition that see each other only."""
    most_context: float = Field(0.9375, ge=0, lt=1)
    """Largest share t of the other rows that hold real cells of the condition; uniform from 0."""
    masking: Masking = Masking(least=0.1, most=0.3)
    """Hidden genes."""
    control_windows: float = Field(0.1, ge=0, le=1)
    """Chance that a window's condition is the control itself, which should change nothing (ours)."""
    typewise: float = Field(0.0, ge=0, le=1)
    """Chance that a window's rows come type by type, so that the prompt lacks types of the query (ours)."""
    marker_gradient: float = Field(10.0, gt=0)
    """Factor on the gradient of the query marker."""
    expression_weight: float = Field(0.5, ge=0)
    """Weight of the energy distance in expression."""
    genes: int = Field(1000, ge=1)
    """Genes of that distance, those of the largest Pearson residuals."""
    scale: float = Field(1e4, gt=0)
    """Counts of a cell that this distance scales to, before log1p."""
    temperature: float = Field(0.7, gt=0)
    """Of the gate of differentiable draws."""
    embedding_weight: float = Field(0.5, ge=0)
    """Weight of the energy distance between cell vectors and those of the teacher."""
    teacher_memory: float = Field(0.95, ge=0, lt=1)
    """Share of the teacher's weights that stays when it follows the network."""
    teacher_every: int = Field(500, ge=1)
    """Training batches from one such step to the next."""
    query_weight: float = Field(1.0, ge=0)
    """Weight of the classifier of query rows."""

    @model_validator(mode="after")
    def _controls_have_a_name(self) -> "Prompt":
        if self.controls and self.control is None:
            raise ValueError("controls join sets where `control` says which cells they are; name it, or leave them out")
        return self


class Stack(SystemSettings):
    """One STACK model: network, input view and objectives."""

    transformer: Transformer = Transformer()
    """Tokens and layers."""
    masking: Masking = Masking()
    """Hidden genes of the first phase."""
    sliced: Sliced = Sliced()
    """Regular cell vectors."""
    prompt: Prompt | None = None
    """The second phase in the place of the first."""
    sets: Sets = Sets(cells=256)
    """Which cells are read together; with `prompt`, a group must hold cells of conditions and their controls."""

    @property
    def poolings(self) -> tuple[str, ...]:
        """Names of the cell embeddings that the model offers: all modules one after another, and their mean."""
        return ("modules", "mean")

    @property
    def predicts(self) -> Literal["", "prompts"]:
        """By prompts, after training by prompts."""
        return "prompts" if self.prompt else ""
