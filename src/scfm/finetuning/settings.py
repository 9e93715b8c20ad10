"""Settings of a fine-tuning; defaults are the paper's for the sets of scEval."""

from pydantic import Field

from scfm.settings import Settings


class Finetuning(Settings):
    """How a network goes on learning with a fresh head."""

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
