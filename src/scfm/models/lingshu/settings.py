"""Settings of one Lingshu-Cell model; defaults are the paper's."""

from typing import Literal

from pydantic import Field, model_validator

from scfm.models.sets import Sets
from scfm.models.system import SystemSettings
from scfm.settings import Settings

PREDICTING = ["background", "perturbation"]
"""Conditions with which perturbed cells can be asked for."""


class Transformer(Settings):
    """From count tokens to groups of genes, and bidirectional blocks over the groups."""

    group: int = Field(8, ge=1)
    """Genes that share a token of the transformer, by a fixed random permutation."""
    hidden: int = Field(640, ge=2)
    """Width of a token."""
    layers: int = Field(13, ge=1)
    """Blocks."""
    heads: int = Field(10, ge=1)
    """Heads of the attention; `hidden` is an even multiple of it."""
    ffn: int = Field(2560, ge=1)
    """Width of the feed-forward part."""
    rope_base: float = Field(10_000.0, gt=1)
    """Base of the rotary positions."""
    init_std: float = Field(0.02, gt=0)
    """Standard deviation of the initial weights (ours; narrow networks want more)."""

    @model_validator(mode="after")
    def _heads_are_even(self) -> "Transformer":
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden ({self.hidden}) must be a multiple of twice the heads ({self.heads})")
        return self


class Condition(Settings):
    """A column of the cells that the model is told of, as a token in front that is never hidden."""

    column: str
    """Column of the cells table, and of obs."""
    control: str | None = None
    """For a column of perturbations, the value of cells without any. Values joined by "+" are then combinations, whose
    vectors add up; guidance contrasts with the control, and cells are embedded under it."""


class Sampling(Settings):
    """How cells are drawn."""

    steps: int = Field(256, ge=1)
    """Steps in which the genes of a cell are filled."""
    conditional_steps: int = Field(3, ge=1)
    """The same for cells under a perturbation."""
    guidance: float = Field(2.0, ge=-1)
    """Weight w of the contrast with the control under a perturbation: 0 is none, -1 the control itself. The paper takes
    2 for genes and 3 for cytokines."""
    prior: bool = False
    """Set genes that fall under the same perturbation in other backgrounds to one count, a variant of the paper."""
    decode: Literal["edge", "midpoint"] = "midpoint"
    """Which count of its bin a token becomes: the least or the middle one. The last token always becomes its least."""
    batch_cells: int = Field(64, ge=1)
    """Cells at once, which changes memory and speed alone."""


class Lingshu(SystemSettings):
    """One Lingshu-Cell model: network, noise, conditions and sampling."""

    tokens: int = Field(281, ge=2, le=281)
    """Count tokens; fewer than 281 make the last of them stand for all higher counts."""
    transformer: Transformer = Transformer()
    """Groups and blocks."""
    conditions: tuple[Condition, ...] = ()
    """What the model is told of a cell; none for a model of cells as such."""
    least_time: float = Field(1e-3, gt=0, lt=1)
    """Least share of genes that is hidden in expectation; its inverse is the largest weight of a cell."""
    head_positions: int = Field(65_536, ge=1)
    """Genes of cells whose logits are held at once."""
    sampling: Sampling = Sampling()
    """Generation."""

    @property
    def poolings(self) -> tuple[str, ...]:
        """Names of the cell embeddings that the model offers: the mean over the groups of genes."""
        return ("mean",)

    @property
    def sets(self) -> Sets:
        """Every cell is read by itself."""
        return Sets(cells=1)

    @property
    def draws_cells(self) -> bool:
        """Always."""
        return True

    @property
    def predicts(self) -> Literal["", "names"]:
        """By names, where it is told of background and perturbation."""
        return "names" if sorted(condition.column for condition in self.conditions) == PREDICTING else ""

    @model_validator(mode="after")
    def _columns_are_named_once(self) -> "Lingshu":
        names = [condition.column for condition in self.conditions]
        if len(set(names)) < len(names):
            raise ValueError("conditions must name each column once")
        return self
