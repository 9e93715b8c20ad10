"""Settings of one pretraining run; defaults are the paper's."""

import json
from functools import cache
from typing import Annotated, Literal, Union

from pydantic import Field, create_model, model_validator

from scfm.errors import ScfmError
from scfm.models.system import SystemSettings, settings_of, systems
from scfm.pretrain.stage import Stage
from scfm.settings import Settings, parse


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
    average: float = Field(0.0, ge=0, lt=1)
    """Decay of the moving average of the weights, which is validated and written in place of the last ones; 0: none.

    After n updates no more than (1 + n) / (10 + n), so that short trainings can take the decay of long ones.
    """
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


class Start(Settings):
    """The trained run whose weights a training begins with, in the place of random ones."""

    run: str
    """Name of another run of the same system; its seed is that of the run that begins with it, or its first."""


class Run(Stage):
    """One pretraining run."""

    system: str
    """System under `scfm.models`."""
    description: str = ""
    """One line on what the run is for."""
    trained: bool = True
    """False keeps the random initial weights: the control of every benchmark."""
    start: Start | None = None
    """A run to begin with; none: random weights."""
    model: SystemSettings
    """The network and its objectives."""
    training: Training = Training()
    """Optimisation."""

    @model_validator(mode="after")
    def _model_fits_training(self) -> "Run":
        self.model.must_fit(self.training.epochs)
        if self.start and not self.trained:
            raise ValueError("start: a run with random weights begins with no other; remove start, or train it")
        return self

    @property
    def stage(self) -> Stage:
        """What it takes from the corpus."""
        return Stage(corpus_fraction=self.corpus_fraction, cells=self.cells)


@cache
def run_of(system: str) -> type[Run]:
    """The settings of a run of one system."""
    own = {"system": (Literal[system], ...), "model": (settings_of(system), ...)}
    return create_model(f"{system.capitalize()}Run", __base__=Run, __doc__=f"One run of the system {system}.", **own)


def parse_run(data: str | dict, where: str) -> Run:
    """Validate a run, a mapping or JSON text, by the settings of its system.

    Raises:
        ScfmError: an unknown system; what `parse` raises.
    """
    data = json.loads(data) if isinstance(data, str) else data
    if data.get("system") not in systems():
        known = ", ".join(systems())
        raise ScfmError(f"{where}: key 'system': '{data.get('system')}' is no system; choose among {known}")
    return parse(run_of(data["system"]), data, where)


AnyRun = Annotated[Union[tuple(map(run_of, systems()))], Field(discriminator="system")]  # noqa: UP007
"""A run of any system."""
