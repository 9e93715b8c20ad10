"""Settings of PULSAR: sampling of cells, transformers, masking, objectives and heads; defaults are the released ones.

What no source states is marked as ours.
"""

from typing import Literal

from pydantic import Field, model_validator

from scfm.models.system import CellEncoder, SystemSettings
from scfm.settings import Settings


class Sampling(Settings):
    """Which cells of a donor are read."""

    cells: int = Field(1024, ge=2)
    """Cells drawn from a donor."""
    replacement: bool = True
    """Draw with replacement, as the released code does; else a donor with fewer cells gives all it has."""
    encoder_share: float = Field(0.15, gt=0, le=0.5)
    """Share of the drawn cells that the encoder sees in training; the others are targets. Inference shows it all."""
    targets: int | None = Field(None, ge=1)
    """Most target cells of a donor, if not all of them."""
    resample: int = Field(1, ge=1)
    """Draws whose embeddings are averaged in inference."""
    seed: int = 0
    """Seed of the draws in inference, which depend on it and on the donor's cells alone."""


class Transformer(Settings):
    """The encoder and the decoder."""

    hidden: int = Field(512, ge=1)
    """Width of the donor vector and of all tokens."""
    heads: int = Field(8, ge=1)
    """Attention heads; divides `hidden`."""
    ffn: int = Field(4096, ge=1)
    """Width of the feed-forward layers."""
    encoder_layers: int = Field(8, ge=1)
    """Blocks of the encoder."""
    decoder_layers: int = Field(6, ge=1)
    """Blocks of the decoder."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout of block outputs and feed-forward layers in training; attention weights stay whole (ours)."""
    norm_eps: float = 1e-12
    """Epsilon of the norms."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "Transformer":
        if self.hidden % self.heads:
            raise ValueError(f"hidden ({self.hidden}) must be a multiple of heads ({self.heads})")
        return self


class Masking(Settings):
    """Which elements of a target cell's vector the decoder does not see."""

    strategy: Literal["correlated_program", "independent"] = "correlated_program"
    """`correlated_program`: learned programs of elements are hidden together; `independent`: each by its own draw."""
    ratio: float = Field(0.85, gt=0, lt=1)
    """Share of the elements that is hidden: in expectation by independent draws, exactly (rounded) by programs."""
    programs: int = Field(10, ge=2)
    """Programs of the masker."""
    hidden: int = Field(512, ge=1)
    """Width of the masker's hidden layer."""
    entropy_weight: float = Field(0.1, gt=0)
    """Weight of the entropy of an element's membership in the programs."""
    sparsity_weight: float = Field(0.1, gt=0)
    """Weight of the unevenness of the programs' sizes."""


class Alignment(Settings):
    """Supervised contrast: donors of one label near each other (Khosla et al. 2020)."""

    label: str
    """Column of the donor label, codes and -1 where unknown."""
    weight: float = Field(1.0, gt=0)
    """Weight of the task."""
    temperature: float = Field(0.1, gt=0)
    """Temperature of the cosines (ours)."""


class Head(Settings):
    """A classifier or regressor on the donor vector."""

    label: str
    """Column of the donor label: codes and -1, or numbers and NaN where unknown."""
    kind: Literal["class", "number"] = "class"
    """Cross-entropy over classes, or squared error of a number."""
    hidden: int = Field(2048, ge=1)
    """Width of the hidden layer."""
    weight: float = Field(1.0, gt=0)
    """Weight of the task."""

    @property
    def task(self) -> str:
        """Name of its task."""
        return f"label_{self.label}"


class Film(Settings):
    """The change of a donor vector by a condition such as a cytokine."""

    condition: str
    """Column of the cells' condition: row of the table of condition vectors, -1 for a control."""
    donor: str
    """Column that ties a treated sample to the control sample of the same donor."""
    width: int = Field(5120, ge=1)
    """Width of the condition vectors."""
    condition_hidden: int = Field(1024, ge=1)
    """Width of the hidden layer that reads the condition."""
    donor_input_dropout: float = Field(0.075, ge=0, lt=1)
    """Dropout of the donor vector in training."""
    condition_input_dropout: float = Field(0.05, ge=0, lt=1)
    """Dropout of the condition vector in training."""
    dropout: tuple[float, float] = (0.15, 0.105)
    """Dropout after the first and the second layer that reads the donor."""
    weight: float = Field(1.0, gt=0)
    """Weight of the task (ours)."""


class Pulsar(SystemSettings):
    """One PULSAR model."""

    cells: CellEncoder | None = None
    """The run whose cell vectors it reads; a training of a study needs one."""
    donors: tuple[str, ...] = Field(("dataset", "donor"), min_length=1)
    """Columns of the cells that tell one donor, or sample, from another."""

    width: int = Field(1280, ge=1)
    """Width of the cell vectors."""
    sampling: Sampling = Sampling()
    """Cells of a donor."""
    transformer: Transformer = Transformer()
    """Encoder and decoder."""
    masking: Masking = Masking()
    """Hidden elements of target cells."""
    reconstruction_weight: float = Field(0.1, gt=0)
    """Weight of the squared error of hidden elements."""
    contrastive_weight: float = Field(1.0, ge=0)
    """Weight of the contrast of two subsets of a donor against those of the others in the batch; 0 leaves it out."""
    temperature: float = Field(0.1, gt=0)
    """Temperature of that contrast's cosines (ours)."""
    alignment: Alignment | None = None
    """Contrast by a donor label, if any."""
    heads: tuple[Head, ...] = ()
    """Predicted donor labels."""
    film: Film | None = None
    """Simulation of conditions, if any."""

    @property
    def poolings(self) -> tuple[str, ...]:
        """The one embedding: a vector a donor."""
        return ("donor",)

    @property
    def embeds(self) -> Literal["cells", "donors"]:
        """A vector for each donor."""
        return "donors"

    @property
    def learns_changes(self) -> bool:
        """By a FiLM head on the trained donor vectors."""
        return True

    @property
    def cell_encoder(self) -> CellEncoder | None:
        """As the key `cells` says."""
        return self.cells

    @property
    def donor_labels(self) -> tuple[str, ...]:
        """Those of the heads and of the alignment."""
        return tuple(self.label_kinds)

    @property
    def label_kinds(self) -> dict[str, str]:
        """Donor label that an objective reads to its kind, class or number."""
        aligned = {self.alignment.label: "class"} if self.alignment else {}
        return {head.label: head.kind for head in self.heads} | aligned

    @property
    def columns(self) -> tuple[str, ...]:
        """Label columns that the objectives read, each once."""
        named = [head.label for head in self.heads]
        named += [self.alignment.label] if self.alignment else []
        named += [self.film.condition, self.film.donor] if self.film else []
        return tuple(dict.fromkeys(named))

    @property
    def subsets(self) -> int:
        """Subsets of a donor that the encoder sees in training: two where a task compares them."""
        return 2 if self.contrastive_weight or self.alignment else 1

    @model_validator(mode="after")
    def _one_head_for_each_label(self) -> "Pulsar":
        labels = [head.label for head in self.heads]
        if len(set(labels)) < len(labels):
            raise ValueError("heads name a label twice; give each one head")
        return self

    @model_validator(mode="after")
    def _something_is_hidden(self) -> "Pulsar":
        if not 0 < round(self.masking.ratio * self.width) < self.width:
            raise ValueError(f"masking.ratio {self.masking.ratio} hides none or all of {self.width} elements")
        return self
