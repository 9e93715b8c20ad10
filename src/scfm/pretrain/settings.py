"""Settings of one pretraining run; defaults are the paper's."""

from typing import Literal

from pydantic import Field, model_validator

from scfm.models.bmfm.settings import Bmfm
from scfm.settings import Settings


class Training(Settings):
    """Optimisation and validation of a run."""

    epochs: int = Field(10, ge=1)
    """Passes over the training cells."""
    batch_cells: int = Field(8, ge=1)
    """Cells of one micro-batch on one device."""
    batch_tokens: int | None = Field(None, ge=1)
    """Most tokens of one micro-batch, instead of `batch_cells`: as many cells as fit, about alike in tokens."""
    accumulate: int = Field(2, ge=1)
    """Micro-batches of one update on one device."""
    learning_rate: float = Field(1e-4, gt=0)
    """Rate of AdamW after the warm-up, constant."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Decay of the moments of AdamW."""
    weight_decay: float = Field(0.1, ge=0)
    """Weight decay, on matrices only."""
    warmup_steps: int = Field(1000, ge=0)
    """Updates over which the rate rises linearly."""
    decay_steps: int = Field(0, ge=0)
    """Updates at the end over which the rate falls linearly to 0; the paper has none."""
    clip: float = Field(0.5, gt=0)
    """Largest norm of the gradient."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "bf16-mixed"
    """Arithmetic, in Lightning's words; `16-mixed` scales the loss, and leaves out updates that overflow."""
    validate_every: int = Field(1, ge=1)
    """Epochs between validations; divides `epochs`, so that the last epoch is validated."""
    validation_passes: int = Field(1, ge=1)
    """Passes over the validation cells, each with its own random tokens and masks."""
    validation_cells: int = Field(256, ge=1)
    """Cells of one validation batch."""
    keep: Literal["last", "best"] = "last"
    """Which weights the model gets: those of the last epoch, or of the validation with the lowest weighted loss."""
    workers: int = Field(4, ge=0)
    """Processes that prepare batches; 0 prepares them in the training process."""
    loader: Literal["shards", "soma"] = "shards"
    """Where cells are read: the training shards, or direct from the store of the corpus, which must be a SOMA."""

    @model_validator(mode="after")
    def _last_epoch_is_validated(self) -> "Training":
        if self.epochs % self.validate_every:
            raise ValueError(f"validate_every ({self.validate_every}) must divide epochs ({self.epochs})")
        return self


class Run(Settings):
    """One pretraining run."""

    system: Literal["bmfm"]
    """System under `scfm.models`."""
    description: str = ""
    """One line on what the run is for."""
    trained: bool = True
    """False keeps the random initial weights: the control of every benchmark."""
    corpus_fraction: float = Field(1.0, gt=0, le=1)
    """Share of the corpus's cells that the run uses, nested: a smaller share is part of a larger one."""
    model: Bmfm
    """The network and its objectives."""
    training: Training = Training()
    """Optimisation."""

    @model_validator(mode="after")
    def _heads_predict_labels(self) -> "Run":
        if any(head.loss == "squared" for head in self.model.heads):
            raise ValueError(
                "model.heads: loss 'squared' is of scfm.finetune alone, the corpus has labels and no numbers"
            )
        return self

    @model_validator(mode="after")
    def _every_head_counts_at_last(self) -> "Run":
        for head in self.model.heads:
            if not any(head.weight_at(epoch) for epoch in range(self.training.epochs)):
                raise ValueError(f"head '{head.label}' has no weight in any of {self.training.epochs} training epochs")
        return self
