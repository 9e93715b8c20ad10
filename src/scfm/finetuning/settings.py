"""Settings of a fine-tuning; defaults are the papers', of tokens for the sets of scEval, of sets the released ones."""

from pydantic import Field

from scfm.settings import Settings


class SetFinetuning(Settings):
    """How a network of sets goes on learning under a linear head, its label annotation; what is ours is marked."""

    epochs: int = Field(2000, ge=1)
    """Most passes over the training cells; the weights are those of the epoch with the lowest dev loss."""
    patience: int | None = Field(100, ge=1)
    """Epochs without a lower dev loss after which to stop (ours); null goes through all epochs."""
    learning_rate: float = Field(5e-3, gt=0)
    """Rate of AdamW at the start."""
    plateau: int = Field(25, ge=1)
    """Epochs without a lower dev loss after which the rate is halved (ours)."""
    weight_decay: float = Field(1e-10, ge=0)
    """Weight decay."""
    batch_cells: int = Field(4000, ge=1)
    """Most cells of one update, but at least a set (ours)."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Dropout before the head."""
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient (ours)."""


class Finetuning(Settings):
    """How a network of tokens goes on learning with a fresh head."""

    epochs: int = Field(10, ge=1)
    """Most passes over the training cells; the weights are those of the epoch with the lowest dev loss."""
    patience: int | None = Field(None, ge=1)
    """Epochs without a lower dev loss after which to stop; null goes through all epochs."""
    learning_rate: float = Field(1e-5, gt=0)
    """Rate of AdamW, constant."""
    batch_cells: int = Field(8, ge=1)
    """Cells of one update."""
    gamma: float = Field(3.0, ge=1)
    """Exponent of the focal loss of labels."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout inside the head."""
    tokens: int | None = Field(None, ge=2)
    """Most gene tokens of a cell, the highest; null for as many as the model takes in inference."""
