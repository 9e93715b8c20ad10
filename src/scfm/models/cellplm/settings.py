"""Settings of the CellPLM network, its input view and its objectives; defaults are the paper's where not said."""

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from scfm.models.sets import Sets
from scfm.models.system import SystemSettings
from scfm.settings import Settings


class Encoder(Settings):
    """From the genes of a cell to its token, and blocks of attention across the cells of a set."""

    layers: int = Field(4, ge=1)
    """Number of transformer blocks."""
    hidden: int = Field(1024, ge=1)
    """Width of the gene vectors and of the tokens."""
    heads: int = Field(8, ge=1)
    """Attention heads; divides `hidden`."""
    ffn: int = Field(2048, ge=1)
    """Width of the feed-forward layer."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout of the token, of attention and of the feed-forward layer."""
    gene_std: float = Field(0.005, gt=0)
    """Standard deviation of the initial gene vectors."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "Encoder":
        if self.hidden % self.heads:
            raise ValueError(f"hidden ({self.hidden}) must be a multiple of heads ({self.heads})")
        return self


class Positions(Settings):
    """Sinusoids of the coordinates `x` and `y` of a cell; the released forward pass sets them to 0 (its issue 19)."""

    grid: float = Field(100.0, gt=0)
    """Side of the square that a set's coordinates are brought to before the sinusoids."""
    span: float | None = Field(None, gt=0)
    """Length, in units of the coordinates, that this side stands for; none: the longer side of each set."""


class Masking(Settings):
    """What training hides."""

    drop: float = Field(0.3, ge=0, lt=1)
    """Chance that a training cell is left out of its set; one cell of each always stays."""
    cells: float = Field(0.75, gt=0, le=1)
    """Chance that a cell hides genes and is predicted."""
    genes: float = Field(0.25, gt=0, lt=1)
    """Share of the genes that such a cell hides; under `beta` the mode of the shares."""
    shares: Literal["beta", "constant"] = "beta"
    """`beta`: each cell draws its share from Beta(a, (a-1)/genes + 2 - a), whose mode is `genes`. `constant`: the same
    for all."""
    concentration: float = Field(5.0, gt=1)
    """`a` of that distribution."""
    most: float = Field(0.9, gt=0, le=1)
    """Largest share of a cell."""

    @model_validator(mode="after")
    def _the_largest_share_is_no_limit(self) -> "Masking":
        if self.most < self.genes:
            raise ValueError(f"most ({self.most}) must not be below genes ({self.genes})")
        return self


class Mixture(Settings):
    """A latent with a Gaussian-mixture prior.

    The loss counts each divergence, a mean over the cells of a set, only above its hinge. The release has 5 as both
    hinges, which log(components) never reaches, so that the second term did nothing.
    """

    kind: Literal["mixture"] = "mixture"
    """Name of the latent; it is the one that is meant where none is given."""
    width: int = Field(512, ge=1)
    """Width of the latent."""
    components: int = Field(16, ge=2)
    """Components of the prior."""
    temperature: float = Field(1.0, gt=0)
    """Of the Gumbel-softmax that draws components in training."""
    inference: Literal["probabilities", "argmax"] = "probabilities"
    """What stands for the drawn component in validation and inference, which draw nothing."""
    weight: float = Field(5.0, ge=0)
    """Weight of the divergence of the latent from the prior of its component."""
    hinge: float = Field(5.0, ge=0)
    """Nats of the whole vector below which that divergence is free."""
    component_weight: float = Field(5.0, ge=0)
    """Weight of the divergence of the components from all alike."""
    component_hinge: float = Field(0.5, ge=0)
    """Nats below which that divergence is free (ours; 5 in the release); below log(components)."""

    @model_validator(mode="after")
    def _the_component_term_can_act(self) -> "Mixture":
        if self.component_hinge >= math.log(self.components):
            raise ValueError(
                f"component_hinge ({self.component_hinge}) must be below log(components) = "
                f"{math.log(self.components):.3f}, which its term never exceeds"
            )
        return self


class Plain(Settings):
    """A latent without a prior: a linear map of the cell."""

    kind: Literal["plain"]
    """Name of the latent."""
    width: int = Field(512, ge=1)
    """Width of the latent."""


def _mixture_by_default(data: object) -> object:
    return {"kind": "mixture"} | data if isinstance(data, dict) else data


Latent = Annotated[Mixture | Plain, Field(discriminator="kind"), BeforeValidator(_mixture_by_default)]


class Decoder(Settings):
    """From the latent and the dataset to a negative binomial for each gene."""

    layers: int = Field(2, ge=1)
    """Hidden layers; the vector of the cell's dataset is added after each."""
    hidden: int = Field(1024, ge=1)
    """Their width."""
    bottleneck: int = Field(128, ge=1)
    """Width before the genes."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout of the hidden layers."""
    genes: int | None = Field(None, ge=1)
    """Random genes that a step decodes, of those measured in its datasets; none: all genes."""
    unknown: Literal["mean", "none"] = "mean"
    """What is added for a dataset that was not trained on: the mean over those that were, or nothing. The release takes
    the sum of its table."""


class Cellplm(SystemSettings):
    """One CellPLM model: network, input view and objectives."""

    encoder: Encoder = Encoder()
    """Encoder."""
    positions: Positions | None = Positions()
    """Position code; a cell without coordinates has a learnt vector in its place."""
    masking: Masking = Masking()
    """Cells and genes that training hides."""
    latent: Latent = Mixture()
    """Latent."""
    decoder: Decoder = Decoder()
    """Decoder."""
    masked_weight: float = Field(1.0, ge=0)
    """Weight of the mean over the hidden genes."""
    cell_weight: float = Field(1.0, ge=0)
    """Weight of the mean over all measured genes of the cells that hide some."""
    sets: Sets = Sets()
    """Which cells are read together."""

    @model_validator(mode="after")
    def _sinusoids_fit(self) -> "Cellplm":
        if self.positions and self.encoder.hidden % 4:
            raise ValueError(f"encoder.hidden ({self.encoder.hidden}) must be a multiple of 4 for positions")
        return self

    @property
    def poolings(self) -> tuple[str, ...]:
        """Names of the cell embeddings that the model offers: the mean of the latent, and the encoder's output."""
        return ("latent", "cell")

    @property
    def tuned_pooling(self) -> str:
        """The encoder's output; the latent, its prior and the decoder are left out, as the release does."""
        return "cell"

    @property
    def expects_counts(self) -> bool:
        """The decoder gives the mean of each gene."""
        return True

    @property
    def reads_positions(self) -> bool:
        """Where there is a position code."""
        return self.positions is not None
